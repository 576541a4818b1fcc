//! Fixes that let the packets of the question through a filter, in the language of who made the rule; narrow first.

use super::command::{Packets, iptables, iptables_table, keep, nft_chain};
use super::describe::{place, safe, short};
use super::{Leg, Stop, managers};
use crate::View;
use crate::containers;
use crate::fix::quote;
use crate::report::{Fix, Risk};
use unrefuse_facts::{ChainPlace, Decider, FilterBackend, FilterHook, FilterRule, RuleOwner, SetHit, SetKind};

/// What is to be let through, and how it is said to a person.
pub(crate) struct Wanted {
    /// The packets.
    pub packets: Packets,
    /// Opens it to more than the asker.
    pub broad: bool,
}

impl Wanted {
    /// `10.0.0.5 to 80/tcp`.
    pub(crate) fn who(&self) -> String {
        let Packets { leg, client, server, port, transport } = self.packets;
        match (leg, client, server) {
            (Leg::Out, _, Some(server)) => format!("packets to {server}, port {port}/{transport}"),
            (Leg::Out, ..) => format!("packets to port {port}/{transport} of any host"),
            (Leg::AnswerIn, _, Some(server)) => format!("answers of {server}, port {port}/{transport}"),
            (Leg::AnswerIn, ..) => format!("answers of port {port}/{transport} of any host"),
            (Leg::AnswerOut, Some(client), _) => format!("answers of port {port}/{transport} to {client}"),
            (Leg::AnswerOut, ..) => format!("answers of port {port}/{transport} to anybody"),
            (Leg::In, Some(client), _) => format!("{client} to port {port}/{transport}"),
            (Leg::In, None, _) => format!("everybody to port {port}/{transport}"),
        }
    }
    /// What it may break.
    pub(crate) fn risk(&self) -> Risk {
        if self.broad { Risk::High } else { Risk::Medium }
    }
    /// `allow 10.0.0.5 to port 80/tcp in ufw: nobody else`.
    pub(crate) fn title(&self, how: &str) -> String {
        let only = if self.broad { "this opens it to more than the asker" } else { "all else stays closed" };
        format!("let {} through {how}; {only}", self.who())
    }
}

/// Ways to let the stopped packet through, best first.
pub(crate) fn allow(view: &View<'_>, stop: &Stop<'_>) -> Vec<Fix> {
    if containers::forward_rules_gone(view, stop).is_some() {
        // Its engine makes them anew, all of them.
        return Vec::new();
    }
    let Some(transport) = view.transport() else { return Vec::new() };
    let Some(place) = stop.decider().and_then(Decider::place) else { return Vec::new() };
    let forwarded = place.hook == FilterHook::Forward;
    // NAT in PREROUTING comes before: later hooks see the new destination.
    let after_nat = forwarded || matches!(place.hook, FilterHook::Input | FilterHook::Postrouting);
    let seen_as = stop.judgement.translated.as_ref().filter(|_| after_nat).map(|t| t.to).or(view.address);
    let port = seen_as.map_or(view.case.target.port, |address| address.port());
    let there = seen_as.map(|address| address.ip());
    let packets = |client, server| Packets { leg: stop.leg, client, server, port, transport: transport.name() };
    let wanted = match (stop.leg, view.asker()) {
        (Leg::Out | Leg::AnswerIn, _) => vec![Wanted { packets: packets(None, view.ip()), broad: false }],
        (_, asker) => {
            let server = there.filter(|_| forwarded);
            let one = asker.map(|ip| Wanted { packets: packets(Some(ip), server), broad: false });
            let all = Wanted { packets: packets(None, server), broad: true };
            one.into_iter().chain([all]).collect()
        }
    };
    let mut fixes: Vec<Fix> = loopback(view, stop, place).into_iter().collect();
    if let Some(rule) = stop.decider().and_then(Decider::rule) {
        fixes.extend(rule.set.as_ref().and_then(|set| take_out(view, rule, set)));
    }
    fixes.extend(
        wanted.iter().filter_map(|wanted| one(view, stop, place, wanted)).map(|fix| answers_too(fix, view, stop)),
    );
    if let (Some(_), Some(RuleOwner::Ufw { rule: Some(number) })) =
        (stop.decider().and_then(Decider::rule), stop.decider().and_then(Decider::owner))
    {
        fixes.extend(managers::ufw_delete(view, *number));
    }
    fixes
}

