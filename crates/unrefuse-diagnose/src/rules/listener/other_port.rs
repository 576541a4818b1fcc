//! listener/other-port

use super::{owner, taken_back};
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::catalogue::{self, KnownService};
use unrefuse_facts::{AttemptOutcome, Socket, SocketTable, Transport};

cause! {
    /// ## What it means
    ///
    /// Nothing listens on the asked port, but the service that usually does, or that the URL's scheme means, runs and
    /// listens on another one.
    ///
    /// ## How it shows
    ///
    /// Connection refused, while the service's own status says that it runs well.
    ///
    /// ## How to confirm by hand
    ///
    /// On the server: `ss -ltnp` shows the service's process with another port.
    ///
    /// ## How to fix
    ///
    /// Ask the port that it uses, or set the asked one in its configuration and restart it. A second installation of the
    /// same service (another PostgreSQL cluster, say) takes the next free port and keeps it after the first is gone.
    ///
    /// ## What it is often mistaken for
    ///
    /// `service/stopped`: the service was thought to be down, and was started again in vain.
    id: "listener/other-port",
    title: "the service listens on another port",
    root: false,
    instead_of: &["listener/none"],
    asks: Some("why it listens on that port: its configuration"),
    needs: &["sockets", "owners"],
    likes: &[],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let (Some(transport), target) = (view.transport(), &view.case.target) else { return Ok(Finding::Clear) };
    // Without the table or its owners nothing can be said; that something is missing is told by listener/none.
    let Ok(Some(table)) = view.server_sockets("") else { return Ok(Finding::Clear) };
    if table.listeners.iter().any(|s| s.local.port() == target.port) {
        return Ok(Finding::Clear);
    }
    let mut best: Option<(&KnownService, &Socket)> = None;
    for service in meant(target.port, transport, target.scheme.as_deref()) {
        let sockets = table.listeners.iter().filter(|s| s.transport == transport && is_of(service, table, s));
        for socket in sockets.filter(|s| is_another(service, target.port, s.local.port())) {
            let rank = |s: &Socket| {
                (view.takes(s) == Some(true), !s.local.ip().is_loopback(), std::cmp::Reverse(s.local.port()))
            };
            if best.is_none_or(|(_, have)| rank(have) < rank(socket)) {
                best = Some((service, socket));
            }
        }
    }
    let Some((service, socket)) = best else { return Ok(taken_back::moved(view, table, transport)) };
    let port = socket.local.port();
    let title = format!(
        "{} is {}, and listens on port {port}, not on {}",
        owner::short(table, socket),
        service.name,
        target.port
    );
    let certainty = if view.takes(socket) == Some(true) { Certainty::Likely } else { Certainty::Possible };
    let mut fired = Fired::new(certainty, title)
        .predicts(&[AttemptOutcome::Refused])
        .evidence(owner::evidence(view, table, socket))
        .evidence(Evidence::new(
            format!("no socket of this machine listens on port {}", target.port),
            owner::source(view),
        ));
    let listen = format!(
        "let {} listen on port {}, in its own configuration, and restart it",
        owner::short(table, socket),
        target.port
    );
    // On another address it refuses there, too.
    if view.takes(socket) != Some(false) {
        fired = fired.fix(ask(view, port));
    }
    Ok(fired.fix(Fix::new(view, Risk::Medium, listen)).fires())
}

/// The services that a target means: by its scheme where it has one, else by its port.
fn meant(port: u16, transport: Transport, scheme: Option<&str>) -> Vec<&'static KnownService> {
    let by_scheme: Vec<_> = scheme.into_iter().flat_map(catalogue::by_scheme).collect();
    if by_scheme.is_empty() { catalogue::by_port(port, transport).collect() } else { by_scheme }
}

/// The socket belongs to a process of that service, and is one that serves it.
fn is_of(service: &KnownService, table: &SocketTable, socket: &Socket) -> bool {
    // sshd's loopback sockets are its users' forwarded ports and X displays.
    let forwarded = service.id == "sshd" && socket.local.ip().is_loopback();
    !forwarded && table.owners(socket).iter().any(|p| catalogue::by_process(&p.command) == Some(service))
}

