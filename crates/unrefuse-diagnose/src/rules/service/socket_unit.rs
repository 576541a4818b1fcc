//! service/socket-unit

use super::meant::{Meant, meant};
use super::{act, drop_in};
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::text::visible;
use unrefuse_facts::{ActiveState, UnitFacts, UnitListen};

cause! {
    /// ## What it means
    ///
    /// systemd listens for the service: its `.socket` unit opens the port and hands it over. Then the addresses and ports
    /// in the service's own configuration do not count. The socket unit is stopped, or says another port or address than
    /// the one that was asked for.
    ///
    /// ## How it shows
    ///
    /// The port in the service's configuration is refused, though the service is fine; the holder of the port that is
    /// open is systemd itself (pid 1). With sshd on new Debian and Ubuntu: `Port 2222` in sshd_config has no effect.
    ///
    /// ## How to confirm by hand
    ///
    /// `systemctl list-sockets` shows what systemd listens on and for whom; `systemctl cat UNIT.socket`.
    ///
    /// ## How to fix
    ///
    /// Start the socket unit; or change its `ListenStream=` with a drop-in (an empty one first, to take back the old);
    /// or disable it and let the service listen itself.
    ///
    /// ## What it is often mistaken for
    ///
    /// A service that ignores its configuration, or was not reloaded.
    id: "service/socket-unit",
    title: "systemd's socket unit does not listen there",
    explains: &["listener/none", "listener/other-port", "listener/loopback-only", "listener/other-address", "listener/other-family"],
    begins: false,
    needs: &["units"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(meant) = meant(view)? else { return Ok(Finding::Clear) };
    let starts = |unit: &&UnitFacts| {
        unit.is_socket() && (unit.triggers.contains(&meant.unit.name) || meant.unit.triggered_by.contains(&unit.name))
    };
    let Some(socket) = meant.beside().find(starts) else { return Ok(Finding::Clear) };
    let port = view.case.target.port;
    let serves = |listen: &UnitListen| listen.port() == Some(port);
    let streams: Vec<String> = socket.listens.iter().map(|l| visible(&l.address)).collect();
    let (name, service) = (act::name(socket), act::name(meant.unit));
    let here = socket.listens.iter().any(serves);
    let in_use = matches!(socket.active, ActiveState::Active | ActiveState::Reloading);
    // Distributions ship socket units that nobody uses: the service is then started without it.
    let wanted = socket.active == ActiveState::Failed || socket.is_enabled() != Some(false);
    if !in_use && here && wanted && !meant.unit.is_running() && meant.failed_need().is_none() {
        return Ok(stopped(view, &meant, socket));
    }
    // A service that runs with a socket unit that is active got its socket from it.
    let takes = socket.listens.iter().filter(|l| serves(l)).any(|l| reaches(view, l));
    if !in_use || takes || streams.is_empty() || socket.listens.iter().all(|l| l.port().is_none()) {
        return Ok(Finding::Clear);
    }
    let mut fired = Fired::new(
        meant.certainty.min(Certainty::Likely),
        format!("systemd listens for {service}: {name} says {}", streams.join(", ")),
    )
    .evidence(Evidence::new(format!("{name} is active and listens on {}", streams.join(", ")), meant.source()))
    .evidence(Evidence::new(
        format!("{name} hands its sockets to {service}: what its own configuration says does not count"),
        "systemd.socket(5)",
    ))
    .evidences(meant.because(view));
    fired.fixes.extend(listen_too(view, socket, &meant));
    fired.fixes.extend(without(view, socket, &meant));
    Ok(fired.fires())
}

/// Whether a socket of that address would take the packet.
fn reaches(view: &View<'_>, listen: &UnitListen) -> bool {
    match (listen.ip(), view.ip()) {
        (Some(own), Some(asked)) => own.is_unspecified() && (own.is_ipv6() || asked.is_ipv4()) || own == asked,
        _ => true,
    }
}

fn stopped(view: &View<'_>, meant: &Meant<'_>, socket: &UnitFacts) -> Finding {
    let name = act::name(socket);
    let failed = if socket.active == ActiveState::Failed { "failed" } else { "not active" };
    let mut fired =
        Fired::new(meant.certainty, format!("{name}, which listens for {}, is {failed}", act::name(meant.unit)))
            .evidence(Evidence::new(format!("{name} is {failed}"), meant.source()))
            .evidences(meant.because(view));
    if let Some((start, stop)) = act::systemctl(view, "start", socket).zip(act::systemctl(view, "stop", socket)) {
        fired = fired.fix(Fix::new(view, Risk::Low, format!("start {name}")).command(start).undo(stop));
    }
    fired.fires()
}

/// The socket unit listens on the port that was asked for as well.
fn listen_too(view: &View<'_>, socket: &UnitFacts, meant: &Meant<'_>) -> Option<Fix> {
    let port = view.case.target.port;
    // A wildcard address is not to be had beside another address of the port: that goes, and the others are said anew, for
    // what empties the list takes all (systemd.socket(5)).
    let only_v6 = socket.bind_ipv6_only.as_deref() == Some("ipv6-only") && view.ip().is_some_and(|ip| ip.is_ipv4());
    let stays =
        |listen: &&UnitListen| listen.port() != Some(port) || only_v6 && listen.ip().is_some_and(|ip| ip.is_ipv6());
    let kept: Vec<String> = socket.listens.iter().filter(stays).map(assignment).collect::<Option<_>>()?;
    let place = if only_v6 { format!("0.0.0.0:{port}") } else { port.to_string() };
    let (mut settings, mut how) = (Vec::new(), "too");
    if kept.len() < socket.listens.len() {
        settings.push("ListenStream=".to_owned());
        settings.extend(kept);
        how = "of every address";
    }
    settings.push(format!("ListenStream={place}"));
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let fix = Fix::new(view, Risk::Medium, format!("let {} listen on port {port} {how}", act::name(socket)));
    let fix = drop_in::file(view, fix, socket, "listen", "Socket", &settings)?;
    // A socket unit cannot be restarted while its service holds the sockets (systemd.socket(5)).
    let (stop, restart) = (act::systemctl(view, "stop", meant.unit)?, act::systemctl(view, "restart", socket)?);
    Some(fix.command(stop.clone()).command(restart.clone()).undo(stop).undo(restart))
}

/// The address as a socket unit says it; `None` where it holds what does not go into a drop-in as it is.
fn assignment(listen: &UnitListen) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/:.[]@_-".contains(c);
    let is_plain = |text: &str| !text.is_empty() && text.chars().all(plain);
    (is_plain(&listen.kind) && is_plain(&listen.address)).then(|| format!("Listen{}={}", listen.kind, listen.address))
}

