//! name/own-name-loopback

use super::lines;
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::{quote, with_address, without_name};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::{When, cause};
use std::net::IpAddr;
use unrefuse_facts::{AttemptOutcome, Family, HostsEntry, Socket, SocketTable, text};

cause! {
    /// ## What it means
    ///
    /// The hosts file gives the machine's own name a loopback address (`127.0.1.1` on Debian and its kin). Whoever asks
    /// this machine for its own name gets an address that only this machine has. A service told to listen on that name
    /// listens on loopback, and no other machine reaches it; a client here that asks for that name misses a service
    /// that listens on the real address.
    ///
    /// ## How it shows
    ///
    /// A listener on `127.0.1.1:PORT`; or a refused connection to `127.0.1.1:PORT` while the service listens on the
    /// machine's real address. Clusters (Hadoop, Spark, Erlang, MPI …) that announce their host name meet it often.
    ///
    /// ## How to confirm by hand
    ///
    /// `getent ahosts "$(hostname)"`, and `ss -ltn 'sport = :PORT'`.
    ///
    /// ## How to fix
    ///
    /// Give the name the machine's real address in the hosts file, then restart the service, which looks its name up
    /// only when it starts. Or let the service listen on an address in place of the name.
    ///
    /// ## What it is often mistaken for
    ///
    /// A service that is configured for loopback only (`config/loopback-bind`): its configuration names the host, and
    /// the hosts file makes loopback of it.
    id: "name/own-name-loopback",
    title: "the hosts file gives the machine's own name a loopback address",
    explains: &["listener/loopback-only"],
    instead_of: &["listener/none", "listener/other-address"],
    needs: &["host name", "hosts file", "sockets"],
    likes: &["addresses"],
    when: When::Always,
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let (Some(ip), Some(transport)) = (view.ip(), view.transport()) else { return Ok(Finding::Clear) };
    let refused = view.rounds.iter().any(|a| a.outcome == AttemptOutcome::Refused);
    if !refused || view.is_local() != Some(true) {
        return Ok(Finding::Clear);
    }
    let own = view.case.host.hostname.get();
    let (own, table) = match (own, view.server_sockets("whether the own name leads to the service")?) {
        (Ok(own), Some(table)) => (own.as_str(), table),
        // Without its name the machine's own lines cannot be told from others.
        _ => return Ok(Finding::Clear),
    };
    let listeners = view.on_port(table, transport);
    if listeners.iter().any(|s| view.takes(s) != Some(false)) {
        return Ok(Finding::Clear);
    }
    if ip.is_loopback() { missed(view, own, ip, table, &listeners) } else { bound(view, own, ip, table, &listeners) }
}

/// The client asked for this machine's own name, and got a loopback address that the service does not listen on.
fn missed(
    view: &View<'_>,
    own: &str,
    ip: IpAddr,
    table: &SocketTable,
    listeners: &[&Socket],
) -> Result<Finding, CannotTell> {
    let Some(name) = lines::name(view).filter(|name| is_own(name, own)) else { return Ok(Finding::Clear) };
    let Some(entry) = lines::giving(view, name).into_iter().find(|e| e.address == ip) else {
        return Ok(Finding::Clear);
    };
    let real = |s: &&&Socket| s.local.ip().to_canonical() != ip && reachable(view, s.local.ip().to_canonical());
    let Some(socket) = listeners.iter().find(real) else { return Ok(Finding::Clear) };
    let title =
        format!("this machine's own name {} is {ip}, and the service listens on {}", text::visible(name), socket.local);
    let fired = Fired::new(Certainty::Proven, title)
        .predicts(&[AttemptOutcome::Refused])
        .evidence(lines::line(entry))
        .evidences(lines::resolved(view))
        .evidence(listens(view, table, socket))
        .fix(real_address(view, entry, own, socket.local.ip().to_canonical(), None));
    Ok(fired.fires())
}

/// The service was told to listen on this machine's own name, and the hosts file made a loopback address of it.
fn bound(
    view: &View<'_>,
    own: &str,
    ip: IpAddr,
    table: &SocketTable,
    listeners: &[&Socket],
) -> Result<Finding, CannotTell> {
    let entries = view.case.host.resolver.hosts.value().map(|file| file.entries.as_slice()).unwrap_or_default();
    // 127.0.0.1 and ::1 are what a service binds that means loopback; a name makes it bind one of the others.
    let plain =
        |address: IpAddr| address == IpAddr::from([127, 0, 0, 1]) || address == IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]);
    let found = listeners.iter().find_map(|socket| {
        let local = socket.local.ip().to_canonical();
        let gives = |e: &&HostsEntry| e.address == local && e.names.iter().any(|n| is_own(n, own));
        (local.is_loopback() && !plain(local)).then(|| entries.iter().find(gives).map(|entry| (*socket, entry)))?
    });
    let Some((socket, entry)) = found else { return Ok(Finding::Clear) };
    let owner = table.owners(socket).into_iter().next();
    let who = owner.map_or_else(|| "the service".to_owned(), |p| text::visible(&p.label()));
    let local = socket.local.ip().to_canonical();
    let real = (Family::of(&ip) == Family::of(&local)).then_some(ip).or_else(|| own_address(view, Family::of(&local)));
    let unit = owner.and_then(|p| p.running_as.unit.as_deref().filter(|_| !p.running_as.user_unit));
    let title = format!(
        "{} gives this machine's own name {} the address {local}, where {who} listens",
        entry.location,
        text::visible(own)
    );
    let fired = Fired::new(Certainty::Likely, title)
        .predicts(&[AttemptOutcome::Refused])
        .evidence(lines::line(entry))
        .evidence(listens(view, table, socket))
        .fix(real.and_then(|real| real_address(view, entry, own, real, Some((&who, unit)))));
    Ok(fired.fires())
}

