//! listener/other-protocol

use super::owner;
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::{AttemptOutcome, Transport};

cause! {
    /// ## What it means
    ///
    /// TCP and UDP have port numbers of their own. Nothing listens on that port with the asked one of the two, but a
    /// service listens on the same number with the other.
    ///
    /// ## How it shows
    ///
    /// TCP is refused with a RST, UDP with ICMP port unreachable, though `ss` seems to show the port open.
    ///
    /// ## How to confirm by hand
    ///
    /// On the server: `ss -lnp 'sport = :PORT'` shows the port behind `udp` and not behind `tcp`, or the other way round.
    ///
    /// ## How to fix
    ///
    /// Ask with the service's own protocol: DNS, NTP, SNMP, syslog, WireGuard and QUIC (HTTP/3) speak UDP, most others
    /// TCP. A service that should speak both has usually a line for each in its configuration (syslog: `imudp` and `imtcp`;
    /// HTTP/3 needs a TCP listener beside the QUIC one, because browsers begin with TCP).
    ///
    /// ## What it is often mistaken for
    ///
    /// `listener/none`; a firewall, because a published or allowed port of the wrong protocol looks right at first sight.
    id: "listener/other-protocol",
    title: "it listens with the other protocol, UDP instead of TCP or the reverse",
    root: false,
    instead_of: &["listener/none"],
    asks: Some("why it does not listen with both protocols: its configuration"),
    needs: &["sockets"],
    likes: &["owners"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(asked) = view.transport() else { return Ok(Finding::Clear) };
    let Some(table) = view.server_sockets("whether something listens with the other protocol")? else {
        return Ok(Finding::Clear);
    };
    let other = match asked {
        Transport::Tcp => Transport::Udp,
        Transport::Udp => Transport::Tcp,
    };
    if !view.on_port(table, asked).is_empty() {
        return Ok(Finding::Clear);
    }
    let sockets = view.on_port(table, other);
    let would_take = |s: &&unrefuse_facts::Socket| view.takes(s) == Some(true);
    let taker = sockets.iter().copied().find(would_take);
    let Some(socket) = taker.or_else(|| sockets.first().copied()) else { return Ok(Finding::Clear) };
    let who = owner::short(table, socket);
    let port = view.case.target.port;
    let (asked, other) = (asked.name(), other.name());
    let certainty = if taker.is_some() { Certainty::Proven } else { Certainty::Likely };
    let mut fired =
        Fired::new(certainty, format!("{who} listens on {}/{other}, and nothing on {port}/{asked}", socket.local))
            .predicts(&[AttemptOutcome::Refused])
            .evidences(sockets.iter().map(|s| owner::evidence(view, table, s)))
            .evidence(Evidence::new(
                format!("no {asked} socket of this machine listens on port {port}"),
                owner::source(view),
            ))
            .fix(ask(view, other));
    fired.unknown.extend(owner::unknown(table, socket));
    Ok(fired.fires())
}

/// The advice to ask with the other protocol.
fn ask(view: &View<'_>, other: &str) -> Fix {
    let how = if other == "udp" { "ask with --udp, if the client can speak UDP" } else { "ask without --udp" };
    let fix = Fix::new(view, Risk::Low, how);
    fix.verify(view.again().udp(other == "udp").said(&view.case.target.endpoint()))
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use unrefuse_facts::{Protocol, SocketState, Transport};

    fn udp(socket: &mut unrefuse_facts::Socket) {
        (socket.transport, socket.state) = (Transport::Udp, SocketState::Unconnected);
    }

    #[test]
    fn udp_where_tcp_was_asked() {
        let report = Scene::local("127.0.0.1:514").socket("0.0.0.0:514", "rsyslogd", udp).rst().report();
        assert_eq!(report.blockers.len(), 1, "listener/none is not told beside it");
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("listener/other-protocol", Certainty::Proven));
        assert_eq!(blocker.whys[0].title, "rsyslogd[800] listens on 0.0.0.0:514/udp, and nothing on 514/tcp");
        assert_eq!(blocker.fixes[0].verify, "unrefuse --udp 127.0.0.1:514");
    }

    #[test]
    fn tcp_where_udp_was_asked() {
        let scene =
            Scene::local("127.0.0.1:53").listener("0.0.0.0:53", "named").with(|c| c.target.protocol = Protocol::Udp);
        let report = scene.rst().report();
        assert_eq!(report.blockers[0].root, "listener/other-protocol");
        assert_eq!(report.blockers[0].fixes[0].verify, "unrefuse 127.0.0.1:53");
    }

    #[test]
    fn a_listener_of_the_asked_protocol_speaks_for_itself() {
        let scene = Scene::local("10.1.0.2:53").socket("0.0.0.0:53", "named", udp).listener("127.0.0.1:53", "named");
        assert_eq!(scene.rst().roots(), ["listener/loopback-only"]);
    }
}
