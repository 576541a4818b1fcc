//! service/address-in-use

use super::meant::{Meant, meant};
use super::{act, log};
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::quote;
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::text::visible;
use unrefuse_facts::{Process, Socket, SocketState, SocketTable, Transport, UnitFacts, UnitUser};

cause! {
    /// ## What it means
    ///
    /// The service could not open a port that it wants, because somebody else has it: another service, a second instance
    /// of its own, a process started by hand, or a connection whose own port happens to be the one (ports from
    /// `net.ipv4.ip_local_port_range` are given to outgoing connections). A service that wants several ports mostly gives
    /// up all of them when one is taken.
    ///
    /// ## How it shows
    ///
    /// The service's log says "Address already in use" (EADDRINUSE, 98). The port that was asked for may answer, with the
    /// wrong service, or be refused where the other one listens at another address.
    ///
    /// ## How to confirm by hand
    ///
    /// `ss -tlnp 'sport = :PORT'` names who listens, `ss -tanp 'sport = :PORT'` any connection that has the port.
    ///
    /// ## How to fix
    ///
    /// Decide which of the two shall have the port. Stop and disable the other one, or give one of them another port.
    /// Where an outgoing connection took it: end that one, and reserve the port with
    /// `net.ipv4.ip_local_reserved_ports`.
    ///
    /// ## What it is often mistaken for
    ///
    /// A missing right to open the port (`service/privileged-port`), and an address that the machine does not have
    /// (`service/address-missing`): all three end in "could not bind".
    id: "service/address-in-use",
    title: "another process holds the port that the service wants",
    explains: &["service/failed", "service/crash-loop", "listener/none", "listener/loopback-only", "listener/other-address", "listener/other-family"],
    begins: false,
    needs: &["journal", "sockets"],
    check: check,
}

/// A socket with the port, and who has it.
struct Holder<'a> {
    table: &'a SocketTable,
    socket: &'a Socket,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(meant) = meant(view)? else { return Ok(Finding::Clear) };
    let unit = meant.culprit();
    let Some(line) = log::find(unit, log::IN_USE) else { return Ok(Finding::Clear) };
    let named = || log::lines(unit).iter().find_map(|near| log::port(&near.line.message));
    let port = log::port(&line.line.message).or_else(named).unwrap_or(view.case.target.port);
    let name = act::name(unit);
    let holder = holder(view, &meant, port);
    if unit.is_running() && holder.is_none() {
        // It said so once, and has got over it.
        return Ok(Finding::Clear);
    }
    let certainty = if holder.is_some() { meant.certainty } else { meant.certainty.min(Certainty::Likely) };
    let who = holder.as_ref().map_or_else(|| "somebody who is gone now".to_owned(), |h| h.in_words(view, &meant));
    let verb = if holder.is_some() { "is held by" } else { "was held by" };
    let mut fired = Fired::new(certainty, format!("{name} could not open port {port}, which {verb} {who}"))
        .evidence(line.evidence(unit));
    let Some(holder) = holder else {
        return Ok(fired.fix(act::start(view, unit, format!("start {name} again: the port is free now"))).fires());
    };
    fired = fired.evidence(holder.evidence(view, &meant));
    fired.fixes = holder.fixes(view, &meant, unit, port);
    Ok(fired.fires())
}

/// The service that was meant does not run, for another one has its port, and that is none of this unit.
pub(in crate::rules) fn is_in_the_way(view: &View<'_>, unit: Option<&str>) -> bool {
    let Ok(Some(meant)) = meant(view) else { return false };
    let failed = meant.culprit();
    !failed.is_running() && unit != Some(failed.name.as_str()) && log::find(failed, log::IN_USE).is_some()
}

/// Who has the port: a listener, else a connection; never the unit's own processes.
fn holder<'a>(view: &View<'a>, meant: &Meant<'a>, port: u16) -> Option<Holder<'a>> {
    let tables = [view.case.host.sockets.value(), meant.facts.port_users.value()];
    let transport = view.transport().unwrap_or(Transport::Tcp);
    for table in tables.into_iter().flatten() {
        let on_port = |s: &&Socket| s.transport == transport && s.local.port() == port;
        let foreign = |s: &&Socket| {
            let owners = table.owners(s);
            let culprit = meant.culprit();
            let own = |p: &&Process| {
                let of_user = p.running_as.user_unit == culprit.user.is_some();
                p.running_as.unit.as_deref() == Some(culprit.name.as_str()) && of_user
            };
            owners.is_empty() || !owners.iter().all(own)
        };
        if let Some(socket) = table.listeners.iter().filter(on_port).find(foreign) {
            return Some(Holder { table, socket });
        }
    }
    None
}

