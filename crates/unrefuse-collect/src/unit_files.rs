//! Unit files on disk: where the manager would find them (systemd.unit(5), "UNIT FILE LOAD PATH").

mod naming;

pub(crate) use naming::{instance_of, line_naming, speaks_of};

use crate::live::{files, folders};
use std::collections::BTreeMap;
use unrefuse_facts::{ActiveState, LoadState, UnitFacts};
use unrefuse_parse::unit::{Assignment, assignments};

/// The system manager's folders, the strongest first.
const FOLDERS: [&str; 9] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/run/systemd/generator.late",
];

/// Folders of a user's manager below the user's home, at run time below /run/user/UID, and of all users (systemd.unit(5),
/// "Load path when running in user mode"), the strongest first.
const USER_FOLDERS: [(Below, &str); 15] = [
    (Below::Home, "/.config/systemd/user.control"),
    (Below::Runtime, "/systemd/user.control"),
    (Below::Runtime, "/systemd/transient"),
    (Below::Runtime, "/systemd/generator.early"),
    (Below::Home, "/.config/systemd/user"),
    (Below::Root, "/etc/xdg/systemd/user"),
    (Below::Root, "/etc/systemd/user"),
    (Below::Runtime, "/systemd/user"),
    (Below::Root, "/run/systemd/user"),
    (Below::Runtime, "/systemd/generator"),
    (Below::Home, "/.local/share/systemd/user"),
    (Below::Root, "/usr/share/systemd/user"),
    (Below::Root, "/usr/local/lib/systemd/user"),
    (Below::Root, "/usr/lib/systemd/user"),
    (Below::Runtime, "/systemd/generator.late"),
];

/// What a folder lies below.
#[derive(Clone, Copy)]
enum Below {
    Root,
    Home,
    Runtime,
}

/// A unit file is shorter.
const LONGEST: u64 = 256 << 10;

/// The unit files of a machine.
pub(crate) struct UnitFiles {
    /// What all absolute paths lie below.
    root: String,
    /// The file of each unit, the strongest one.
    paths: BTreeMap<String, UnitFile>,
    /// The folders `NAME.d` of each unit, the weakest first.
    drop_ins: BTreeMap<String, Vec<String>>,
    /// Units that another one wants or requires by a link.
    wanted: BTreeMap<String, String>,
}

/// Where a unit's file is.
#[derive(Debug)]
struct UnitFile {
    path: String,
    /// What it is a link to, where it is one.
    target: Option<String>,
}

impl UnitFile {
    fn new(path: String, is_link: bool) -> Self {
        let read = || rustix::fs::readlinkat(rustix::fs::CWD, &path, Vec::new()).ok();
        let target = is_link.then(read).flatten().map(|target| target.to_string_lossy().into_owned());
        Self { path, target }
    }

    fn is_masked(&self) -> bool {
        self.target.as_deref() == Some("/dev/null")
    }

    /// A link to a unit of another name: `Alias=` of systemd.unit(5).
    fn is_alias(&self, name: &str) -> bool {
        let base = self.target.as_deref().map(|target| target.rsplit('/').next().unwrap_or_default());
        !self.is_masked() && base.is_some_and(|base| base != name && template(name).as_deref() != Some(base))
    }
}

impl UnitFiles {
    /// Lists the system manager's folders below `root`.
    pub(crate) fn list(root: &str) -> Self {
        Self::of(root, FOLDERS.iter().map(|folder| format!("{root}{folder}")))
    }

    /// Lists the folders of a user's manager below `root`; `home` is empty where the user has none.
    pub(crate) fn of_user(root: &str, home: &str, uid: u32) -> Self {
        let path = |(below, folder): &(Below, &str)| match below {
            Below::Root => Some(format!("{root}{folder}")),
            Below::Home => home.starts_with('/').then(|| format!("{root}{home}{folder}")),
            Below::Runtime => Some(format!("{root}/run/user/{uid}{folder}")),
        };
        Self::of(root, USER_FOLDERS.iter().filter_map(path))
    }

