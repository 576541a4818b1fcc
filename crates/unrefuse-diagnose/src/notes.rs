//! Notes: what does not block this connection and is worth knowing.

use crate::View;
use crate::report::Note;
use unrefuse_facts::{AttemptOutcome, Fate, SavedKind, Socket, text};

/// All notes of an address.
pub(crate) fn notes(view: &View<'_>) -> Vec<Note> {
    open_only_here(view).into_iter().chain(closed_after_boot(view)).collect()
}

/// The kernel's rules let it in, those that are loaded at boot do not.
fn closed_after_boot(view: &View<'_>) -> Option<Note> {
    let firewall = view.firewall()?;
    let ingress = view.judged()?.ingress.as_ref()?;
    if ingress.fate != Fate::Accepted {
        return None;
    }
    let v6 = view.ip()?.is_ipv6();
    let saved = firewall.saved.rules.iter().find(|saved| {
        let other_family = if v6 { SavedKind::Iptables } else { SavedKind::Ip6tables };
        saved.kind != other_family
            && saved.loaded_at_boot.value() == Some(&true)
            && saved.says.value().is_some_and(|says| !says.accepts)
    })?;
    Some(Note {
        text: format!(
            "let in now, and no more after the next boot: {} stops {}",
            text::visible(&saved.path),
            view.port()
        ),
        source: saved.says.source().map(|source| source.what.clone()),
    })
}

/// "Works here, not from elsewhere": an open local target whose sockets take only this machine's own packets.
fn open_only_here(view: &View<'_>) -> Option<Note> {
    if view.outcome() != Some(AttemptOutcome::Open) || view.is_local() != Some(true) {
        return None;
    }
    let table = view.case.host.sockets.value()?;
    let listeners = view.on_port(table, view.transport()?);
    let closed_to_others = |s: &&Socket| s.local.ip().is_loopback();
    if listeners.is_empty() || !listeners.iter().all(closed_to_others) {
        return None;
    }
    let mut addresses: Vec<String> = listeners.iter().map(|s| s.local.to_string()).collect();
    addresses.sort();
    addresses.dedup();
    Some(Note {
        text: format!(
            "open from here; from elsewhere: refused, because it listens on {} only, which is this machine's loopback",
            addresses.join(" and ")
        ),
        source: Some("inet_diag".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::filter::accepted;
    use unrefuse_facts::{Observed, SavedKind, SavedRule, SavedSays, Source};

    fn notes(kind: SavedKind, accepts: bool, at_boot: bool) -> usize {
        let says = SavedSays { accepts, by_rule: true, text: ":INPUT DROP".into(), location: None };
        let rule = SavedRule {
            kind,
            path: "/etc/iptables/rules.v4".into(),
            says: Observed::known(says, Source::configured("/etc/iptables/rules.v4")),
            loaded_at_boot: Observed::known(at_boot, Source::configured("systemd")),
        };
        let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx").filtered(None, Some(accepted()));
        let report = scene.filters(|f| f.saved.rules = vec![rule]).open().report();
        report.notes.iter().filter(|note| note.text.contains("after the next boot")).count()
    }

    #[test]
    fn open_now_and_closed_after_the_next_boot() {
        assert_eq!(notes(SavedKind::Iptables, false, true), 1);
        assert_eq!(notes(SavedKind::Iptables, true, true), 0);
        assert_eq!(notes(SavedKind::Iptables, false, false), 0);
        assert_eq!(notes(SavedKind::Ip6tables, false, true), 0);
    }
}