impl Holder<'_> {
    fn process(&self) -> Option<&Process> {
        self.table.owners(self.socket).into_iter().next()
    }
    /// Its service, as far as it is known: the system's, or that of the user whose process it is.
    fn unit(&self, meant: &Meant<'_>) -> Option<UnitFacts> {
        let process = self.process()?;
        let name = process.running_as.unit.as_deref().filter(|unit| unit.ends_with(".service"))?;
        let user = process.running_as.user_unit.then(|| {
            let of_user = |user: &&UnitUser| user.uid == process.uid;
            let known = meant.facts.user_units.iter().filter_map(|unit| unit.user.as_ref()).find(of_user).cloned();
            let name = process.user.clone().unwrap_or_else(|| process.uid.to_string());
            known.unwrap_or_else(|| UnitUser { name, uid: process.uid, has_manager: true, ..UnitUser::default() })
        });
        let units = if user.is_some() { &meant.facts.user_units } else { &meant.facts.units };
        let known = units.iter().find(|unit| unit.name == name && unit.user == user).cloned();
        Some(known.unwrap_or_else(|| UnitFacts { name: name.to_owned(), user, ..UnitFacts::default() }))
    }
    fn listens(&self) -> bool {
        matches!(self.socket.state, SocketState::Listen | SocketState::Unconnected)
    }
    fn in_words(&self, view: &View<'_>, meant: &Meant<'_>) -> String {
        if self.socket.state == SocketState::TimeWait {
            return "a connection that has just ended (TIME_WAIT)".to_owned();
        }
        let who = self.process().map_or_else(|| "a process that was not found".to_owned(), |p| visible(&p.label()));
        let since = |unit: &UnitFacts| act::since(meant.facts.now_ms, unit.started_ms);
        let unit = self.unit(meant).map(|u| format!(" ({}{})", act::name(&u), since(&u))).unwrap_or_default();
        match self.socket.remote.filter(|_| !self.listens()) {
            Some(peer) if view.is_local().is_some() => format!("a connection of {who}{unit} to {peer}"),
            _ => format!("{who}{unit}"),
        }
    }
    fn evidence(&self, view: &View<'_>, meant: &Meant<'_>) -> Evidence {
        let who = self.process().map_or_else(|| "no process that may be seen".to_owned(), |p| visible(&p.label()));
        let how = if self.listens() { "listens" } else { "is not listening" };
        let unit = self.unit(meant).map(|unit| format!(" of {}", act::name(&unit))).unwrap_or_default();
        let text = format!("{}/{} {how}; it belongs to {who}{unit}", self.socket.local, self.socket.transport.name());
        Evidence::new(text, view.case.host.sockets.source().map_or("socket table", |s| &s.what))
    }

    fn fixes(&self, view: &View<'_>, meant: &Meant<'_>, unit: &UnitFacts, port: u16) -> Vec<Fix> {
        let name = act::name(unit);
        if self.socket.state == SocketState::TimeWait {
            // Not every kernel can forget a connection on demand (CONFIG_INET_DIAG_DESTROY): else it takes a minute.
            let fix = Fix::new(view, Risk::Low, format!("let the old connection be forgotten, and start {name} again"))
                .command(format!("ss -K state time-wait 'sport = :{port}'"))
                .command(format!("while ss -Htn state time-wait 'sport = :{port}' | grep -q .; do sleep 1; done"));
            return act::start_again(view, fix, unit).into_iter().collect();
        }
        let mut fixes = Vec::new();
        let enabled = |unit: &UnitFacts| unit.is_enabled() == Some(true);
        let commands = |holder: UnitFacts| {
            let (stop, start) = if enabled(&holder) { ("disable --now", "enable --now") } else { ("stop", "start") };
            Some((act::systemctl(view, stop, &holder)?, act::systemctl(view, start, &holder)?, holder))
        };
        if let Some((stop, start, other)) = self.unit(meant).and_then(commands) {
            let enabled = enabled(&other);
            let other = act::name(&other);
            let fix = Fix::new(view, Risk::Medium, format!("stop {other}, where {name} shall have port {port}: what {other} serves is gone then"));
            let fix = fix.command(stop).undo(start);
            let fix = if enabled { fix.persistent() } else { fix };
            fixes.extend(act::start_again(view, fix, unit));
        } else if let Some(process) = self.process() {
            let who = visible(&process.label());
            let pid = process.pid;
            let fix = Fix::new(view, Risk::High, format!("end {who}, where {name} shall have port {port}: nobody starts it again"));
            // Ended by its owner, a connection would keep the port in TIME_WAIT for a minute (tcp(7)); ss -K leaves none.
            let connected = self.socket.remote.is_some() && !self.listens();
            let fix = if connected { fix.command(format!("ss -K 'sport = :{port}'")) } else { fix };
            let fix = fix
                .command(format!("kill {pid}"))
                // It may have to tidy up: bind(2) fails until it is gone.
                .command(format!("timeout 20 tail --pid={pid} -f /dev/null"));
            let fix = if self.listens() { fix } else { reserve(view, fix, port) };
            fixes.extend(act::start_again(view, fix, unit));
        }
        let elsewhere = if self.listens() {
            format!("or give one of the two another port in its configuration, and start {name} again")
        } else {
            format!("or end only that connection: ss -K 'sport = :{port}', and start {name} again")
        };
        fixes.push(act::advice(view, Risk::Low, elsewhere));
        fixes
    }
}

