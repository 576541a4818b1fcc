//! container/rules-missing

use super::meant::{Meant, meant};
use super::run::{Cli, argument};
use super::state::{State, state};
use super::words;
use crate::View;
use crate::containers::{self, Inside, inside, name, network_owner};
use crate::filter::{source, stopped_in};
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::text::visible;
use unrefuse_facts::{Engine, EngineKind, PublishedPort};

cause! {
    /// ## What it means
    ///
    /// The container runs, listens, and has its port published, but the engine's rules in the packet filter are gone. The
    /// engine adds them when it starts and when it starts a container, and does not look again: a flush (`iptables -F`,
    /// `nft flush ruleset`), a restored rules file or another firewall's reload takes them away.
    ///
    /// ## How it shows
    ///
    /// From other machines silence, where the FORWARD policy is drop and the engine's accepts are gone; refused, where its
    /// DNAT is gone and no docker-proxy holds the port. By `localhost` it may still answer, by docker-proxy. Containers
    /// lose their way out at the same time.
    ///
    /// ## How to confirm by hand
    ///
    /// `iptables -t nat -S DOCKER`, `iptables -S FORWARD` (or `nft list ruleset`) show no rule for the container.
    ///
    /// ## How to fix
    ///
    /// `systemctl restart docker` makes all rules anew (it restarts the containers, unless `live-restore` is on); `podman
    /// network reload NAME` those of one container. Then let whatever flushed them load its rules before the engine starts,
    /// or change only tables of its own.
    ///
    /// ## What it is often mistaken for
    ///
    /// `ingress/forwarding-off`: Docker's drop policy in FORWARD is what is left of its rules. `container/stopped`.
    id: "container/rules-missing",
    title: "the engine's firewall rules are gone",
    explains: &["listener/none", "ingress/forwarding-off", "ingress/firewall-drop", "ingress/firewall-reject"],
    begins: false,
    needs: &["containers", "firewall rules"],
    likes: &["sockets inside"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    if let Some(stop) = stopped_in(view) {
        let Some((engine, container)) = containers::forward_rules_gone(view, &stop) else { return Ok(Finding::Clear) };
        let to = stop.judgement.translated.as_ref().map(|t| t.to.to_string()).unwrap_or_default();
        let who = name(container);
        let title = format!("{}'s rules that let packets through to {who} are gone", engine.kind.name());
        let fired = Fired::new(Certainty::Likely, title)
            .evidence(Evidence::new(
                format!(
                    "packets are sent on to {to}, and in FORWARD no rule of {} lets them through",
                    engine.kind.name()
                ),
                source(view),
            ))
            .evidence(words::described(engine, container));
        return Ok(fired.fix(fix(view, engine, &container.name)).fires());
    }
    let Some((meant, State::Serves(Some(publication)))) = state(view)? else { return Ok(Finding::Clear) };
    if view.redirected() {
        return Ok(Finding::Clear);
    }
    let (engine, container) = (meant.engine, meant.container);
    let who = name(container);
    let handler = engine.rootless_uid.is_some();
    let what = if handler { "the process that takes" } else { "rules that send on" };
    let verb = if handler { "is" } else { "are" };
    let title = format!("{}'s {what} {} to {who} {verb} gone", engine.kind.name(), view.port());
    let certainty = if view.judged().is_some() { Certainty::Proven } else { Certainty::Likely };
    let mut fired = Fired::new(meant.certainty.min(certainty), title)
        .evidence(words::described(engine, container))
        .evidences(listens(&meant, &publication));
    if view.judged().is_some() {
        let text =
            format!("no rule sends packets to {} on to the container, and no process takes them", view.endpoint());
        fired = fired.evidence(Evidence::new(text, source(view)));
    }
    fired.unknown.extend(meant.open());
    let again = fix(view, engine, &container.name);
    Ok(fired.fix(again).fires())
}

fn listens(meant: &Meant<'_>, publication: &PublishedPort) -> Option<Evidence> {
    let namespace = network_owner(meant.facts, meant.container)?;
    match inside(namespace, publication.container.transport, publication.container.port) {
        Inside::Listens(socket) => Some(containers::socket_evidence(namespace, socket)),
        _ => None,
    }
}

/// What makes the rules anew.
fn fix(view: &View<'_>, engine: &Engine, container: &str) -> Option<Fix> {
    let shown = visible(container);
    match (engine.kind, engine.rootless_uid) {
        (EngineKind::Docker, None) => {
            let title = "let Docker make its rules anew: this restarts its containers, unless live-restore is on";
            let mut fix = Fix::new(view, Risk::High, title).command("systemctl restart docker.service");
            let policy = meant(view).ok().flatten().and_then(|m| m.container.restart_policy.clone());
            if policy
                .as_deref()
                .is_none_or(|policy| policy.is_empty() || policy == "no" || policy.starts_with("on-failure"))
            {
                fix = fix.command(Cli::of(view, engine)?.run(&format!("start {}", argument(container)?))?);
            }
            Some(fix)
        }
        (EngineKind::Podman, None) => {
            let command = Cli::of(view, engine)?.run(&format!("network reload {}", argument(container)?))?;
            Some(Fix::new(view, Risk::Low, format!("let Podman make the rules of {shown} anew")).command(command))
        }
        (_, Some(_)) => {
            let command = Cli::of(view, engine)?.run(&format!("restart {}", argument(container)?))?;
            Some(Fix::new(view, Risk::Medium, format!("start {shown} anew")).command(command))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::container::Made;
    use crate::testing::filter::{accepted, chain, commands, dropped, iptables, policy};
    use unrefuse_facts::{
        Decider, EngineKind, FilterBackend, FilterHook, Judgement, Observed, RuleOwner, StackReason, Translation,
        WayStep,
    };

    fn made() -> Made {
        Made::new("web").publish("8001:80").listens("0.0.0.0:80", "nginx")
    }

    fn scene() -> Scene {
        Scene::local("10.1.0.2:8001").containers(vec![made()])
    }

    #[test]
    fn published_and_served_and_nothing_takes_it_on_the_host() {
        let report = scene().filtered(Some(accepted()), Some(accepted())).rst().report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("container/rules-missing", Certainty::Proven));
        assert_eq!(blocker.whys[1].title, "Docker's rules that send on 8001/tcp to container web are gone");
        assert_eq!(commands(&blocker.fixes[0].steps), ["systemctl restart docker.service", "docker start web"]);
        let podman = scene().engine(|e| e.kind = EngineKind::Podman).filtered(Some(accepted()), Some(accepted()));
        let report = podman.rst().report();
        assert_eq!(commands(&report.blockers[0].fixes[0].steps), ["podman network reload web"]);
    }

    fn forwarded(by: Decider, way: Vec<WayStep>) -> Vec<String> {
        let translated = Some(Translation {
            to: "172.17.0.2:80".parse().unwrap(),
            by: iptables(FilterHook::Prerouting, "-A DOCKER -j DNAT"),
            probed: Observed::default(),
        });
        let judgement = Judgement { translated, forwarded_by: Some("docker0".into()), way, ..dropped(by) };
        scene().listener("0.0.0.0:8001", "docker-proxy").filtered(None, Some(judgement)).asked_from("10.5.0.9").roots()
    }

    fn forward_policy() -> Decider {
        policy(chain(FilterBackend::IptablesNft, "FORWARD", FilterHook::Forward), RuleOwner::Docker)
    }

    #[test]
    fn dockers_accepts_in_forward_are_gone_and_its_policy_is_left() {
        assert_eq!(forwarded(forward_policy(), Vec::new()), ["container/rules-missing"]);
    }

    #[test]
    fn where_dockers_chains_had_their_say_it_is_another_matter() {
        let step = WayStep {
            hook: FilterHook::Forward,
            table: "ip filter".into(),
            chain: "FORWARD".into(),
            text: "-A FORWARD -j DOCKER-USER".into(),
        };
        assert_eq!(forwarded(forward_policy(), vec![step]), ["ingress/forwarding-off"]);
        let off = Decider::Stack(StackReason::ForwardingOff { sysctl: "net.ipv4.ip_forward".into() });
        assert_eq!(forwarded(off, Vec::new()), ["ingress/forwarding-off"]);
        let mut rule = iptables(FilterHook::Forward, "-A DOCKER-USER -s 10.5.0.9 -j DROP");
        rule.place.chain = "DOCKER-USER".into();
        assert_eq!(forwarded(Decider::Rule(rule), Vec::new()), ["ingress/firewall-drop"]);
    }

    #[test]
    fn a_packet_that_is_sent_on_has_its_rule() {
        let translated = Some(Translation {
            to: "172.17.0.2:80".parse().unwrap(),
            by: iptables(FilterHook::Output, "-A DOCKER -j DNAT"),
            probed: Observed::default(),
        });
        let sent = Judgement { translated, ..accepted() };
        assert_ne!(scene().filtered(Some(sent), None).rst().roots(), ["container/rules-missing"]);
    }
}