/// A rule for the client's packets is of no use where the same kind of chain drops the answers: they are let through as
/// well, for connections that were let in.
fn answers_too(fix: Fix, view: &View<'_>, stop: &Stop<'_>) -> Fix {
    let reply = view.judged().and_then(|judged| judged.reply.as_ref()).filter(|reply| reply.fate.is_stopped());
    let decider = reply.filter(|_| stop.leg == Leg::In).and_then(|reply| reply.decided_by.as_ref());
    let Some((place, RuleOwner::Hand)) = decider.and_then(|d| Some((d.place()?, d.owner()?))) else { return fix };
    if fix.steps.is_empty() {
        return fix;
    }
    let step = match place.backend {
        FilterBackend::Nft => nft_chain(place).map(|chain| {
            let handle = format!(
                "\"$(nft -a list chain {chain} | sed -n '/\"unrefuse-answers\"/s/.* # handle //p' | head -n 1)\""
            );
            let new = "'ct state established,related accept comment \"unrefuse-answers\"'";
            (format!("nft insert rule {chain} {new}"), format!("nft delete rule {chain} handle {handle}"))
        }),
        _ => iptables_table(place).zip(quote(&place.chain)).map(|(program, chain)| {
            let new = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT";
            (format!("{program} -I {chain} 1 {new}"), format!("{program} -D {chain} {new}"))
        }),
    };
    match step {
        Some((command, undo)) => fix.command(command).undo(undo),
        None => fix,
    }
}

/// What this machine sends itself by loopback meets the chain twice, the answers too: one rule for both.
fn loopback(view: &View<'_>, stop: &Stop<'_>, place: &ChainPlace) -> Option<Fix> {
    let own = view.ip()?.is_loopback() && matches!(stop.decider()?.owner()?, RuleOwner::Hand);
    if !own || place.hook != FilterHook::Input || matches!(stop.leg, Leg::Out) {
        return None;
    }
    let title = "let through what this machine sends itself by lo: it never was on a wire";
    let fix = Fix::new(view, Risk::Low, title);
    let fix = match place.backend {
        FilterBackend::Nft => {
            let chain = nft_chain(place)?;
            let handle =
                format!("\"$(nft -a list chain {chain} | sed -n '/\"unrefuse-lo\"/s/.* # handle //p' | head -n 1)\"");
            fix.command(format!("nft insert rule {chain} 'iifname \"lo\" accept comment \"unrefuse-lo\"'"))
                .undo(format!("nft delete rule {chain} handle {handle}"))
        }
        _ => {
            let (program, chain) = (iptables_table(place)?, quote(&place.chain)?);
            fix.command(format!("{program} -I {chain} 1 -i lo -j ACCEPT"))
                .undo(format!("{program} -D {chain} -i lo -j ACCEPT"))
        }
    };
    Some(keep(fix, place, view.firewall().and_then(|f| f.saved.keeper.value())))
}

fn one(view: &View<'_>, stop: &Stop<'_>, place: &ChainPlace, wanted: &Wanted) -> Option<Fix> {
    match stop.decider()?.owner()? {
        RuleOwner::Ufw { rule } => managers::ufw(view, stop, place, wanted, *rule),
        RuleOwner::Firewalld { zone } => managers::firewalld(view, place, wanted, zone.as_deref()),
        RuleOwner::Docker => docker(view, place, wanted),
        RuleOwner::KubeProxy { .. } | RuleOwner::Fail2ban { .. } | RuleOwner::Program { .. } => {
            let fix = by_hand(view, stop, place, wanted)?;
            let name = safe(stop.decider()?.owner()?.name()?);
            let title = format!("{}; better in {name} itself, which may write its rules anew", fix.title);
            Some(Fix { title, persistent: false, ..fix })
        }
        RuleOwner::Hand => by_hand(view, stop, place, wanted),
    }
}

/// A rule of the same language, where it takes effect: before the rule that decides, or at the end before the policy.
pub(crate) fn by_hand(view: &View<'_>, stop: &Stop<'_>, place: &ChainPlace, wanted: &Wanted) -> Option<Fix> {
    let rule = stop.decider()?.rule();
    match place.backend {
        FilterBackend::Nft => nft(view, place, rule, wanted),
        _ => with_iptables(view, place, rule, wanted),
    }
}

fn before(chain: &ChainPlace, rule: Option<&FilterRule>) -> String {
    match rule {
        Some(rule) => format!("before {}", short(rule)),
        None => format!("at the end of {}, before its policy", place(chain)),
    }
}

