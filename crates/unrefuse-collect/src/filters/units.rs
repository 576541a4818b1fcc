//! Whether systemd starts a unit at boot, by its files.

use crate::unit_files::UnitFiles;
use unrefuse_facts::{Missing, Observed, Reason, Source};

/// What the machine starts at boot: the unit is wanted or required by another one, and not masked. That what wants it is
/// itself started is taken for granted. Missing where there is no systemd.
pub(super) fn enabled(files: &UnitFiles, unit: &str) -> Observed<bool> {
    if files.is_empty() {
        return Observed::Missing(Missing::new(Reason::Absent, "no systemd is here that would start a unit"));
    }
    if let Some(mask) = files.mask(unit) {
        return Observed::known(false, Source::configured(mask));
    }
    match files.wanted(unit) {
        Some(link) => Observed::known(true, Source::configured(link)),
        None => Observed::known(false, Source::configured("/etc/systemd/system/*.wants")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;

    #[test]
    fn wanted_masked_or_neither() {
        let root = Root::new("units");
        let enabled = |unit: &str| enabled(&UnitFiles::list(root.path()), unit);
        assert_eq!(enabled("nftables.service").missing().unwrap().reason, Reason::Absent);
        root.file("/usr/lib/systemd/system/nftables.service", "");
        root.file("/etc/systemd/system/x.service", "");
        let is = |unit: &str| *enabled(unit).value().unwrap();
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
