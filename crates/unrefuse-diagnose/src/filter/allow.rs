//! Fixes that let the packets of the question through a filter, in the language of who made the rule; narrow first.

use super::command::{Packets, iptables, iptables_table, keep, keep_setting, nft_chain};
use super::describe::{place, safe, short};
use super::{Leg, Stop, managers, neighbours};
use crate::View;
use crate::containers;
use crate::fix::quote;
use crate::report::{Fix, Risk};
use unrefuse_facts::{
    ChainPlace, Decider, FilterBackend, FilterHook, FilterRule, Judgement, RuleOwner, SetHit, SetKind, StackReason,
    Transport,
};

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
            (_, Some(client), _) => format!("{client} to port {port}/{transport}"),
            (_, None, _) => format!("everybody to port {port}/{transport}"),
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
    if stop.leg.is_neighbours() {
        return neighbours::allow(view).into_iter().collect();
    }
    let wanted = wanted(view, stop, stop.leg, place, transport);
    let mut fixes: Vec<Fix> = loopback(view, stop, place).into_iter().collect();
    if stop.leg == Leg::Later
        && let Some((command, undo)) = established(stop)
    {
        let title = "let what belongs to connections through, which the rules let begin";
        fixes.push(Fix::new(view, Risk::Low, title).command(command).undo(undo));
    }
    if let Some(rule) = stop.decider().and_then(Decider::rule) {
        let taken = rule.set.as_ref().and_then(|set| take_out(view, rule, set));
        fixes.extend(taken.map(|fix| and_without(fix, view, stop)));
    }
    let one_by_one = wanted.iter().filter_map(|wanted| {
        let fix = answers_too(one(view, stop, place, wanted)?, view, stop);
        let fix = behind(fix, view, stop, stop.judgement.behind.as_deref(), wanted.broad);
        Some(neighbours::neighbours_too(fix, view))
    });
    fixes.extend(one_by_one);
    if let (Some(_), Some(RuleOwner::Ufw { rule: Some(number) })) =
        (stop.decider().and_then(Decider::rule), stop.decider().and_then(Decider::owner))
    {
        fixes.extend(managers::ufw_delete(view, *number));
    }
    fixes
}

/// The packets that a rule at that place has to let through: narrow first.
fn wanted(view: &View<'_>, stop: &Stop<'_>, leg: Leg, place: &ChainPlace, transport: Transport) -> Vec<Wanted> {
    let forwarded = place.hook == FilterHook::Forward;
    // NAT in PREROUTING comes before: later hooks see the new destination. Answers have it as their source until the end of
    // POSTROUTING.
    let answers = leg == Leg::AnswerOut;
    let after_nat = answers || forwarded || matches!(place.hook, FilterHook::Input | FilterHook::Postrouting);
    let first = view.judged().and_then(|judged| judged.ingress.as_ref());
    let first = first.filter(|_| answers || matches!(leg, Leg::In | Leg::Later));
    let translated = stop.judgement.translated.as_ref().or_else(|| first?.translated.as_ref());
    let seen_as = translated.filter(|_| after_nat).map(|t| t.to).or(view.address);
    let port = seen_as.map_or(view.case.target.port, |address| address.port());
    let there = seen_as.map(|address| address.ip());
    let leg = if leg == Leg::Later { Leg::In } else { leg };
    let packets = |client, server| Packets { leg, client, server, port, transport: transport.name() };
    match (leg, view.asker()) {
        (Leg::Out | Leg::AnswerIn, _) => vec![Wanted { packets: packets(None, view.ip()), broad: false }],
        (_, asker) => {
            let server = there.filter(|_| forwarded);
            let one = asker.map(|ip| Wanted { packets: packets(Some(ip), server), broad: false });
            let all = Wanted { packets: packets(None, server), broad: true };
            one.into_iter().chain([all]).collect()
        }
    }
}

/// The fix lets the packet through at one place only: what stops it behind that is opened as well, no wider than need be,
/// and for the answers.
pub(crate) fn and_behind(fix: Fix, view: &View<'_>, stop: &Stop<'_>) -> Fix {
    answers_too(behind(fix, view, stop, stop.judgement.behind.as_deref(), false), view, stop)
}

/// The same, where the fix takes what decided away: no rule that lets the packet in comes in its place.
pub(crate) fn and_without(fix: Fix, view: &View<'_>, stop: &Stop<'_>) -> Fix {
    answers_too(behind(fix, view, stop, stop.judgement.without.as_deref(), false), view, stop)
}