fn with_iptables(view: &View<'_>, place: &ChainPlace, rule: Option<&FilterRule>, wanted: &Wanted) -> Option<Fix> {
    let (program, chain) = (iptables_table(place)?, quote(&place.chain)?);
    let new = wanted.packets.iptables();
    let command = match rule {
        Some(rule) => format!("{program} -I {chain} {} {new}", rule.number),
        None => format!("{program} -A {chain} {new}"),
    };
    let fix = Fix::new(view, wanted.risk(), wanted.title(&before(place, rule)))
        .command(command)
        .undo(format!("{program} -D {chain} {new}"));
    Some(keep(fix, place, view.firewall().and_then(|f| f.saved.keeper.value())))
}

fn nft(view: &View<'_>, place: &ChainPlace, rule: Option<&FilterRule>, wanted: &Wanted) -> Option<Fix> {
    let chain = nft_chain(place)?;
    // The comment finds the rule again: its handle is not known before it is there.
    let all = if wanted.broad { "-all" } else { "" };
    let mark = format!("unrefuse-{}-{}{all}", wanted.packets.port, wanted.packets.transport);
    let new = quote(&format!("{} comment \"{mark}\"", wanted.packets.nft()))?;
    let command = match rule {
        Some(FilterRule { handle: Some(handle), .. }) => format!("nft insert rule {chain} position {handle} {new}"),
        Some(rule) => format!("nft insert rule {chain} index {} {new}", rule.number.saturating_sub(1)),
        None => format!("nft add rule {chain} {new}"),
    };
    let handle = format!("\"$(nft -a list chain {chain} | sed -n '/\"{mark}\"/s/.* # handle //p' | head -n 1)\"");
    let fix = Fix::new(view, wanted.risk(), wanted.title(&before(place, rule)))
        .command(command)
        .undo(format!("nft delete rule {chain} handle {handle}"));
    Some(keep(fix, place, view.firewall().and_then(|f| f.saved.keeper.value())))
}

/// Docker leaves DOCKER-USER to its users and asks it before its own chains (docs.docker.com, "Packet filtering and
/// firewalls").
fn docker(view: &View<'_>, place: &ChainPlace, wanted: &Wanted) -> Option<Fix> {
    if place.hook != FilterHook::Forward || place.backend == FilterBackend::Nft {
        let title = format!(
            "publish the port with Docker (`-p {}`): {} is Docker's own",
            wanted.packets.port,
            self::place(place)
        );
        return Some(Fix::new(view, Risk::Medium, title));
    }
    let (program, new) = (iptables(place), wanted.packets.iptables());
    let fix = Fix::new(view, wanted.risk(), wanted.title("in Docker's chain for rules of its users"))
        .command(format!("{program} -I DOCKER-USER 1 {new}"))
        .undo(format!("{program} -D DOCKER-USER {new}"));
    Some(keep(fix, place, view.firewall().and_then(|f| f.saved.keeper.value())))
}

/// Takes the element out of the set that holds the packet.
pub(crate) fn take_out(view: &View<'_>, rule: &FilterRule, set: &SetHit) -> Option<Fix> {
    if set.name.starts_with("__") {
        // A list inside the rule: it has no name of its own, and cannot be changed (nft(8), anonymous sets).
        return None;
    }
    let one = set.element.parse::<std::net::IpAddr>().is_ok();
    let risk = if one { Risk::Low } else { Risk::Medium };
    let wider = if one { "" } else { ", and so lets in all that it covers" };
    let (name, element) = (quote(&set.name)?, quote(&set.element)?);
    let title = format!("take {} out of the set {}{wider}", safe(&set.element), safe(&set.name));
    let fix = Fix::new(view, risk, title);
    Some(match set.kind {
        SetKind::Ipset => {
            let timeout = set.expires.map(|s| format!(" timeout {s}")).unwrap_or_default();
            fix.command(format!("ipset del {name} {element}")).undo(format!("ipset add {name} {element}{timeout}"))
        }
        SetKind::Nft => {
            let timeout = set.expires.map(|s| format!(" timeout {s}s")).unwrap_or_default();
            let set = format!("{} {} {name}", super::describe::family(rule.place.family), quote(&rule.place.table)?);
            let elements = |element: String| quote(&format!("{{ {element} }}"));
            fix.command(format!("nft delete element {set} {}", elements(element.clone())?))
                .undo(format!("nft add element {set} {}", elements(format!("{element}{timeout}"))?))
        }
    })
}