/// Keeps the port from being given to connections again (`ip_local_reserved_ports`, ip(7)).
fn reserve(view: &View<'_>, fix: Fix, port: u16) -> Fix {
    const NAME: &str = "net.ipv4.ip_local_reserved_ports";
    let Some(now) = view.case.host.sysctl(NAME) else { return fix };
    let now = now.trim();
    let list = if now.is_empty() { port.to_string() } else { format!("{now},{port}") };
    match quote(&format!("{NAME}={list}")) {
        Some(setting) => fix
            .command(format!("sysctl -w {setting}"))
            .command(format!("mkdir -p /etc/sysctl.d && echo {setting} > /etc/sysctl.d/90-reserved-port-{port}.conf"))
            .undo(format!("rm /etc/sysctl.d/90-reserved-port-{port}.conf"))
            .undo(format!("sysctl -w {NAME}={}", quote(now).unwrap_or_default())),
        None => fix,
    }
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Risk};
    use crate::testing::Scene;
    use crate::testing::service::{commands, failed, unit};
    use unrefuse_facts::{ActiveState, Observed, SocketState, Source};

    const LINE: &str = "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)";

    #[test]
    fn another_unit_holds_another_port_of_the_service() {
        let scene = Scene::local("127.0.0.1:443").rst().listener("0.0.0.0:80", "apache2");
        let scene = scene.process(|p| p.running_as.unit = Some("apache2.service".into()));
        let mut apache = unit("apache2.service", ActiveState::Active, "running");
        (apache.started_ms, apache.clues) = (Some(1_000_000), Vec::new());
        let report = scene.units(vec![failed("nginx.service", &[LINE]), apache]).report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("service/address-in-use", Certainty::Likely));
        let why = blocker.whys.last().unwrap();
        assert!(why.title.contains("apache2[800] (apache2.service, since 3 minutes ago)"), "{}", why.title);
        assert_eq!(commands(&report, 0), [
            "systemctl disable --now apache2.service",
            "systemctl reset-failed nginx.service",
            "systemctl restart nginx.service"
        ]);
    }

    #[test]
    fn a_users_own_unit_holds_it() {
        let scene = Scene::local("127.0.0.1:443").rst().listener("0.0.0.0:80", "app");
        let scene = scene.process(|p| {
            (p.running_as.unit, p.running_as.user_unit) = (Some("app.service".into()), true);
            (p.uid, p.user) = (1000, Some("alice".into()));
        });
        let report = scene.units(vec![failed("nginx.service", &[LINE])]).report();
        let why = report.blockers[0].whys.last().unwrap();
        assert!(why.title.contains("app[800] (user unit app.service of alice)"), "{}", why.title);
        let stop = "runuser -u alice -- env XDG_RUNTIME_DIR=/run/user/1000 systemctl --user stop app.service";
        assert_eq!(commands(&report, 0)[0], stop);
    }

    #[test]
    fn a_bare_process_is_asked_to_end_and_waited_for() {
        let scene = Scene::local("127.0.0.1:443").rst().listener("0.0.0.0:80", "python3");
        let report = scene.units(vec![failed("nginx.service", &[LINE])]).report();
        assert_eq!(report.blockers[0].fixes[0].risk, Risk::High);
        assert_eq!(commands(&report, 0)[..2], ["kill 800", "timeout 20 tail --pid=800 -f /dev/null"]);
        assert!(commands(&report, 0).iter().all(|c| !c.contains("-9")));
    }

    #[test]
    fn an_outgoing_connection_holds_the_port() {
        let scene = Scene::local("127.0.0.1:80").rst().listener("10.1.0.2:80", "curl").units(vec![failed("nginx.service", &[LINE])]);
        let scene = scene.sysctl("net.ipv4.ip_local_reserved_ports", "").with(|case| {
            let mut users = std::mem::take(&mut case.host.sockets).into_value().unwrap();
            users.listeners[0].state = SocketState::Established;
            users.listeners[0].remote = Some("10.9.0.1:443".parse().unwrap());
            case.host.sockets = Observed::known(Default::default(), Source::running("inet_diag"));
            let Observed::Known { value, .. } = &mut case.host.services else { panic!() };
            value.port_users = Observed::known(users, Source::running("inet_diag"));
        });
        let report = scene.report();
        assert_eq!(report.blockers[0].root, "service/address-in-use");
        assert!(report.blockers[0].whys.last().unwrap().title.contains("a connection of curl[800] to 10.9.0.1:443"));
        assert!(commands(&report, 0).contains(&"sysctl -w net.ipv4.ip_local_reserved_ports=80".to_owned()));
    }

    #[test]
    fn a_holder_that_is_gone_is_said() {
        let report = Scene::local("127.0.0.1:80").rst().units(vec![failed("nginx.service", &[LINE])]).report();
        assert!(report.blockers[0].whys.last().unwrap().title.contains("somebody who is gone now"));
    }

    #[test]
    fn another_reason_not_to_bind_is_another_cause() {
        let line = "nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)";
        let roots = Scene::local("127.0.0.1:80").rst().units(vec![failed("nginx.service", &[line])]).roots();
        assert_ne!(roots, ["service/address-in-use"]);
    }
}
