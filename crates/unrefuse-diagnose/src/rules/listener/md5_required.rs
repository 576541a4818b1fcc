//! listener/md5-required

use super::owner;
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::{AttemptOutcome, Transport};

/// What `tcp_inbound_hash` (include/net/tcp.h) counts when it drops a segment that carries no signature.
const COUNTERS: [&str; 2] = ["TcpExt.TCPMD5NotFound", "TcpExt.TCPAORequired"];

cause! {
    /// ## What it means
    ///
    /// The listening socket demands that each segment is signed with a key (TCP-MD5, RFC 2385, or TCP-AO, RFC 5925), as BGP
    /// daemons do. The kernel drops an unsigned SYN without an answer.
    ///
    /// ## How it shows
    ///
    /// The client times out, as behind a firewall that drops; the counter `TcpExtTCPMD5NotFound` or `TcpExtTCPAORequired`
    /// of the server rises with each SYN.
    ///
    /// ## How to confirm by hand
    ///
    /// On the server: `ss -ltni 'sport = :PORT'` as root shows `md5keys:`, and `nstat -az TcpExtTCPMD5NotFound` rises.
    ///
    /// ## How to fix
    ///
    /// Give the client the same key (BGP: `neighbor … password`), or take the key for this client out of the server's
    /// configuration.
    ///
    /// ## What it is often mistaken for
    ///
    /// A firewall or an access list: the silence is the same.
    id: "listener/md5-required",
    title: "the listener demands signed segments (TCP-MD5, TCP-AO)",
    instead_of: &["path/filtered"],
    needs: &["sockets"],
    likes: &["keys of the listener (CAP_NET_ADMIN)", "counters"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    if view.transport() != Some(Transport::Tcp) || view.outcome() != Some(AttemptOutcome::TimedOut) {
        return Ok(Finding::Clear);
    }
    let Some(table) = view.server_sockets("whether the listener demands signed segments")? else {
        return Ok(Finding::Clear);
    };
    let Some(socket) = view.takers(table).into_iter().next() else { return Ok(Finding::Clear) };
    let counters = view.case.host.counters.value();
    let known = counters.is_some_and(|all| COUNTERS.iter().any(|name| all.contains_key(*name)));
    let moved: Vec<(&str, u64)> = COUNTERS
        .into_iter()
        .filter_map(|name| Some((name, counters?.get(name)?.moved())))
        .filter(|(_, moved)| *moved > 0)
        .collect();
    let certainty = match (socket.md5, moved.is_empty()) {
        (Some(false), _) | (None, true) => return Ok(Finding::Clear),
        (Some(true), false) => Certainty::Proven,
        // The keys may be for other clients than this one; a counter that stood still says so.
        (Some(true), true) if known => Certainty::Possible,
        (Some(true), true) | (None, false) => Certainty::Likely,
    };
    let who = owner::short(table, socket);
    let mut fired =
        Fired::new(certainty, format!("{who} on {} demands signed segments (TCP-MD5 or TCP-AO)", socket.local))
            .predicts(&[AttemptOutcome::TimedOut]);
    if socket.md5 == Some(true) {
        fired = fired
            .evidence(Evidence::new(format!("the socket on {} has signature keys", socket.local), owner::source(view)));
    }
    let source = view.case.host.counters.source().map_or("/proc/net/netstat", |s| &s.what);
    for (name, moved) in moved {
        fired = fired.evidence(Evidence::new(format!("{name} rose by {moved} during the attempt"), source));
    }
    let title =
        format!("give the client the key that {who} has for it, or take that key out of the configuration of {who}");
    Ok(fired.evidence(owner::evidence(view, table, socket)).fix(Fix::new(view, Risk::Medium, title)).fires())
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use unrefuse_facts::{Counter, Observed, Source};

    fn scene(md5: Option<bool>, moved: Option<u64>) -> Scene {
        let scene = Scene::local("10.1.0.2:179").socket("0.0.0.0:179", "bgpd", |s| s.md5 = md5);
        let Some(moved) = moved else { return scene };
        let counter = Counter { before: 4, after: 4 + moved };
        let counters = [("TcpExt.TCPMD5NotFound".to_owned(), counter)].into();
        scene.with(|c| c.host.counters = Observed::known(counters, Source::running("/proc/net/netstat")))
    }

    #[test]
    fn keys_and_a_moving_counter_prove_it() {
        let report = scene(Some(true), Some(2)).silent().report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("listener/md5-required", Certainty::Proven));
    }

    #[test]
    fn one_sign_alone_is_less_sure() {
        assert_eq!(scene(Some(true), None).silent().report().blockers[0].certainty, Certainty::Likely);
        assert_eq!(scene(None, Some(1)).silent().report().blockers[0].certainty, Certainty::Likely);
        assert_eq!(scene(Some(true), Some(0)).silent().report().blockers[0].certainty, Certainty::Possible);
    }

    #[test]
    fn without_keys_or_without_silence_it_is_something_else() {
        assert!(scene(Some(false), Some(2)).silent().roots().is_empty());
        assert!(scene(None, Some(0)).silent().roots().is_empty());
        assert!(!scene(Some(true), Some(2)).rst().roots().contains(&"listener/md5-required".to_owned()));
    }
}
