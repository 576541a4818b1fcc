//! What several route rules read and say of routes, links and local errors.

use crate::View;
use crate::filter;
use crate::fix::quote;
use crate::report::{Evidence, Fix, Risk};
use std::net::IpAddr;
use unrefuse_facts::{
    AnswerKind, Attempt, AttemptOutcome, Errno, Link, Route, RouteDecision, RouteKind, RoutingRule, text,
};

/// The attempt that this machine's own kernel refused, with its error. An ICMP error from elsewhere is none.
pub(super) fn local_error<'a>(view: &View<'a>) -> Option<(&'a Attempt, Errno)> {
    let attempt = view.attempt().filter(|a| a.outcome != AttemptOutcome::Open)?;
    let local = attempt.answer.as_ref().is_none_or(|answer| answer.kind == AnswerKind::Local);
    local.then_some(attempt.errno.map(|errno| (attempt, errno)))?
}

/// The kernel's decision for the address, where it was looked up.
pub(super) fn decision<'a>(view: &View<'a>) -> Option<&'a RouteDecision> {
    view.routing()?.decision.value()
}

/// The link of a route.
pub(in crate::rules) fn link<'a>(view: &View<'a>, route: &Route) -> Option<&'a Link> {
    view.case.host.link(route.link?)
}

/// `10.9.0.0/24`, `default`, `10.9.0.1` for a host route: the destination as ip-route(8) takes it.
pub(in crate::rules) fn prefix(route: &Route) -> String {
    match (route.destination, route.prefix) {
        (_, 0) => "default".to_owned(),
        (ip, length) => format!("{ip}/{length}"),
    }
}

/// `10.9.0.0/24 via 10.1.0.254 dev eth0`, as ip-route(8) prints it.
pub(in crate::rules) fn described(view: &View<'_>, route: &Route) -> String {
    let mut said = match route.kind {
        RouteKind::Unicast => prefix(route),
        kind => format!("{} {}", kind.name(), prefix(route)),
    };
    if let Some(gateway) = route.gateway {
        said += &format!(" via {gateway}");
    }
    if let Some(link) = link(view, route) {
        said += &format!(" dev {}", text::visible(&link.name));
    }
    if !matches!(route.table, 0 | 253..=255) {
        said += &format!(" table {}", route.table);
    }
    said
}

/// The decision's own words as evidence.
pub(super) fn decided(view: &View<'_>, said: impl Into<String>) -> Evidence {
    let source = view.routing().and_then(|r| r.decision.source()).map_or("RTM_GETROUTE", |source| &source.what);
    Evidence::new(said, source)
}

/// `the lookup of 10.9.0.1`, with the mark by which it was made.
pub(super) fn lookup(view: &View<'_>, ip: IpAddr) -> String {
    let mark = view.routing().and_then(|routing| routing.mark);
    format!("the lookup of {ip}{}", mark.map(|mark| format!(" with mark {mark:#x}")).unwrap_or_default())
}

/// The rule of this machine's filters that marks the packet, where the kernel routes it anew by that.
pub(in crate::rules) fn marked(view: &View<'_>) -> Option<Evidence> {
    let mark = view.routing()?.mark?;
    let by = view.judged()?.marked.as_ref()?.by.as_ref().map(filter::rule_text);
    let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
    let said = format!("packets to {} get the mark {mark:#x}, and are routed anew with it{by}", view.endpoint());
    Some(Evidence::new(said, filter::source(view)))
}

/// Takes the rule out that marks the packet.
pub(in crate::rules) fn unmark(view: &View<'_>) -> Option<Fix> {
    view.routing()?.mark?;
    filter::remove_rule(view, view.judged()?.marked.as_ref()?.by.as_ref()?)
}

/// `32765: fwmark 0x7 blackhole`, as ip-rule(8) shows it.
pub(in crate::rules) fn rule_text(rule: &RoutingRule) -> String {
    let selector = rule.selector.as_deref().unwrap_or("…");
    format!(
        "{}: {}{}{}",
        rule.priority,
        text::visible(selector),
        if selector.is_empty() { "" } else { " " },
        rule.kind.name()
    )
}

