//! listener/other-address

use super::misfit::{Misfit, Misfits, ask_there};
use super::owner;
use crate::View;
use crate::finding::{CannotTell, Finding};
use crate::rule::cause;

cause! {
    /// ## What it means
    ///
    /// The service listens, but on another specific address of the machine than the one that is asked. A socket bound to
    /// one address takes nothing that is sent to another.
    ///
    /// ## How it shows
    ///
    /// One address of the machine is refused, another one answers. The same happens within loopback: a service on
    /// 127.0.0.1 is refused at 127.0.0.2 or 127.0.1.1.
    ///
    /// ## How to confirm by hand
    ///
    /// On the server: `ss -ltnp 'sport = :PORT'` shows a local address that is neither the one asked nor `0.0.0.0`, `*`
    /// or `[::]`.
    ///
    /// ## How to fix
    ///
    /// Ask the address that it listens on, or let it listen on the asked one (or on all) in its configuration and restart
    /// it. Where the machine's address has changed, the configuration still names the old one.
    ///
    /// ## What it is often mistaken for
    ///
    /// `listener/loopback-only`, where the other address is loopback; a firewall on one of two interfaces.
    id: "listener/other-address",
    title: "it listens on another address",
    root: false,
    asks: Some("why it listens on that address: its configuration"),
    needs: &["sockets"],
    likes: &["owners", "answer packet"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(found) = Misfits::nearest(view, Misfit::Address)? else { return Ok(Finding::Clear) };
    let who = owner::short(found.table, found.first());
    let title = format!("{who} listens on {}, not on {}", found.addresses(), view.endpoint());
    let listen = format!(
        "let {who} listen on {} or on all addresses, in its own configuration, and restart it",
        view.endpoint()
    );
    Ok(found
        .fired(view, title)
        .fix(ask_there(view, found.first()))
        .fix(found.configure(view, listen))
        .fires())
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;

    #[test]
    fn bound_to_another_address() {
        let report = Scene::local("127.0.0.1:80").listener("10.1.0.2:80", "nginx").rst().report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("listener/other-address", Certainty::Proven));
        assert_eq!(blocker.whys[0].title, "nginx[800] listens on 10.1.0.2:80, not on 127.0.0.1:80");
    }

    #[test]
    fn within_loopback_too() {
        assert_eq!(
            Scene::local("127.0.0.2:80").listener("127.0.0.1:80", "x").rst().roots(),
            ["listener/other-address"]
        );
    }

    #[test]
    fn ipv4_mapped_addresses_are_ipv4() {
        let scene = Scene::local("10.1.0.2:80").listener("[::ffff:10.7.0.1]:80", "java");
        assert_eq!(scene.rst().roots(), ["listener/other-address"]);
        let scene = Scene::local("10.1.0.2:80").listener("[::ffff:127.0.0.1]:80", "java");
        assert_eq!(scene.rst().roots(), ["listener/loopback-only"]);
    }

    #[test]
    fn the_right_address_is_not_another() {
        let scene = Scene::local("10.1.0.2:80").listener("10.1.0.2:80", "nginx").listener("10.7.0.1:80", "nginx");
        assert!(!scene.rst().roots().contains(&"listener/other-address".to_owned()));
    }
}