/// The service listens itself.
fn without(view: &View<'_>, socket: &UnitFacts, meant: &Meant<'_>) -> Option<Fix> {
    let title = format!("or let {} listen itself, as its own configuration says", act::name(meant.unit));
    Some(
        Fix::new(view, Risk::Medium, title)
            .command(act::systemctl(view, "disable --now", socket)?)
            .command(act::systemctl(view, "enable", meant.unit)?)
            .command(act::systemctl(view, "restart", meant.unit)?)
            .undo(act::systemctl(view, "disable --now", meant.unit)?)
            .undo(act::systemctl(view, "enable --now", socket)?)
            .persistent(),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::service::{commands, unit};
    use unrefuse_facts::{ActiveState, UnitFacts, UnitListen};

    fn units(active: ActiveState, address: &str) -> Vec<UnitFacts> {
        let mut socket = unit("ssh.socket", active, "listening");
        socket.triggers = vec!["ssh.service".into()];
        socket.listens = vec![UnitListen { kind: "Stream".into(), address: address.into() }];
        let service = unit("ssh.service", ActiveState::Inactive, "dead");
        vec![service, socket]
    }

    #[test]
    fn a_socket_unit_that_is_stopped() {
        let roots = Scene::local("127.0.0.1:22").rst().units(units(ActiveState::Inactive, "[::]:22")).roots();
        assert_eq!(roots, ["service/socket-unit"]);
    }

    #[test]
    fn a_socket_unit_that_nobody_uses_is_no_reason() {
        let mut units = units(ActiveState::Inactive, "[::]:22");
        units[1].file_state = Some("disabled".into());
        assert_eq!(Scene::local("127.0.0.1:22").rst().units(units).roots(), ["service/stopped"]);
    }

    #[test]
    fn a_socket_unit_that_says_another_port() {
        let scene = Scene::local("127.0.0.1:2222").rst().units(units(ActiveState::Active, "[::]:22"));
        let report = scene.report();
        assert_eq!(report.blockers[0].root, "service/socket-unit");
        assert_eq!(report.blockers[0].fixes.len(), 2);
    }

    #[test]
    fn another_address_of_the_port_makes_room() {
        let mut units = units(ActiveState::Active, "127.0.0.1:22");
        units[1].listens.push(UnitListen { kind: "Stream".into(), address: "/run/s".into() });
        let report = Scene::local("10.1.0.2:22").listener("127.0.0.1:22", "systemd").rst().units(units).report();
        assert_eq!(report.blockers[0].root, "service/socket-unit");
        let command = &commands(&report, 0)[1];
        let says = "'[Socket]\\nListenStream=\\nListenStream=/run/s\\nListenStream=22\\n'";
        assert!(command.contains(says), "{command}");
    }

    #[test]
    fn a_socket_unit_that_listens_there_is_no_reason() {
        let roots = Scene::local("127.0.0.1:22").rst().units(units(ActiveState::Active, "[::]:22")).roots();
        assert_ne!(roots, ["service/socket-unit"]);
    }

    #[test]
    fn a_service_of_its_own_is_only_stopped() {
        let ssh = unit("ssh.service", ActiveState::Inactive, "dead");
        assert_eq!(Scene::local("127.0.0.1:22").rst().units(vec![ssh]).roots(), ["service/stopped"]);
    }
}