fn behind(mut fix: Fix, view: &View<'_>, stop: &Stop<'_>, first: Option<&Judgement>, broad: bool) -> Fix {
    let Some(transport) = view.transport().filter(|_| !fix.steps.is_empty()) else { return fix };
    let mut next = first;
    while let Some(judgement) = next {
        next = judgement.behind.as_deref();
        let later = Stop { leg: stop.leg, judgement, fate: &judgement.fate, certain: true };
        let more = match later.decider() {
            Some(Decider::Stack(StackReason::ForwardingOff { sysctl })) => {
                keep_setting(view, Fix::new(view, Risk::Medium, "forward packets"), sysctl, "1", Some("0"))
            }
            Some(decider) => decider.place().and_then(|place| {
                let wanted = wanted(view, stop, stop.leg, place, transport);
                let wanted = wanted.iter().find(|wanted| wanted.broad == broad).or(wanted.first())?;
                one(view, &later, place, wanted)
            }),
            None => None,
        };
        let Some(more) = more else {
            fix.title.push_str(&format!("; {} stops it behind that", super::decider(&later)));
            continue;
        };
        if more.steps.is_empty() {
            fix.title.push_str(&format!("; behind that: {}", more.title));
            continue;
        }
        fix.title.push_str(&format!("; and at {}, which stops it behind that", super::decider(&later)));
        fix.risk = fix.risk.max(more.risk);
        fix.persistent &= more.persistent;
        fix.steps.extend(more.steps);
        fix.undo.splice(0..0, more.undo);
    }
    fix
}

/// A rule for the client's packets is of no use where the same kind of chain drops the answers: they are let through as
/// well, for connections that were let in.
fn answers_too(fix: Fix, view: &View<'_>, stop: &Stop<'_>) -> Fix {
    let reply = view.judged().and_then(|judged| judged.reply.as_ref()).filter(|reply| reply.fate.is_stopped());
    let decider = reply.filter(|_| stop.leg == Leg::In).and_then(|reply| reply.decided_by.as_ref());
    let step = decider.filter(|_| !fix.steps.is_empty()).and_then(established_at);
    match step {
        Some((command, undo)) => fix.command(command).undo(undo),
        None => fix,
    }
}

/// A first rule of the chain that decided, for what belongs to a connection, and how it is taken back.
fn established(stop: &Stop<'_>) -> Option<(String, String)> {
    let tracked = matches!(stop.decider()?.place()?.hook, FilterHook::Input | FilterHook::Forward | FilterHook::Output);
    established_at(stop.decider()?).filter(|_| tracked)
}

fn established_at(decider: &Decider) -> Option<(String, String)> {
    let (place, RuleOwner::Hand) = (decider.place()?, decider.owner()?) else { return None };
    match place.backend {
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
    }
}

/// What this machine sends itself by loopback meets the chain twice, the answers too: one rule for both.
fn loopback(view: &View<'_>, stop: &Stop<'_>, place: &ChainPlace) -> Option<Fix> {
    // All of this machine's own addresses are reached by lo. Where the port is shut by one that others use, it is they who
    // are meant; an answer to this machine itself concerns nobody else.
    let here = view.is_local() == Some(true) && view.asker().is_none();
    let own = view.ip()?.is_loopback() || here && stop.leg == Leg::AnswerOut;
    if !own
        || !matches!(stop.decider()?.owner()?, RuleOwner::Hand)
        || place.hook != FilterHook::Input
        || matches!(stop.leg, Leg::Out)
    {
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
    let rule = stop.decider()?.rule_before();
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
    let one = set.by_source && !set.element.contains(['/', '-']);
    let risk = if one { Risk::Low } else { Risk::Medium };
    let wider = if one { "" } else { ", and so lets in all that it covers" };
    // Within nft's braces words are nft's own, and no quotes of the shell's.
    let plain = |c: char| c.is_ascii_alphanumeric() || ":./-, ".contains(c);
    let element = Some(set.element.as_str()).filter(|element| element.chars().all(plain))?;
    let name = quote(&set.name)?;
    let title = format!("take {} out of the set {}{wider}", safe(&set.element), safe(&set.name));
    let fix = Fix::new(view, risk, title);
    Some(match set.kind {
        SetKind::Ipset => {
            let timeout = set.expires.map(|s| format!(" timeout {s}")).unwrap_or_default();
            let element = quote(element)?;
            fix.command(format!("ipset del {name} {element}")).undo(format!("ipset add {name} {element}{timeout}"))
        }
        SetKind::Nft => {
            let timeout = set.expires.map(|s| format!(" timeout {s}s")).unwrap_or_default();
            let set = format!("{} {} {name}", super::describe::family(rule.place.family), quote(&rule.place.table)?);
            let elements = |element: String| quote(&format!("{{ {element} }}"));
            fix.command(format!("nft delete element {set} {}", elements(element.to_owned())?))
                .undo(format!("nft add element {set} {}", elements(format!("{element}{timeout}"))?))
        }
    })
}
