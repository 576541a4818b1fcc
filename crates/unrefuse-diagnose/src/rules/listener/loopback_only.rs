//! listener/loopback-only

use super::misfit::{Misfit, Misfits, ask_there};
use super::owner;
use crate::View;
use crate::finding::{CannotTell, Finding};
use crate::rule::cause;

cause! {
    /// ## What it means
    ///
    /// The service runs and listens, but only on a loopback address (127.0.0.1 or ::1). A packet to any other address of
    /// the machine finds no socket, and the kernel refuses it with a RST.
    ///
    /// ## How it shows
    ///
    /// It works on the machine itself by `localhost`, and is refused from everywhere else, and on the machine itself by
    /// its own network address.
    ///
    /// ## How to confirm by hand
    ///
    /// On the server: `ss -ltnp 'sport = :PORT'` shows only `127.0.0.1:PORT` or `[::1]:PORT` as local address.
    ///
    /// ## How to fix
    ///
    /// Let the service listen on the address that is asked, or on all addresses, in its own configuration, and restart
    /// it. Loopback is the default of many databases for a good reason: before opening one, see that it asks for a
    /// password and that the firewall lets in only who should come. Where the client is on the same machine, ask
    /// `localhost` instead.
    ///
    /// ## What it is often mistaken for
    ///
    /// A firewall: the refusal looks the same. A service that is down (`listener/none`).
    id: "listener/loopback-only",
    title: "it listens on loopback only",
    root: false,
    // A bind to the own name that is 127.0.1.1 is found from both sides; here it is the deeper why.
    instead_of: &["name/own-name-loopback"],
    asks: Some("why it listens on loopback only: its configuration or its default"),
    needs: &["sockets"],
    likes: &["owners", "answer packet"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(found) = Misfits::nearest(view, Misfit::Loopback)? else { return Ok(Finding::Clear) };
    let who = owner::short(found.table, found.first());
    let title = format!("{who} listens on {} only, which is loopback, not on {}", found.addresses(), view.endpoint());
    let listen = format!(
        "let {who} listen on {} or on all addresses, in its own configuration, and restart it",
        view.endpoint()
    );
    Ok(found
        .fired(view, title)
        .fix(found.configure(view, listen))
        .fix(ask_there(view, found.first()))
        .fires())
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::filter::accepted;

    #[test]
    fn bound_to_loopback_and_asked_by_the_network_address() {
        let scene =
            Scene::local("10.1.0.2:5432").listener("127.0.0.1:5432", "postgres").listener("[::1]:5432", "postgres");
        let report = scene.rst().report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("listener/loopback-only", Certainty::Proven));
        assert_eq!(
            blocker.whys[0].title,
            "postgres[800] listens on 127.0.0.1:5432 and [::1]:5432 only, which is loopback, not on 10.1.0.2:5432"
        );
        assert!(blocker.whys[0].evidence.iter().any(|e| e.text.contains("[::1]:5432")), "the other family is told too");
        assert_eq!(blocker.fixes[1].verify, "unrefuse 127.0.0.1:5432");
    }

    #[test]
    fn a_client_elsewhere_is_not_sent_to_loopback() {
        let scene = Scene::local("10.1.0.2:5432").listener("127.0.0.1:5432", "postgres");
        let report = scene.filtered(None, Some(accepted())).asked_from("10.5.0.9").report();
        assert_eq!(report.blockers[0].root, "listener/loopback-only");
        assert!(!report.blockers[0].fixes.iter().any(|fix| fix.title.starts_with("ask")), "{:?}", report.blockers);
    }

    #[test]
    fn only_the_other_familys_loopback_is_loopback_all_the_same() {
        assert_eq!(Scene::local("10.1.0.2:80").listener("[::1]:80", "x").rst().roots(), ["listener/loopback-only"]);
    }

    #[test]
    fn another_address_beside_loopback_is_not_loopback_only() {
        let scene = Scene::local("10.1.0.2:80").listener("127.0.0.1:80", "nginx").listener("10.7.0.1:80", "nginx");
        assert_eq!(scene.rst().roots(), ["listener/other-address"]);
    }

    #[test]
    fn a_wildcard_listener_takes_it() {
        let scene = Scene::local("10.1.0.2:80").listener("127.0.0.1:80", "nginx").listener("[::]:80", "nginx");
        assert!(!scene.rst().roots().contains(&"listener/loopback-only".to_owned()));
    }
}
