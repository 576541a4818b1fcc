//! ufw's configuration.

use super::{SavedFile, rules, units};
use crate::live::files;
use crate::unit_files::UnitFiles;
use unrefuse_facts::{Missing, Observed, Reason, SavedKind, Source, UfwFacts};
use unrefuse_parse::ufw::{placed, setting, user_rules};

/// ufw's settings and user rules, as its files have them; missing as absent where it is not installed. What ufw has in
/// the kernel is found by its chains.
pub fn ufw() -> Observed<UfwFacts> {
    read("")
}

/// The file of ufw's user rules for a family, which `ufw reload` loads; `None` where ufw is not installed or not enabled.
pub fn ufw_file(v6: bool) -> Option<SavedFile> {
    file_of("", v6)
}

fn file_of(root: &str, v6: bool) -> Option<SavedFile> {
    let ufw = read(root);
    if !ufw.value()?.enabled {
        return None;
    }
    let path = format!("{root}/etc/ufw/{}", if v6 { "user6.rules" } else { "user.rules" });
    let content = match rules(&path) {
        Ok(bytes) => Observed::known(bytes, Source::configured(&path)),
        Err(missing) => Observed::Missing(missing),
    };
    let loaded_at_boot = units::enabled(&UnitFiles::list(root), "ufw.service");
    Some(SavedFile { kind: SavedKind::Ufw, loaded_at_boot, path, content })
}

fn read(root: &str) -> Observed<UfwFacts> {
    let settings = format!("{root}/etc/ufw/ufw.conf");
    let read = || -> Result<(UfwFacts, String), Missing> {
        let conf = files::read(&settings)?;
        // Without it ufw does not start; the settings of ufw.conf may stand here as well.
        let defaults = files::read(&format!("{root}/etc/default/ufw"))?;
        let value = |name| setting(&conf, name).or_else(|| setting(&defaults, name));
        let yes = |name| value(name).is_some_and(|word| word.eq_ignore_ascii_case("yes"));
        let path = format!("{root}/etc/ufw/user.rules");
        let v4 = rules(&path)?;
        let v6 = if yes("IPV6") { rules(&format!("{root}/etc/ufw/user6.rules"))? } else { Vec::new() };
        let facts = UfwFacts {
            enabled: yes("ENABLED"),
            rules: user_rules(&v4, &v6),
            placed: placed(&v4, &v6),
            default_input: value("DEFAULT_INPUT_POLICY").map(|word| word.to_ascii_uppercase()),
        };
        Ok((facts, path))
    };
    match read() {
        Ok((facts, path)) => Observed::known(facts, Source::configured(format!("{settings}, {path}"))),
        // Installed, but a part is gone: that is not "no ufw".
        Err(missing) if missing.reason == Reason::Absent && files::open(&settings).is_ok() => {
            Observed::Missing(Missing { reason: Reason::Failed, ..missing })
        }
        Err(missing) => Observed::Missing(missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;
    use unrefuse_facts::UfwAction;

    fn installed(root: &Root, conf: &str, ipv6: &str) {
        root.file("/etc/ufw/ufw.conf", conf);
        root.file("/etc/default/ufw", &format!("IPV6={ipv6}\nDEFAULT_INPUT_POLICY=\"drop\"\n"));
        let deny = "-p tcp --dport 80 -j DROP";
        let v4 = format!("### tuple ### deny tcp 80 0.0.0.0/0 any 0.0.0.0/0 in\n-A ufw-user-input {deny}\n");
        root.file("/etc/ufw/user.rules", &v4);
        let v6 = format!("### tuple ### deny tcp 80 ::/0 any ::/0 in\n-A ufw6-user-input {deny}\n");
        root.file("/etc/ufw/user6.rules", &v6);
    }

    #[test]
    fn both_families_and_the_policy() {
        let root = Root::new("ufw");
        installed(&root, "ENABLED=yes\n", "yes");
        let facts = read(root.path()).value().cloned().unwrap();
        assert!(facts.enabled);
        assert_eq!(facts.default_input.as_deref(), Some("DROP"));
        let shown: Vec<_> = facts.rules.iter().map(|r| (r.number, r.action, r.to.as_str())).collect();
        assert_eq!(shown, [(1, UfwAction::Deny, "80/tcp"), (2, UfwAction::Deny, "80/tcp (v6)")]);
        let placed: Vec<_> = facts.placed.iter().map(|p| (p.chain.as_str(), p.position, p.number)).collect();
        assert_eq!(placed, [("ufw-user-input", 1, 1), ("ufw6-user-input", 1, 2)]);
    }

    #[test]
    fn without_ipv6_its_rules_do_not_count() {
        let root = Root::new("ufw-v4");
        installed(&root, "ENABLED=no\n", "no");
        let facts = read(root.path()).value().cloned().unwrap();
        assert!(!facts.enabled);
        assert_eq!(facts.rules.len(), 1);
    }

    #[test]
    fn the_user_rules_count_as_saved_while_ufw_is_enabled() {
        let root = Root::new("ufw-file");
        assert_eq!(file_of(root.path(), false), None);
        installed(&root, "ENABLED=no\n", "yes");
        assert_eq!(file_of(root.path(), false), None);
        installed(&root, "ENABLED=yes\n", "yes");
        let file = file_of(root.path(), true).unwrap();
        assert!(file.path.ends_with("/etc/ufw/user6.rules"));
        assert!(file.content.value().unwrap().starts_with(b"### tuple ### deny tcp 80 ::/0"));
    }

    #[test]
    fn no_ufw_is_absent_and_half_a_ufw_is_not() {
        let root = Root::new("ufw-none");
        assert_eq!(read(root.path()).missing().unwrap().reason, Reason::Absent);
        root.file("/etc/ufw/ufw.conf", "ENABLED=yes\n");
        root.file("/etc/default/ufw", "");
        assert_eq!(read(root.path()).missing().unwrap().reason, Reason::Failed);
    }
}
