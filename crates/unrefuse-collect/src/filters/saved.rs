//! Files of rules that are loaded at boot, and what loads them.

use super::{rules, units};
use crate::unit_files::UnitFiles;
use std::cell::LazyCell;
use unrefuse_facts::{Missing, Observed, Reason, RuleKeeper, SavedKind, Source};

/// A file of rules that some distribution loads at boot, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedFile {
    /// Which tool reads it.
    pub kind: SavedKind,
    /// The file.
    pub path: String,
    /// Its bytes.
    pub content: Observed<Vec<u8>>,
    /// Whether a unit that is enabled loads it at boot.
    pub loaded_at_boot: Observed<bool>,
}

/// A file that a unit loads; with the plugin that must be there too, of netfilter-persistent(8).
struct Known {
    kind: SavedKind,
    path: &'static str,
    unit: &'static str,
    plugin: Option<&'static str>,
}

const PERSISTENT: &str = "netfilter-persistent.service";

/// Debian's iptables-persistent, RHEL's iptables-services, Arch's iptables; nftables' own unit in Debian and Arch, and in
/// Fedora and RHEL.
const KNOWN: [Known; 8] = {
    const fn known(kind: SavedKind, path: &'static str, unit: &'static str) -> Known {
        Known { kind, path, unit, plugin: None }
    }
    const PLUGINS: (&str, &str) = (
        "/usr/share/netfilter-persistent/plugins.d/15-ip4tables",
        "/usr/share/netfilter-persistent/plugins.d/25-ip6tables",
    );
    [
        Known { kind: SavedKind::Iptables, path: "/etc/iptables/rules.v4", unit: PERSISTENT, plugin: Some(PLUGINS.0) },
        Known { kind: SavedKind::Ip6tables, path: "/etc/iptables/rules.v6", unit: PERSISTENT, plugin: Some(PLUGINS.1) },
        known(SavedKind::Iptables, "/etc/sysconfig/iptables", "iptables.service"),
        known(SavedKind::Ip6tables, "/etc/sysconfig/ip6tables", "ip6tables.service"),
        known(SavedKind::Iptables, "/etc/iptables/iptables.rules", "iptables.service"),
        known(SavedKind::Ip6tables, "/etc/iptables/ip6tables.rules", "ip6tables.service"),
        known(SavedKind::Nftables, "/etc/nftables.conf", "nftables.service"),
        known(SavedKind::Nftables, "/etc/sysconfig/nftables.conf", "nftables.service"),
    ]
};

impl Known {
    fn loaded(&self, root: &str, units: &UnitFiles) -> Observed<bool> {
        let plugin = self.plugin.is_none_or(|plugin| there(root, plugin));
        units::enabled(units, self.unit).map(|enabled| enabled && plugin)
    }
}

fn there(root: &str, path: &str) -> bool {
    rustix::fs::stat(format!("{root}{path}")).is_ok()
}

/// The files of saved rules that are there, whether or not anything loads them.
pub fn saved_files() -> Vec<SavedFile> {
    files_of("")
}

fn files_of(root: &str) -> Vec<SavedFile> {
    // Most machines have none of the files.
    let units = LazyCell::new(|| UnitFiles::list(root));
    let file = |known: &Known| {
        let path = format!("{root}{}", known.path);
        let content = match rules(&path) {
            Ok(bytes) => Observed::known(bytes, Source::configured(&path)),
            Err(missing) if missing.reason == Reason::Absent => return None,
            Err(missing) => Observed::Missing(missing),
        };
        Some(SavedFile { kind: known.kind, loaded_at_boot: known.loaded(root, &units), path, content })
    };
    KNOWN.iter().filter_map(file).collect()
}

/// What loads saved rules at boot here; missing as absent where no unit that is enabled does. The first of
/// netfilter-persistent, nftables and iptables' own units, where several do.
pub fn keeper() -> Observed<RuleKeeper> {
    keeper_of("")
}