    /// Lists folders, the strongest first.
    fn of(root: &str, folders: impl DoubleEndedIterator<Item = String>) -> Self {
        let (paths, drop_ins, wanted) = Default::default();
        let mut found = Self { root: root.to_owned(), paths, drop_ins, wanted };
        for folder in folders.rev() {
            for (name, is_link) in folders::entries(&folder).unwrap_or_default() {
                let path = format!("{folder}/{name}");
                if let Some(unit) = name.strip_suffix(".d") {
                    found.drop_ins.entry(unit.to_owned()).or_default().push(path);
                } else if name.ends_with(".wants") || name.ends_with(".requires") {
                    for unit in names(&path) {
                        let link = format!("{path}/{unit}");
                        found.wanted.insert(unit, link);
                    }
                } else if name.ends_with(".service") || name.ends_with(".socket") {
                    found.paths.insert(name, UnitFile::new(path, is_link));
                }
            }
        }
        found
    }

    /// What all absolute paths lie below.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// Whether there are none at all: no systemd.
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.wanted.is_empty()
    }

    /// Names of the units that have a file of their own or are wanted; templates are none.
    pub(crate) fn units(&self) -> impl Iterator<Item = &str> {
        let own = self.paths.iter().filter(|(name, file)| !file.is_alias(name)).map(|(name, _)| name);
        // Most are both; an alias is wanted under its other name.
        let wanted = self.wanted.keys().filter(|name| self.paths.get(*name).is_none_or(|file| file.is_alias(name)));
        own.chain(wanted).map(String::as_str).filter(|name| !name.contains("@."))
    }

    /// The link by which another unit wants or requires it: it starts at boot, where that one does.
    pub(crate) fn wanted(&self, unit: &str) -> Option<&String> {
        self.wanted.get(unit)
    }

    /// Its file, where that is a link to /dev/null: nothing can start it.
    pub(crate) fn mask(&self, unit: &str) -> Option<&String> {
        self.file(unit).filter(|file| file.is_masked()).map(|file| &file.path)
    }

    /// The file of a unit; of an instance that of its template.
    fn file(&self, unit: &str) -> Option<&UnitFile> {
        self.paths.get(unit).or_else(|| self.paths.get(&template(unit)?))
    }

    /// The assignments of a unit's file and then of its drop-ins, with the path of each; a drop-in's name counts once, in
    /// the strongest folder, and all are read in the order of their names.
    pub(crate) fn read(&self, unit: &str) -> Vec<(String, Vec<Assignment>)> {
        let mut drop_ins = BTreeMap::new();
        let folders = [template(unit), Some(unit.to_owned())];
        for folder in folders.iter().flatten().filter_map(|name| self.drop_ins.get(name)).flatten() {
            for name in names(folder).into_iter().filter(|name| name.ends_with(".conf")) {
                let path = format!("{folder}/{name}");
                drop_ins.insert(name, path);
            }
        }
        let file = self.file(unit).map(|file| file.path.clone());
        let read = |path: String| {
            let bytes = small(&path)?;
            Some((path, assignments(&bytes)))
        };
        file.into_iter().chain(drop_ins.into_values()).filter_map(read).collect()
    }

    /// What the files say of a unit that no manager told of; `None` where it has none. `manager`: one was asked, and has
    /// it not in memory, so it is inactive.
    pub(crate) fn unit(&self, unit: &str, manager: bool) -> Option<UnitFacts> {
        let path = self.file(unit)?.path.clone();
        let files = self.read(unit);
        let mut facts = {
            let texts: Vec<Vec<Assignment>> = files.iter().map(|(_, file)| file.clone()).collect();
            unrefuse_parse::unit::unit(unit, &texts)
        };
        let masked = self.mask(unit).is_some();
        facts.load = if masked { LoadState::Masked } else { LoadState::NotLoaded };
        facts.active = if manager { ActiveState::Inactive } else { ActiveState::Unknown };
        facts.sub = if manager { "dead".to_owned() } else { String::new() };
        facts.file_state = Some(self.state(unit, masked, &files).to_owned());
        facts.drop_ins = files.iter().map(|(path, _)| path).filter(|p| **p != path).cloned().collect();
        facts.fragment = Some(path);
        if unit.ends_with(".socket") && facts.triggers.is_empty() {
            facts.triggers = vec![unit.replace(".socket", ".service")];
        }
        Some(facts)
    }

    fn state(&self, unit: &str, masked: bool, files: &[(String, Vec<Assignment>)]) -> &'static str {
        let has_install = files.iter().flat_map(|(_, file)| file).any(|a| a.section == "Install");
        match () {
            () if masked => "masked",
            () if self.wanted(unit).is_some() => "enabled",
            () if has_install => "disabled",
            () => "static",
        }
    }
}

