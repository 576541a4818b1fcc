//! Whether systemd starts a unit at boot, by its files.

use super::names;
use unrefuse_facts::{Missing, Observed, Reason, Source};

/// Where units are, the administrator's first (systemd.unit(5)).
const FOLDERS: [&str; 3] = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

/// What the machine starts at boot: the unit is wanted or required by another one, and not masked. That what wants it is
/// itself started is taken for granted. Missing where there is no systemd.
pub(super) fn enabled(root: &str, unit: &str) -> Observed<bool> {
    let folders = folders(root);
    if folders.is_empty() {
        return Observed::Missing(Missing::new(Reason::Absent, "no systemd is here that would start a unit"));
    }
    let own = format!("{root}{}/{unit}", FOLDERS[0]);
    if rustix::fs::readlinkat(rustix::fs::CWD, &own, Vec::new()).is_ok_and(|target| target.as_bytes() == b"/dev/null") {
        return Observed::known(false, Source::configured(own));
    }
    for folder in folders {
        let entries = match names(&folder) {
            Ok(entries) => entries,
            Err(missing) => return Observed::Missing(missing),
        };
        for wanting in entries.iter().filter(|name| name.ends_with(".wants") || name.ends_with(".requires")) {
            let link = format!("{folder}/{wanting}/{unit}");
            if rustix::fs::lstat(&link).is_ok() {
                return Observed::known(true, Source::configured(link));
            }
        }
    }
    Observed::known(false, Source::configured(format!("{}/*.wants", FOLDERS[0])))
}

/// The folders that are there, each once: /lib is a link to /usr/lib almost everywhere.
fn folders(root: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut there = |folder: &String| {
        let Ok(stat) = rustix::fs::stat(folder) else { return false };
        let folder = rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory;
        let new = folder && !seen.contains(&(stat.st_dev, stat.st_ino));
        seen.push((stat.st_dev, stat.st_ino));
        new
    };
    FOLDERS.iter().map(|folder| format!("{root}{folder}")).filter(|folder| there(folder)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;

    #[test]
    fn wanted_masked_or_neither() {
        let root = Root::new("units");
        assert_eq!(enabled(root.path(), "nftables.service").missing().unwrap().reason, Reason::Absent);
        root.file("/usr/lib/systemd/system/nftables.service", "");
        root.file("/etc/systemd/system/x.service", "");
        let is = |unit: &str| *enabled(root.path(), unit).value().unwrap();
        assert!(!is("nftables.service"));
        root.link(
            "/etc/systemd/system/sysinit.target.wants/nftables.service",
            "/usr/lib/systemd/system/nftables.service",
        );
        assert!(is("nftables.service"));
        root.link("/etc/systemd/system/nftables.service", "/dev/null");
        assert!(!is("nftables.service"));
        root.link("/usr/lib/systemd/system/multi-user.target.requires/iptables.service", "../iptables.service");
        assert!(is("iptables.service"));
    }
}
