//! Services that something other than systemd starts: scripts of init(8), OpenRC, runit, s6, supervisord.

use super::installed::{names, paths};
use crate::unit_files::{holds, line_naming, small, speaks_of};
use unrefuse_facts::catalogue::KnownService;
use unrefuse_facts::text::from_bytes;
use unrefuse_facts::{Clue, ClueKind, OtherService, Supervisor};
use unrefuse_parse::unit::{assignments, words};

/// Scripts, folders or files of one supervisor that are looked at.
const MOST: usize = 512;

/// Folders whose folders runit supervises (runsvdir(8)): Debian's, Void's, and where daemontools had them.
const RUNIT: [&str; 3] = ["/etc/service", "/var/service", "/service"];

/// The same of s6 (s6-svscan): in containers with s6-overlay, and on machines.
const S6: [&str; 3] = ["/run/service", "/var/run/s6/services", "/run/s6/legacy-services"];

/// supervisord's files, its own and what its packages include.
const SUPERVISORD: [&str; 4] = [
    "/etc/supervisord.conf",
    "/etc/supervisor/supervisord.conf",
    "/etc/supervisor/conf.d/*.conf",
    "/etc/supervisord.d/*.ini",
];

/// Scripts under /etc/init.d that may be meant. Where systemd runs they say nothing: packages bring them beside units.
pub(super) fn init(root: &str, port: Option<u16>, sought: &[&'static KnownService]) -> Vec<OtherService> {
    let here = |path: &str| rustix::fs::stat(format!("{root}{path}")).is_ok();
    let openrc = here("/run/openrc");
    let one = |name: String| {
        let path = format!("/etc/init.d/{name}");
        let files = [path.clone(), format!("/etc/conf.d/{name}"), format!("/etc/default/{name}")];
        let clue = files.iter().find_map(|file| clue(root, file, &name, port?));
        let supervisor = if openrc { Supervisor::OpenRc } else { Supervisor::SysV };
        // OpenRC keeps a link for each service that is started.
        let up = openrc.then(|| here(&format!("/run/openrc/started/{name}")));
        meant(OtherService { supervisor, path, service: service(&name, sought), clue, up, command: comm(&name), name })
    };
    names(&format!("{root}/etc/init.d")).into_iter().take(MOST).filter_map(one).collect()
}

/// Services of runit, s6 and supervisord that may be meant.
pub(super) fn supervised(root: &str, port: Option<u16>, sought: &[&'static KnownService]) -> Vec<OtherService> {
    let mut found = Vec::new();
    for (supervisor, folders) in [(Supervisor::Runit, RUNIT), (Supervisor::S6, S6)] {
        for folder in folders {
            for name in names(&format!("{root}{folder}")).into_iter().take(MOST) {
                let path = format!("{folder}/{name}");
                let Some(run) = small(&format!("{root}{path}/run")) else { continue };
                let clue = port.and_then(|port| named(&run, &format!("{path}/run"), &name, port));
                // runsv(8) writes its word there: `run`, `down`, `finish`.
                let word = small(&format!("{root}{path}/supervise/stat")).map(|bytes| from_bytes(&bytes));
                let up = word.map(|word| word.starts_with("run"));
                found.extend(meant(OtherService {
                    supervisor,
                    service: service(&name, sought),
                    path,
                    clue,
                    up,
                    command: comm(&name),
                    name,
                }));
            }
        }
    }
    // One folder may be a link to another one.
    found.dedup_by(|one, other| one.supervisor == other.supervisor && one.name == other.name);
    let files = SUPERVISORD.iter().flat_map(|pattern| paths(root, pattern)).take(MOST);
    found.extend(files.flat_map(|path| programs(root, &path, port, sought)));
    found
}

/// The `[program:NAME]` sections of a file of supervisord that may be meant.
fn programs(root: &str, path: &str, port: Option<u16>, sought: &[&'static KnownService]) -> Vec<OtherService> {
    let bytes = small(&format!("{root}{path}")).unwrap_or_default();
    let one = |line: unrefuse_parse::unit::Assignment| {
        let name = line.section.strip_prefix("program:")?.trim().to_owned();
        let names = |port: &u16| speaks_of("", &line.value, *port);
        let clue = port.filter(names).map(|port| Clue {
            kind: ClueKind::UnitFile,
            text: format!("command of {name} names port {port}"),
            source: format!("{path}:{}", line.line),
        });
        meant(OtherService {
            supervisor: Supervisor::Supervisord,
            service: service(&name, sought),
            path: path.to_owned(),
            clue,
            up: None,
            command: words(&line.value).first().map_or_else(|| comm(&name), |program| comm(program)),
            name,
        })
    };
    assignments(&bytes).into_iter().filter(|line| line.key == "command").filter_map(one).collect()
}

/// The command name of a process of that program (`TASK_COMM_LEN`, proc_pid_comm(5)).
fn comm(program: &str) -> String {
    program.rsplit('/').next().unwrap_or_default().chars().take(15).collect()
}

/// Something must speak for it.
fn meant(other: OtherService) -> Option<OtherService> {
    (other.clue.is_some() || other.service.is_some()).then_some(other)
}

/// The service that was looked for whose unit would have that name.
fn service(name: &str, sought: &[&'static KnownService]) -> Option<String> {
    let unit = format!("{name}.service");
    sought.iter().find(|service| service.has_unit(&unit)).map(|service| service.id.to_owned())
}

fn clue(root: &str, path: &str, name: &str, port: u16) -> Option<Clue> {
    named(&small(&format!("{root}{path}"))?, path, name, port)
}

fn named(text: &[u8], path: &str, name: &str, port: u16) -> Option<Clue> {
    let line = holds(text, port.to_string().as_bytes()).then(|| line_naming(text, port)).flatten()?;
    let (text, source) = (format!("the script of {name} names port {port}"), format!("{path}:{line}"));
    Some(Clue { kind: ClueKind::UnitFile, text, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;
    use unrefuse_facts::catalogue::by_id;

    #[test]
    fn scripts_of_the_services_that_are_sought_or_name_the_port() {
        let root = Root::new("init-scripts");
        for name in ["nginx", "cron"] {
            root.file(&format!("/etc/init.d/{name}"), "#!/bin/sh\n");
        }
        root.file("/etc/init.d/app", "#!/bin/sh\n# 8090\n. /etc/default/app\n");
        root.file("/etc/default/app", "OPTIONS=\"--port 8090\"\n");
        let found = init(root.path(), Some(8090), &[by_id("nginx").unwrap()]);
        let names: Vec<&str> = found.iter().map(|other| other.name.as_str()).collect();
        assert_eq!(names, ["app", "nginx"]);
        assert_eq!(found[0].clue.as_ref().unwrap().source, "/etc/default/app:1");
        assert_eq!((found[1].supervisor, found[1].up), (Supervisor::SysV, None));
        root.link("/run/openrc/started/app", "/etc/init.d/app");
        let found = init(root.path(), Some(8090), &[by_id("nginx").unwrap()]);
        assert_eq!(found.iter().map(|other| other.up).collect::<Vec<_>>(), [Some(false), Some(false)]);
        root.file("/etc/init.d/app", "");
        std::fs::remove_file(format!("{}/run/openrc/started/app", root.path())).unwrap();
        root.file("/run/openrc/started/app", "");
        let found = init(root.path(), Some(8090), &[]);
        assert_eq!((found[0].supervisor, found[0].up), (Supervisor::OpenRc, Some(true)));
    }

    #[test]
    fn folders_of_runit_and_s6() {
        let root = Root::new("runit");
        root.file("/etc/sv/app/run", "#!/bin/sh\nexec /srv/app -p 8090\n");
        root.file("/etc/sv/app/supervise/stat", "down\n");
        root.link("/etc/service/app", &format!("{}/etc/sv/app", root.path()));
        root.file("/run/service/nginx/run", "#!/bin/execlineb\nnginx\n");
        root.file("/run/service/other/run", "#!/bin/sh\n");
        let found = supervised(root.path(), Some(8090), &[by_id("nginx").unwrap()]);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].supervisor, found[0].up), (Supervisor::Runit, Some(false)));
        assert_eq!(found[0].path, "/etc/service/app");
        assert_eq!(found[0].clue.as_ref().unwrap().source, "/etc/service/app/run:2");
        assert_eq!((found[1].supervisor, found[1].service.as_deref()), (Supervisor::S6, Some("nginx")));
    }

    #[test]
    fn programs_of_supervisord() {
        let root = Root::new("supervisord");
        let text = "[program:app]\ncommand=/srv/a-server-of-ours --port 8090\n[program:web]\ncommand=x 80900\n[eventlistener:y]\n\
                    command=y 8090\n";
        root.file("/etc/supervisor/conf.d/app.conf", text);
        let found = supervised(root.path(), Some(8090), &[]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].supervisor), ("app", Supervisor::Supervisord));
        assert_eq!(found[0].command, "a-server-of-our");
        assert_eq!(found[0].clue.as_ref().unwrap().source, "/etc/supervisor/conf.d/app.conf:2");
    }
}