fn keeper_of(root: &str) -> Observed<RuleKeeper> {
    let units = UnitFiles::list(root);
    let keeper = |known: &Known| match known.kind {
        _ if known.unit == PERSISTENT => Some(RuleKeeper::NetfilterPersistent),
        // The unit says which of the two it loads; the one that is there is it.
        SavedKind::Nftables if there(root, known.path) => Some(RuleKeeper::Nftables { path: known.path.to_owned() }),
        SavedKind::Iptables if known.unit == "iptables.service" && there(root, folder(known.path)) => {
            let v6 = KNOWN.iter().find(|other| {
                other.kind == SavedKind::Ip6tables
                    && folder(other.path) == folder(known.path)
                    && other.unit != PERSISTENT
            })?;
            Some(RuleKeeper::IptablesFiles { v4: known.path.to_owned(), v6: v6.path.to_owned() })
        }
        _ => None,
    };
    let mut unclear: Option<Missing> = None;
    let (first, rest): (Vec<&Known>, Vec<&Known>) =
        KNOWN.iter().partition(|known| known.unit == PERSISTENT || known.kind == SavedKind::Nftables);
    for known in first.into_iter().chain(rest) {
        match (known.loaded(root, &units), keeper(known)) {
            (Observed::Known { value: true, source }, Some(keeper)) => {
                return Observed::Known { value: keeper, source };
            }
            (Observed::Missing(missing), _) => unclear = unclear.or(Some(missing)),
            _ => {}
        }
    }
    let none = || Missing::new(Reason::Absent, "no unit that is enabled loads saved rules at boot");
    Observed::Missing(unclear.unwrap_or_else(none))
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;

    fn enable(root: &Root, unit: &str) {
        root.link(
            &format!("/etc/systemd/system/multi-user.target.wants/{unit}"),
            &format!("/lib/systemd/system/{unit}"),
        );
    }

    #[test]
    fn files_come_with_their_bytes_and_whether_they_are_loaded() {
        let root = Root::new("saved");
        root.file("/etc/systemd/system/x.service", "");
        root.file("/etc/iptables/rules.v4", "*filter\nCOMMIT\n");
        root.file("/etc/nftables.conf", "flush ruleset\n");
        enable(&root, "nftables.service");
        let found = files_of(root.path());
        let shown: Vec<_> = found
            .iter()
            .map(|file| (file.kind, file.content.value().unwrap().len(), *file.loaded_at_boot.value().unwrap()))
            .collect();
        assert_eq!(shown, [(SavedKind::Iptables, 15, false), (SavedKind::Nftables, 14, true)]);
    }

    #[test]
    fn netfilter_persistent_loads_with_its_plugin_only() {
        let root = Root::new("saved-plugin");
        root.file("/etc/iptables/rules.v4", "");
        enable(&root, "netfilter-persistent.service");
        assert_eq!(files_of(root.path())[0].loaded_at_boot.value(), Some(&false));
        assert_eq!(keeper_of(root.path()).missing().unwrap().reason, Reason::Absent);
        root.file("/usr/share/netfilter-persistent/plugins.d/15-ip4tables", "");
        assert_eq!(files_of(root.path())[0].loaded_at_boot.value(), Some(&true));
        assert_eq!(keeper_of(root.path()).value(), Some(&RuleKeeper::NetfilterPersistent));
    }

    #[test]
    fn the_keeper_of_each_distribution() {
        let root = Root::new("saved-keeper");
        root.file("/etc/systemd/system/x.service", "");
        root.file("/etc/sysconfig/iptables", "");
        assert_eq!(keeper_of(root.path()).missing().unwrap().reason, Reason::Absent);
        enable(&root, "iptables.service");
        let files =
            RuleKeeper::IptablesFiles { v4: "/etc/sysconfig/iptables".into(), v6: "/etc/sysconfig/ip6tables".into() };
        assert_eq!(keeper_of(root.path()).value(), Some(&files));
        root.file("/etc/sysconfig/nftables.conf", "");
        enable(&root, "nftables.service");
        let nft = RuleKeeper::Nftables { path: "/etc/sysconfig/nftables.conf".into() };
        assert_eq!(keeper_of(root.path()).value(), Some(&nft));
    }
}