/// A listener on `has` may be what was meant by `asked`. `http://` is asked of everything on every port, and a web server
/// on 80 or 443 is where it belongs: it was not meant by another port.
fn is_another(service: &KnownService, asked: u16, has: u16) -> bool {
    let web = service.schemes.contains(&"http");
    let its = service.has_port(asked, Transport::Tcp) || WEB.contains(&asked);
    !web || its && (matches!(asked, 80 | 443) || !matches!(has, 80 | 443))
}

/// Ports that mean some web server.
const WEB: [u16; 4] = [80, 443, 8080, 8443];

/// The advice to ask that port.
pub(super) fn ask(view: &View<'_>, port: u16) -> Fix {
    let fix = Fix::new(view, Risk::Low, format!("ask port {port}"));
    let mut target = view.case.target.clone();
    target.port = port;
    fix.verify(view.verify_at(&target.endpoint()))
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::service::unit;
    use unrefuse_facts::{ActiveState, Clue, ClueKind, Observed, UnitFacts};

    #[test]
    fn the_service_of_the_port_listens_elsewhere() {
        let report = Scene::local("127.0.0.1:5432").listener("127.0.0.1:5433", "postgres").rst().report();
        assert_eq!(report.blockers.len(), 1, "listener/none is not told beside it");
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("listener/other-port", Certainty::Likely));
        assert_eq!(blocker.whys[0].title, "postgres[800] is PostgreSQL, and listens on port 5433, not on 5432");
        assert_eq!(
            (blocker.fixes[0].title.as_str(), blocker.fixes[0].verify.as_str()),
            ("ask port 5433", "unrefuse 127.0.0.1:5433")
        );
        assert!(blocker.fixes[0].steps.is_empty());
    }

    #[test]
    fn a_drop_in_that_moved_the_port_is_named() {
        let clue = |kind| Clue { kind, text: "a:2 says port 8091, and b:3 takes it back".into(), source: "b:3".into() };
        let roots = |kind, name: &str| {
            let app = UnitFacts { clues: vec![clue(kind)], ..unit("app.service", ActiveState::Active, "running") };
            let scene = Scene::local("127.0.0.1:8091").listener("127.0.0.1:8092", "app").with(|case| {
                let Observed::Known { value, .. } = &mut case.host.sockets else { panic!() };
                value.processes.values_mut().for_each(|process| process.running_as.unit = Some(name.to_owned()));
            });
            scene.units(vec![app]).rst().report().blockers[0].whys[0].title.clone()
        };
        let moved = roots(ClueKind::TakenBack, "app.service");
        assert_eq!(moved, "app.service listens on port 8092, not on 8091");
        assert!(roots(ClueKind::TakenBack, "other.service").starts_with("nothing listens"));
        assert!(roots(ClueKind::UnitFile, "app.service").starts_with("nothing listens"));
    }

    #[test]
    fn the_scheme_says_what_is_meant() {
        let scene = Scene::local("127.0.0.1:7000").listener("0.0.0.0:6379", "redis-server");
        assert_eq!(scene.with(|c| c.target.scheme = Some("redis".into())).rst().roots(), ["listener/other-port"]);
    }

    #[test]
    fn another_service_is_another_matter() {
        let roots = Scene::local("127.0.0.1:5432").listener("0.0.0.0:3306", "mysqld").rst().roots();
        assert_eq!(roots, ["listener/none"]);
    }

    #[test]
    fn a_web_server_at_its_own_port_is_not_what_another_port_means() {
        let scene = |endpoint: &str| {
            Scene::local(endpoint).listener("0.0.0.0:80", "nginx").with(|c| c.target.scheme = Some("http".into())).rst()
        };
        assert_eq!(scene("127.0.0.1:3000").roots(), ["listener/none"]);
        assert_eq!(scene("127.0.0.1:8080").roots(), ["listener/none"]);
        assert_eq!(scene("127.0.0.1:443").roots(), ["listener/other-port"]);
    }

    #[test]
    fn forwarded_ports_of_sshd_are_no_sshd() {
        assert_eq!(Scene::local("127.0.0.1:22").listener("127.0.0.1:6010", "sshd").rst().roots(), ["listener/none"]);
    }
}
