//! Notes: what does not block this connection and is worth knowing.

mod unplugged;
mod way_back;

use crate::View;
use crate::containers;
use crate::filter::{Leg, Stop, decider, owned_by};
use crate::report::Note;
use crate::rules;
use unrefuse_facts::{
    AttemptOutcome, Container, ContainerFacts, ContainerStatus, EngineKind, FORWARDERS, Fate, FromElsewhere, HOLDERS,
    Process, PublishedPort, SavedKind, SavedSays, Socket, SocketTable, Transport, text,
};

/// All notes of an address.
pub(crate) fn notes(view: &View<'_>) -> Vec<Note> {
    let here = open_only_here(view).or_else(|| unplugged::unplugged(view)).or_else(|| filtered_elsewhere(view));
    here.into_iter()
        .chain(closed_after_boot(view))
        .chain(nobody_answers(view))
        .chain(way_back::doubtful(view))
        .collect()
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
        // ufw's user rules are a part of what is loaded: only a rule for this packet counts.
        let says = |says: &SavedSays| !says.accepts && (saved.kind != SavedKind::Ufw || says.by_rule);
        saved.kind != other_family
            && saved.loaded_at_boot.value() == Some(&true)
            && saved.says.value().is_some_and(says)
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

/// The connection opens, and nothing will answer it.
fn nobody_answers(view: &View<'_>) -> Option<Note> {
    let open = view.outcome() == Some(AttemptOutcome::Open);
    if !open && !view.judged_only() {
        return None;
    }
    let facts = containers::known(view)?;
    let nobody = frozen(view, facts).or_else(|| only_kept(view, facts));
    nobody.or_else(|| proxied_to_nothing(view).filter(|_| open)).or_else(|| answered_behind(view))
}

/// The container was asked at its own address, for the proxy in front of it forwards no empty datagram.
fn answered_behind(view: &View<'_>) -> Option<Note> {
    let from = view.attempt()?.answer.as_ref()?.from.filter(|from| Some(*from) != view.ip())?;
    let table = view.server_sockets("").ok()??;
    let proxy = taker(view, table, &FORWARDERS).filter(|_| view.transport() == Some(Transport::Udp))?;
    let text = format!(
        "{} forwards no empty datagram: the container was asked at its own address, {from}, and answers there",
        text::visible(&proxy.label())
    );
    Some(Note { text, source: Some("recv(2)".to_owned()) })
}

/// The container publishes the asked port, or has the asked address.
fn is_meant(view: &View<'_>, facts: &ContainerFacts, container: &Container) -> bool {
    let (port, transport) = (view.case.target.port, view.transport());
    let its = |p: &PublishedPort| p.host_port == Some(port) && Some(p.container.transport) == transport;
    let published = container.bound.iter().chain(&container.published).any(its);
    view.is_local() == Some(true) && containers::stood_in(facts).is_none() && published
        || view.ip().is_some_and(|ip| containers::addresses(container).contains(&ip))
}

/// The kernel shakes hands for frozen processes.
fn frozen(view: &View<'_>, facts: &ContainerFacts) -> Option<Note> {
    let paused = |c: &Container| c.status == ContainerStatus::Paused && is_meant(view, facts, c);
    let (engine, container) = facts.all().find(|(_, c)| paused(c))?;
    let how = format!("{} unpause {}", engine.kind.command(), text::visible(&container.name));
    let text =
        format!("{} is paused: the connection opens, and nothing answers until `{how}`", containers::name(container));
    Some(Note { text, source: Some(containers::source(engine)) })
}

/// A socket that only keeps the port for a container takes the packet: the rules that should send it on are gone.
fn only_kept(view: &View<'_>, facts: &ContainerFacts) -> Option<Note> {
    if view.redirected() || view.judged().is_none() {
        return None;
    }
    let table = view.server_sockets("").ok()??;
    let keeper = taker(view, table, &HOLDERS)?;
    let runs = |c: &Container| c.status == ContainerStatus::Running && is_meant(view, facts, c);
    let (engine, container) = facts.all().find(|(_, c)| runs(c))?;
    let anew = match engine.kind {
        EngineKind::Docker => "systemctl restart docker".to_owned(),
        EngineKind::Podman => format!("podman network reload {}", text::visible(&container.name)),
    };
    Some(Note {
        text: format!(
            "open, and nobody answers: {} only keeps the port, and {}'s rules that send {} on to {} are gone: `{anew}` makes \
             them anew",
            text::visible(&keeper.command),
            engine.kind.name(),
            view.port(),
            containers::name(container),
        ),
        source: Some(crate::filter::source(view)),
    })
}

/// An engine's proxy accepts, and some wait for the first bytes before they ask the container.
fn proxied_to_nothing(view: &View<'_>) -> Option<Note> {
    let table = view.server_sockets("").ok()??;
    let proxy = taker(view, table, &FORWARDERS).filter(|_| !view.redirected())?;
    let dead = rules::container::dead_end(view)?;
    let text = format!(
        "open, and perhaps nobody answers: {} accepts for a container, and {}",
        text::visible(&proxy.label()),
        dead.text
    );
    Some(Note { text, source: Some(dead.source) })
}

/// The process of one of these names that takes the packet.
fn taker<'a>(view: &View<'_>, table: &'a SocketTable, commands: &[&str]) -> Option<&'a Process> {
    let owners = view.takers(table).into_iter().flat_map(|socket| table.owners(socket));
    owners.into_iter().find(|process| commands.contains(&process.command.as_str()))
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

/// "Works here, not from elsewhere": the packet filter lets lo pass, and stops what comes in by other interfaces.
fn filtered_elsewhere(view: &View<'_>) -> Option<Note> {
    if view.outcome() != Some(AttemptOutcome::Open) || view.is_local() != Some(true) {
        return None;
    }
    let ways = view.case.elsewhere.value()?;
    let stopped: Vec<&FromElsewhere> = ways.iter().filter(|way| way.ingress.fate.is_stopped()).collect();
    let first = stopped.first()?;
    let place = if stopped.len() == ways.len() {
        "from elsewhere".to_owned()
    } else {
        let names: Vec<String> = stopped.iter().map(|way| text::visible(&way.interface)).collect();
        format!("from elsewhere, by {}", names.join(" and "))
    };
    let stop = Stop { leg: Leg::In, judgement: &first.ingress, fate: &first.ingress.fate, certain: true };
    let does = if stop.rejects() { "rejected" } else { "dropped" };
    let owner = owned_by(stop.decider().and_then(|decider| decider.owner()));
    let ask = view.again().from("CLIENT").said(&first.address.to_string());
    Some(Note {
        text: format!("open from here; {place}: {does} by {}{owner}; for one client: {ask}", decider(&stop)),
        source: view.case.elsewhere.source().map(|source| source.what.clone()),
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::container::Made;
    use crate::testing::filter::{accepted, chain, dropped, iptables, policy};
    use unrefuse_facts::{
        ContainerStatus, EngineKind, FilterBackend, FilterHook, FromElsewhere, Judgement, Observed, RuleOwner,
        SavedKind, SavedRule, SavedSays, Source, Translation,
    };

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

    #[test]
    fn frozen_processes_do_not_answer() {
        let texts = |status| {
            let made = Made::new("web").publish("8001:80").listens("0.0.0.0:80", "nginx").with(|c| c.status = status);
            let scene = Scene::local("127.0.0.1:8001").listener("0.0.0.0:8001", "docker-proxy").containers(vec![made]);
            scene.open().report().notes.into_iter().map(|note| note.text).collect::<Vec<_>>()
        };
        assert_eq!(
            texts(ContainerStatus::Paused),
            ["container web is paused: the connection opens, and nothing answers until `docker unpause web`"]
        );
        assert!(texts(ContainerStatus::Running).is_empty());
    }

    #[test]
    fn a_proxy_with_nothing_behind_it() {
        let texts = |inside: &str| {
            let made = Made::new("web").publish("8001:80").listens(inside, "httpd");
            let scene = Scene::local("127.0.0.1:8001").listener("0.0.0.0:8001", "rootlessport").containers(vec![made]);
            scene.open().report().notes.into_iter().map(|note| note.text).collect::<Vec<_>>()
        };
        assert_eq!(
            texts("127.0.0.1:80"),
            [
                "open, and perhaps nobody answers: rootlessport[800] accepts for a container, and nothing that others reach listens on \
              80/tcp inside container web"
            ]
        );
        assert!(texts("0.0.0.0:80").is_empty());
    }

    #[test]
    fn a_socket_that_only_keeps_the_port() {
        let held = |egress| {
            let made = Made::new("web").publish("8001:80").listens("0.0.0.0:80", "nginx");
            let scene = Scene::local("10.1.0.2:8001").listener("0.0.0.0:8001", "conmon").containers(vec![made]);
            let scene = scene.engine(|e| e.kind = EngineKind::Podman).filtered(Some(egress), Some(accepted()));
            scene.open().report().notes.len()
        };
        let mut by = iptables(FilterHook::Output, "-A NETAVARK-DN -j DNAT");
        by.place.table = "nat".into();
        let to = Translation { to: "172.17.0.2:80".parse().unwrap(), by, probed: Observed::default() };
        assert_eq!(held(accepted()), 1);
        assert_eq!(held(Judgement { translated: Some(to), ..accepted() }), 0);
    }

    fn open_here(ways: &[(&str, Judgement)]) -> Vec<String> {
        let way = |(interface, ingress): &(&str, Judgement)| FromElsewhere {
            interface: (*interface).to_owned(),
            address: "10.1.0.2:80".parse().unwrap(),
            ingress: ingress.clone(),
        };
        let ways = Observed::known(ways.iter().map(way).collect(), Source::running("nf_tables"));
        let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx").with(|case| case.elsewhere = ways);
        scene.open().report().notes.into_iter().map(|note| note.text).collect()
    }

    #[test]
    fn what_lo_may_and_others_may_not() {
        let place = chain(FilterBackend::IptablesNft, "INPUT", FilterHook::Input);
        let closed = || dropped(policy(place.clone(), RuleOwner::Ufw { rule: None }));
        let all = open_here(&[("eth0", closed()), ("eth1", closed())]);
        assert_eq!(
            all,
            ["open from here; from elsewhere: dropped by the policy of chain INPUT (iptables, table filter), made by \
              ufw; for one client: unrefuse --from CLIENT 10.1.0.2:80"]
        );
        let some = open_here(&[("eth0", accepted()), ("eth1", closed())]);
        assert!(some[0].starts_with("open from here; from elsewhere, by eth1: dropped"), "{some:?}");
        assert!(open_here(&[("eth0", accepted())]).is_empty());
    }
}