/// `name` is the host name, or the same up to the first dot.
fn is_own(name: &str, own: &str) -> bool {
    let label = |s: &str| s.split('.').next().unwrap_or_default().to_ascii_lowercase();
    !name.eq_ignore_ascii_case("localhost") && !label(name).is_empty() && label(name) == label(own)
}

/// An address that others can use: this machine's, not loopback.
fn reachable(view: &View<'_>, ip: IpAddr) -> bool {
    !ip.is_loopback() && !ip.is_unspecified() && view.case.is_local(ip) == Some(true)
}

fn own_address(view: &View<'_>, family: Family) -> Option<IpAddr> {
    let own = view.case.host.addresses.value()?.iter().filter(|a| !a.tentative).map(|a| a.address);
    let link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    own.into_iter().find(|ip| Family::of(ip) == family && !ip.is_loopback() && !link_local(ip))
}

fn listens(view: &View<'_>, table: &SocketTable, socket: &Socket) -> Evidence {
    let owner = table.owners(socket).first().map_or_else(|| "a socket".to_owned(), |p| text::visible(&p.label()));
    let source = view.case.host.sockets.source().map_or("socket table", |s| &s.what);
    Evidence::new(format!("{owner} listens on {}", socket.local), source)
}

/// The line gets the real address; where it also serves other names (localhost), only the own name leaves it.
fn real_address(
    view: &View<'_>,
    entry: &HostsEntry,
    own: &str,
    real: IpAddr,
    service: Option<(&str, Option<&str>)>,
) -> Option<Fix> {
    let only_own = entry.names.iter().all(|name| is_own(name, own));
    let (edit, what) = if only_own {
        (with_address(entry, real)?, format!("give this machine's own name its real address {real}"))
    } else {
        let name = entry.names.iter().find(|name| is_own(name, own))?;
        (without_name(entry, name)?, format!("take {} out of the loopback line", text::visible(name)))
    };
    Some(match service {
        None => Fix::new(view, Risk::Medium, what).edit(edit).persistent(),
        Some((_, Some(unit))) => {
            let restart = format!("systemctl restart {}", quote(unit)?);
            let fix = Fix::new(view, Risk::High, format!("{what}, and restart {}", text::visible(unit))).edit(edit);
            fix.command(restart.clone()).undo(restart).persistent()
        }
        Some((who, None)) => Fix::new(view, Risk::High, format!("{what}; then restart {who}")).edit(edit).persistent(),
    })
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Step};
    use crate::testing::Scene;
    use crate::{Finding, View};

    fn missed(listener: &str) -> Scene {
        Scene::local("127.0.1.1:9000")
            .named("here", &["127.0.1.1:9000"])
            .hosts(&["127.0.0.1 localhost", "127.0.1.1\there.example here"])
            .listener(listener, "java")
            .rst()
    }

    #[test]
    fn the_own_name_leads_past_the_service() {
        let report = missed("10.1.0.2:9000").report();
        assert_eq!(report.blockers.len(), 1, "{:?}", report.blockers);
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("name/own-name-loopback", Certainty::Proven));
        let Step::Edit { edit } = &blocker.fixes[0].steps[0] else { panic!("{:?}", blocker.fixes) };
        assert_eq!((edit.line, edit.new.as_str()), (2, "10.1.0.2\there.example here"));
    }

    #[test]
    fn a_line_shared_with_localhost_only_loses_the_name() {
        let report = missed("10.1.0.2:9000").hosts(&["127.0.1.1 localhost here"]).report();
        let Step::Edit { edit } = &report.blockers[0].fixes[0].steps[0] else { panic!("{:?}", report.blockers) };
        assert_eq!(edit.new, "127.0.1.1\tlocalhost");
    }

    #[test]
    fn it_is_why_a_service_listens_on_127_0_1_1() {
        let case = Scene::local("10.1.0.2:9000")
            .hosts(&["127.0.1.1 here"])
            .listener("127.0.1.1:9000", "java")
            .process(|p| p.running_as.unit = Some("hdfs.service".into()))
            .rst()
            .case();
        let Ok(Finding::Fires(fired)) = super::check(&View::all(&case)[0]) else { panic!("it does not fire") };
        assert!(fired.title.contains("/etc/hosts:1"), "{}", fired.title);
        let Step::Command { command } = &fired.fixes[0].steps[1] else { panic!("{:?}", fired.fixes) };
        assert_eq!(command, "systemctl restart hdfs.service");
    }

    #[test]
    fn a_service_bound_to_plain_loopback_means_it() {
        let case =
            Scene::local("10.1.0.2:9000").hosts(&["127.0.1.1 here"]).listener("127.0.0.1:9000", "java").rst().case();
        assert_eq!(super::check(&View::all(&case)[0]), Ok(Finding::Clear));
    }

    #[test]
    fn nothing_listens_at_the_real_address_either() {
        let roots = missed("10.1.0.2:9001").roots();
        assert_eq!(roots, ["listener/none"]);
    }

    #[test]
    fn another_machines_name_is_not_the_own_name() {
        let roots = missed("10.1.0.2:9000").with(|c| c.host.hostname = unrefuse_facts::Observed::default()).roots();
        assert!(!roots.contains(&"name/own-name-loopback".to_owned()), "{roots:?}");
    }
}