pub(crate) fn holds(bytes: &[u8], number: &[u8]) -> bool {
    bytes.windows(number.len()).any(|window| window == number)
}

/// `postgresql@.service` of `postgresql@15-main.service`.
fn template(unit: &str) -> Option<String> {
    let (name, rest) = unit.split_once('@')?;
    let (instance, kind) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{name}@.{kind}"))
}

pub(crate) fn small(path: &str) -> Option<Vec<u8>> {
    let (file, size) = files::open_sized(path).ok()?;
    let mut bytes = Vec::new();
    files::fill(&file, &mut bytes, usize::try_from(size.min(LONGEST)).ok()?).ok()?;
    Some(bytes)
}

fn names(folder: &str) -> Vec<String> {
    folders::names(folder).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;

    #[test]
    fn a_unit_is_read_from_its_file_and_drop_ins() {
        let root = Root::new("unit-files");
        root.file(
            "/usr/lib/systemd/system/app@.service",
            "[Service]\nExecStart=/bin/app --port 9000\n[Install]\nA=b\n",
        );
        root.file("/etc/systemd/system/app@x.service.d/10.conf", "[Service]\nPrivateNetwork=yes\n");
        root.link("/etc/systemd/system/multi-user.target.wants/app@x.service", "/usr/lib/systemd/system/app@.service");
        root.link("/etc/systemd/system/gone.service", "/dev/null");
        root.file("/usr/lib/systemd/system/gone.service", "[Service]\nExecStart=/bin/gone\n");
        let files = UnitFiles::list(root.path());
        assert_eq!(files.units().filter(|unit| *unit != "gone.service").collect::<Vec<_>>(), ["app@x.service"]);
        let unit = files.unit("app@x.service", true).unwrap();
        assert!(unit.private_network && unit.drop_ins.len() == 1);
        assert_eq!((unit.load, unit.active), (LoadState::NotLoaded, ActiveState::Inactive));
        assert_eq!(unit.file_state.as_deref(), Some("enabled"));
        assert!(files.unit("gone.service", true).unwrap().is_masked());
        assert_eq!(files.unit("gone.service", false).unwrap().active, ActiveState::Unknown);
        assert!(files.unit("other.service", true).is_none());
        let naming = files.naming(9000);
        assert_eq!(naming.len(), 1);
        assert!(naming[0].1.source.ends_with("/app@.service:2"), "{naming:?}");
        assert!(files.naming(900).is_empty() && files.naming(90).is_empty());
    }

    #[test]
    fn a_users_own_units_beat_those_of_all_users() {
        let root = Root::new("user-unit-files");
        root.file("/usr/lib/systemd/user/app.service", "[Service]\nExecStart=/bin/app --port 9000\n");
        root.file("/srv/a/.config/systemd/user/app.service", "[Service]\nExecStart=/bin/app --port 9001\n");
        root.link("/srv/a/.config/systemd/user/default.target.wants/app.service", "../app.service");
        root.file("/run/user/7/systemd/transient/run-1.service", "[Service]\nExecStart=/bin/b -p 9002\n");
        let of = |home: &str, uid| UnitFiles::of_user(root.path(), home, uid);
        let own = of("/srv/a", 7);
        assert!(own.naming(9000).is_empty() && own.naming(9002).len() == 1);
        assert!(own.naming(9001)[0].1.source.ends_with("/srv/a/.config/systemd/user/app.service:2"));
        assert_eq!(own.unit("app.service", true).unwrap().file_state.as_deref(), Some("enabled"));
        assert_eq!(of("", 8).units().collect::<Vec<_>>(), ["app.service"]);
        assert!(UnitFiles::list(root.path()).is_empty());
    }

    #[test]
    fn a_number_is_a_port_only_where_one_stands() {
        let speaks = |key: &str, value: &str| speaks_of(key, value, 8080);
        assert!(speaks("ExecStart", "/bin/a --port 8080") && speaks("ExecStart", "a -l 0.0.0.0:8080"));
        assert!(speaks("Environment", "\"PORT=8080\"") && speaks("ListenStream", "8080"));
        assert!(
            !speaks("ExecStart", "a --port 18080") && !speaks("ExecStart", "a-8080") && !speaks("ExecStart", "8080M")
        );
        assert!(!speaks("ExecStart", "a --connect 8080:443"), "a port of a pair is another's");
    }
}
