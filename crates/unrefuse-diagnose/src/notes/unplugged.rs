//! "Works here, not from elsewhere": what this machine sends to an address of its own goes by lo, whatever the state of the
//! interface that has the address.

use crate::View;
use crate::report::Note;
use unrefuse_facts::{AttemptOutcome, Family, InterfaceAddress, Link, text};

/// The interfaces by which others would come are switched off, or have no carrier.
pub(super) fn unplugged(view: &View<'_>) -> Option<Note> {
    if view.outcome() != Some(AttemptOutcome::Open) || view.is_local() != Some(true) {
        return None;
    }
    let ip = view.ip()?;
    let table = view.case.host.sockets.value()?;
    let listeners = view.on_port(table, view.transport()?);
    let asked = |a: &&InterfaceAddress| match ip.is_loopback() {
        // Others ask by any other address that the service listens on.
        true => Family::of(&a.address) == Family::of(&ip) && listeners.iter().any(|s| s.takes(a.address) == Some(true)),
        false => a.address == ip,
    };
    let addresses = view.case.host.addresses.value()?.iter().filter(asked);
    let ways: Vec<(&InterfaceAddress, &Link)> = addresses
        .filter_map(|a| Some((a, view.case.host.link(a.link)?)))
        .filter(|(a, link)| !link.loopback && !a.address.is_loopback())
        .collect();
    let (first, link) = ways.first()?;
    if !ways.iter().all(|(_, link)| is_down(link)) {
        return None;
    }
    let name = text::visible(&link.name);
    let (state, then) = match (link.up, text::shell_quote(&link.name)) {
        (true, _) => ("has no carrier", String::new()),
        (false, Some(quoted)) => ("is switched off", format!(" until `ip link set dev {quoted} up`")),
        (false, None) => ("is switched off", String::new()),
    };
    let others = match ways.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more like it"),
    };
    Some(Note {
        text: format!(
            "open from here; from elsewhere: nobody comes in by {name}, which has {} and {state}{others}{then}",
            first.address
        ),
        source: view.case.host.links.source().map(|source| source.what.clone()),
    })
}

/// A bridge without carrier only has no guest.
fn is_down(link: &Link) -> bool {
    !link.up || !link.carrier && link.kind.as_deref() != Some("bridge")
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use unrefuse_facts::{Link, Observed};

    fn notes(endpoint: &str, listens: &str, change: impl FnOnce(&mut Link)) -> Vec<String> {
        let scene = Scene::local(endpoint).listener(listens, "nginx").open().with(|case| {
            let Observed::Known { value: links, .. } = &mut case.host.links else { panic!() };
            change(&mut links[1]);
        });
        scene.report().notes.into_iter().map(|note| note.text).collect()
    }

    #[test]
    fn nobody_comes_in_by_an_interface_that_is_off() {
        let off = |link: &mut Link| link.up = false;
        let said = "open from here; from elsewhere: nobody comes in by eth0, which has 10.1.0.2 and is switched off until \
                    `ip link set dev eth0 up`";
        assert_eq!(notes("10.1.0.2:80", "0.0.0.0:80", off), [said]);
        assert_eq!(notes("127.0.0.1:80", "0.0.0.0:80", off), [said]);
        assert!(notes("10.1.0.2:80", "0.0.0.0:80", |link| link.carrier = false)[0].contains("has no carrier"));
    }

    #[test]
    fn what_listens_on_loopback_only_has_its_own_note() {
        let off = |link: &mut Link| link.up = false;
        assert!(notes("127.0.0.1:80", "127.0.0.1:80", off)[0].contains("loopback"));
    }

    #[test]
    fn an_interface_that_is_up_needs_no_note() {
        assert!(notes("10.1.0.2:80", "0.0.0.0:80", |_| {}).is_empty());
    }
}