/// Takes a rule that stops packets out of the routing policy.
pub(in crate::rules) fn take_rule_out(view: &View<'_>, address: IpAddr, rule: &RoutingRule) -> Fix {
    let fix = Fix::new(view, Risk::Medium, format!("take the rule {} out of the routing policy", rule_text(rule)));
    let command = ip(address);
    match rule.selector.as_ref().filter(|selector| text::visible(selector) == **selector) {
        Some(selector) => {
            let rule = format!("pref {} {selector} {}", rule.priority, rule.kind.name()).replace("  ", " ");
            fix.command(format!("{command} rule del {rule}")).undo(format!("{command} rule add {rule}"))
        }
        None => fix,
    }
}

/// `ip`, or `ip -6`: without it ip-route(8) takes `default` for IPv4.
pub(in crate::rules) fn ip(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ip" } else { "ip -6" }
}

/// `10.9.0.1/32`, `fd09::1/128`.
pub(super) fn host_prefix(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

/// Leads packets to this one address by an entry that covers it, past the one that decides.
pub(in crate::rules) fn host_route(view: &View<'_>, to: IpAddr, by: &Route, title: String) -> Option<Fix> {
    let device = quote(&link(view, by)?.name)?;
    let via = by.gateway.map(|gateway| match (to, gateway) {
        // A next hop of the other family has to be named (ip-route(8)).
        (IpAddr::V4(_), IpAddr::V6(_)) => format!(" via inet6 {gateway}"),
        _ => format!(" via {gateway}"),
    });
    let entry = format!("{}{} dev {device}", host_prefix(to), via.unwrap_or_default());
    let command = ip(to);
    let fix = Fix::new(view, Risk::Low, title);
    Some(fix.command(format!("{command} route add {entry}")).undo(format!("{command} route del {entry}")))
}

/// Takes an entry that stops packets out of its table.
pub(in crate::rules) fn take_out(view: &View<'_>, address: IpAddr, route: &Route) -> Fix {
    let table = if matches!(route.table, 0 | 254) { String::new() } else { format!(" table {}", route.table) };
    let metric = if route.metric == 0 { String::new() } else { format!(" metric {}", route.metric) };
    let entry = format!("{} {}{table}{metric}", route.kind.name(), prefix(route));
    let command = ip(address);
    Fix::new(view, Risk::Medium, format!("take out the route {}", described(view, route)))
        .command(format!("{command} route del {entry}"))
        .undo(format!("{command} route add {entry}"))
}

/// An entry that is there to stop packets.
pub(in crate::rules) fn stops(kind: RouteKind) -> bool {
    matches!(kind, RouteKind::Blackhole | RouteKind::Unreachable | RouteKind::Prohibit | RouteKind::Throw)
}

/// Kinds of link that the kernel makes by itself, down, when a module is loaded, or that carry nothing.
const IDLE: [&str; 12] =
    ["sit", "ipip", "gre", "gretap", "erspan", "ip6tnl", "ip6gre", "ip6gretap", "vti", "vti6", "ifb", "dummy"];

/// A link that could carry packets to other machines.
pub(super) fn carries(link: &Link) -> bool {
    !link.loopback && !link.kind.as_deref().is_some_and(|kind| IDLE.contains(&kind))
}

/// A bridge or dummy that joins guests of this machine: no member is a physical interface.
pub(super) fn is_for_guests(view: &View<'_>, link: &Link) -> bool {
    let links = view.case.host.links.value().map(Vec::as_slice).unwrap_or_default();
    let physical = |member: &Link| member.master == Some(link.index) && member.kind.is_none();
    match link.kind.as_deref() {
        Some("bridge") => !links.iter().any(physical),
        Some("dummy") => true,
        _ => false,
    }
}
