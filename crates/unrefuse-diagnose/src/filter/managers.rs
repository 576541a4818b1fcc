//! Letting packets through with ufw and firewalld, in their own language.

use super::allow::Wanted;
use super::describe::safe;
use super::{Leg, Stop};
use crate::View;
use crate::fix::quote;
use crate::report::{Fix, Risk};
use std::net::IpAddr;
use unrefuse_facts::{ChainPlace, FilterHook, RuleOwner, UfwAction, UfwRule};

/// ufw(8): a user rule; before the rule that denies, where one does.
pub(crate) fn ufw(
    view: &View<'_>,
    stop: &Stop<'_>,
    place: &ChainPlace,
    wanted: &Wanted,
    rule: Option<u32>,
) -> Option<Fix> {
    // These chains are asked before the user's rules (ufw-framework(8)): no user rule helps.
    let early = ["before", "not-local"].iter().any(|word| place.chain.contains(word));
    if early || matches!(wanted.packets.leg, Leg::AnswerIn | Leg::AnswerOut) {
        let v6 = view.ip().is_some_and(|ip| ip.is_ipv6());
        let file = if v6 { "/etc/ufw/before6.rules" } else { "/etc/ufw/before.rules" };
        let chain = safe(&place.chain);
        let title = format!("let {} through in {file}: ufw asks {chain} before all user rules", wanted.who());
        return (!wanted.broad).then(|| Fix::new(view, Risk::Medium, title));
    }
    let rule_text = ufw_rule(view, place, wanted);
    let denies = place.chain.contains("user");
    let number = rule.or_else(|| denies.then(|| denying(view, place)).flatten().map(|rule| rule.number));
    let (placed, how) = match (denies, number) {
        (false, _) => (String::new(), "with a rule of ufw, which is closed by default".to_owned()),
        (true, Some(number)) => (format!("insert {number} "), format!("with a rule of ufw before its rule {number}")),
        (true, None) => ("prepend ".to_owned(), "with a rule of ufw before all others".to_owned()),
    };
    let (route, rule_text) = match rule_text.strip_prefix("route ") {
        Some(rest) => ("route ", rest.to_owned()),
        None => ("", rule_text),
    };
    if wanted.broad
        && let Some(own) = denying(view, place).filter(|_| denies && route.is_empty())
        && without_family(&own.to) == format!("{}/{}", wanted.packets.port, wanted.packets.transport)
        && without_family(&own.from) == "Anywhere"
    {
        return Some(turned_round(view, wanted, own));
    }
    let mut fix = Fix::new(view, wanted.risk(), wanted.title(&how));
    let moved = denies && stands_later(view, stop, wanted);
    if !moved && stands_already(view, wanted) {
        return None;
    }
    if moved {
        // ufw skips the insertion of a rule that it has already, wherever that stands.
        fix = fix.command(format!("ufw {route}delete {rule_text}"));
    }
    fix = fix.command(format!("ufw {route}{placed}{rule_text}")).undo(format!("ufw {route}delete {rule_text}"));
    if moved {
        fix = fix.undo(format!("ufw {route}{rule_text}"));
    }
    Some(fix.persistent())
}

/// Takes a denying user rule out, by its number; `--force` asks nothing (ufw(8)).
pub(crate) fn ufw_delete(view: &View<'_>, number: u32) -> Option<Fix> {
    let rules = view.firewall().and_then(|f| f.ufw.value()).map_or(&[][..], |ufw| &ufw.rules);
    let known = rules.iter().find(|rule| rule.number == number);
    let shown = known.map(|rule| format!(" ({} {} from {})", action(rule.action), safe(&rule.to), safe(&rule.from)));
    let title = format!("take ufw's rule {number}{} out, for all packets that it names", shown.unwrap_or_default());
    let fix = Fix::new(view, Risk::High, title).command(format!("ufw --force delete {number}")).persistent();
    let last = rules.iter().all(|rule| rule.number <= number);
    let again = known.and_then(|rule| again(rule, if last { None } else { Some(number) }));
    Some(match again {
        Some(again) => fix.undo(again),
        None => fix,
    })
}

fn action(action: UfwAction) -> &'static str {
    match action {
        UfwAction::Allow => "allow",
        UfwAction::Deny => "deny",
        UfwAction::Reject => "reject",
        UfwAction::Limit => "limit",
    }
}

/// The command that makes a simple rule again: a port, from anywhere or from one network, or all of one network. Others
/// would need more of ufw's grammar than is shown of them.
fn again(rule: &UfwRule, at: Option<u32>) -> Option<String> {
    if rule.v6 || rule.out {
        return None;
    }
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b",:.".contains(&b));
    let from = match rule.from.split_once('/').unwrap_or((&rule.from, "32")) {
        ("Anywhere", _) => None,
        (address, length) if address.parse::<std::net::IpAddr>().is_ok() && plain(length) => Some(rule.from.as_str()),
        _ => return None,
    };
    let what = match (rule.to.split_once('/'), from) {
        (Some((port, protocol @ ("tcp" | "udp"))), None) if plain(port) => format!("{port}/{protocol}"),
        (Some((port, protocol @ ("tcp" | "udp"))), Some(from)) if plain(port) => {
            format!("from {from} to any port {port} proto {protocol}")
        }
        (None, Some(from)) if rule.to == "Anywhere" => format!("from {from}"),
        _ => return None,
    };
    let place = at.map(|at| format!("insert {at} ")).unwrap_or_default();
    let comment = match &rule.comment {
        Some(comment) => format!(" comment {}", quote(comment)?),
        None => String::new(),
    };
    Some(format!("ufw {place}{} {what}{comment}", action(rule.action)))
}

/// The rule may stand behind the denying one already, word for word.
fn stands_later(view: &View<'_>, stop: &Stop<'_>, wanted: &Wanted) -> bool {
    let by_ufw = stop.later_accept().is_some_and(|rule| matches!(rule.owner, RuleOwner::Ufw { .. }));
    let rules = view.firewall().and_then(|f| f.ufw.value()).map_or(&[][..], |ufw| &ufw.rules);
    by_ufw && wanted.packets.client.is_none_or(|client| rules.iter().any(|rule| rule.from == client.to_string()))
}

/// ufw has the rule in its files already, whatever the kernel has: it would skip it.
fn stands_already(view: &View<'_>, wanted: &Wanted) -> bool {
    let port = format!("{}/{}", wanted.packets.port, wanted.packets.transport);
    let rules = view.firewall().and_then(|f| f.ufw.value()).map_or(&[][..], |ufw| &ufw.rules);
    wanted.broad
        && rules.iter().any(|rule| {
            let same = rule.to.split_whitespace().next() == Some(&port) && rule.from.starts_with("Anywhere");
            same && !rule.out && rule.action == UfwAction::Allow
        })
}

fn ufw_rule(view: &View<'_>, place: &ChainPlace, wanted: &Wanted) -> String {
    let packets = &wanted.packets;
    let to = format!("port {} proto {}", packets.port, packets.transport);
    let any = if view.ip().is_some_and(|ip| ip.is_ipv6()) { "::/0" } else { "any" };
    let client = packets.client.map_or_else(|| any.to_owned(), |ip| ip.to_string());
    match (packets.leg, packets.server) {
        (Leg::Out, server) => {
            let server = server.map_or_else(|| any.to_owned(), |ip| ip.to_string());
            format!("allow out to {server} {to}")
        }
        (_, server) if place.hook == FilterHook::Forward => {
            let server = server.map_or_else(|| "any".to_owned(), |ip| ip.to_string());
            format!("route allow from {client} to {server} {to}")
        }
        // The short form is one rule for both families.
        _ if packets.client.is_none() && any == "any" => format!("allow {}/{}", packets.port, packets.transport),
        _ => format!("allow from {client} to any {to}"),
    }
}

/// What `ufw status` shows of a rule's end, without its mark for IPv6.
fn without_family(end: &str) -> &str {
    end.strip_suffix(" (v6)").unwrap_or(end)
}

/// The rule denies just what is to be let in. ufw takes a rule for the same port as the one that it has, whatever the
/// action, and skips its insertion: the old one goes first. The short form is one rule for both families.
fn turned_round(view: &View<'_>, wanted: &Wanted, own: &UfwRule) -> Fix {
    let what = format!("{}/{}", wanted.packets.port, wanted.packets.transport);
    let action = match own.action {
        UfwAction::Reject => "reject",
        UfwAction::Limit => "limit",
        UfwAction::Deny | UfwAction::Allow => "deny",
    };
    // At its place, so that the rules before and after keep theirs; ufw inserts nothing behind its last rule.
    let rules = view.firewall().and_then(|f| f.ufw.value()).map_or(&[][..], |ufw| &ufw.rules);
    let last = rules.iter().filter(|rule| !rule.v6).map(|rule| rule.number).max().unwrap_or(0);
    let place = match own.number {
        1 => "prepend ".to_owned(),
        number if number < last => format!("insert {number} "),
        _ => String::new(),
    };
    let fix = Fix::new(view, wanted.risk(), wanted.title(&format!("in place of ufw's rule {}", own.number)));
    let fix = fix.command(format!("ufw delete {action} {what}")).command(format!("ufw {place}allow {what}"));
    fix.undo(format!("ufw delete allow {what}")).undo(format!("ufw {place}{action} {what}")).persistent()
}

/// The user rule that denies the port, by what ufw shows of it.
fn denying<'a>(view: &'a View<'_>, place: &ChainPlace) -> Option<&'a UfwRule> {
    let ufw = view.firewall()?.ufw.value()?;
    let v6 = view.ip()?.is_ipv6();
    let out = place.hook == FilterHook::Output;
    let (port, both) = (view.case.target.port.to_string(), view.port());
    let names = |to: &str| to.split_whitespace().any(|word| word == port || word == both);
    let mut denying = ufw
        .rules
        .iter()
        .filter(|rule| rule.v6 == v6 && rule.out == out && matches!(rule.action, UfwAction::Deny | UfwAction::Reject));
    denying.find(|rule| names(&rule.to))
}

/// firewalld: a port, a service or a rich rule of the zone or policy, in the running and in the permanent configuration.
///
/// Both are changed instead of reloading: a reload drops what others changed in the running configuration.
pub(crate) fn firewalld(view: &View<'_>, place: &ChainPlace, wanted: &Wanted, zone: Option<&str>) -> Option<Fix> {
    let facts = view.firewall().and_then(|f| f.firewalld.value());
    let packets = &wanted.packets;
    if place.table == "firewalld_policy_drop" {
        let title = "switch firewalld's panic mode off: until then nothing at all comes in or goes out";
        let fix = Fix::new(view, Risk::High, title).command("firewall-cmd --panic-off").undo("firewall-cmd --panic-on");
        return (!wanted.broad).then(|| fix.persistent());
    }
    let policy = policy(&place.chain);
    // The one from this machine, HOST, has no zone.
    let has_zone = packets.leg == Leg::In && place.hook != FilterHook::Forward;
    if !has_zone && (policy.is_none() || !matches!(packets.leg, Leg::In | Leg::Out)) {
        let title = format!("let {} through with a policy of firewalld (`firewall-cmd --new-policy`)", wanted.who());
        return (!wanted.broad).then(|| Fix::new(view, Risk::Medium, title));
    }
    // The kernel's rules tell the zone that takes the packets; the files, the one that would after a reload.
    let zone = zone.or_else(|| facts.and_then(|f| f.zone.as_deref()));
    let (flag, named) = match (policy, zone) {
        (Some(policy), _) => {
            (format!("--policy={} ", quote(policy)?), format!("in firewalld's policy {}", safe(policy)))
        }
        (None, Some(zone)) => (format!("--zone={} ", quote(zone)?), format!("in firewalld's zone {}", safe(zone))),
        (None, None) => (String::new(), "in firewalld's default zone".to_owned()),
    };
    let priority = priority(&place.chain);
    let (what, value) = match (packets.client, priority, facts.and_then(|f| f.service_of_port.as_deref())) {
        (None, None, Some(service)) if packets.server.is_none() => ("service", quote(service)?),
        (None, None, None) if packets.server.is_none() => ("port", format!("{}/{}", packets.port, packets.transport)),
        (client, priority, _) => {
            let priority = priority.map(|priority| format!("priority=\"{priority}\" ")).unwrap_or_default();
            let v6 = view.ip().is_some_and(|ip| ip.is_ipv6());
            let family = if v6 { "ipv6" } else { "ipv4" };
            let end =
                |name: &str, ip: Option<IpAddr>| ip.map(|ip| format!("{name} address=\"{ip}\" ")).unwrap_or_default();
            let (from, to) = (end("source", client), end("destination", packets.server));
            let (port, protocol) = (packets.port, packets.transport);
            let ports = format!("port port=\"{port}\" protocol=\"{protocol}\" accept");
            ("rich-rule", quote(&format!("rule {priority}family=\"{family}\" {from}{to}{ports}"))?)
        }
    };
    Some(
        Fix::new(view, wanted.risk(), wanted.title(&named))
            .command(format!("firewall-cmd {flag}--add-{what}={value}"))
            .command(format!("firewall-cmd --permanent {flag}--add-{what}={value}"))
            .undo(format!("firewall-cmd {flag}--remove-{what}={value}"))
            .undo(format!("firewall-cmd --permanent {flag}--remove-{what}={value}"))
            .persistent(),
    )
}

/// Neighbour discovery of IPv6 in a policy; firewalld's zones let it in by themselves.
pub(super) fn firewalld_neighbours(view: &View<'_>, place: &ChainPlace) -> Option<Fix> {
    let policy = policy(&place.chain)?;
    let (flag, priority) = (format!("--policy={}", quote(policy)?), priority(&place.chain));
    let priority = priority.map(|priority| format!("priority=\"{priority}\" ")).unwrap_or_default();
    let title = format!("let neighbour discovery through in firewalld's policy {}", safe(policy));
    let mut fix = Fix::new(view, Risk::Low, title).persistent();
    for kind in ["neighbour-solicitation", "neighbour-advertisement"] {
        let rule = quote(&format!("rule {priority}family=\"ipv6\" icmp-type name=\"{kind}\" accept"))?;
        for kept in ["", "--permanent "] {
            fix = fix
                .command(format!("firewall-cmd {kept}{flag} --add-rich-rule={rule}"))
                .undo(format!("firewall-cmd {kept}{flag} --remove-rich-rule={rule}"));
        }
    }
    Some(fix)
}

/// The parts of a zone or policy, in the order in which they are asked (firewalld's core/nftables.py).
const PARTS: [&str; 5] = ["_pre", "_log", "_deny", "_allow", "_post"];

/// The policy that a chain belongs to: `filter_IN_policy_NAME_deny`.
fn policy(chain: &str) -> Option<&str> {
    let name = chain.strip_prefix("filter_")?.split_once("_policy_")?.1;
    Some(PARTS.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name))
}

/// The priority that a rich rule needs to be asked before those of the chain. A zone asks its denying chain before its
/// allowing one, and rules with a negative priority before both, the lowest first (firewalld.richlanguage(5)).
fn priority(chain: &str) -> Option<i32> {
    match chain {
        chain if chain.ends_with("_pre") => Some(-32768),
        chain if chain.ends_with("_deny") => Some(-100),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_policy() {
        assert_eq!(policy("filter_IN_policy_shut_it_deny"), Some("shut_it"));
        assert_eq!(policy("filter_FWD_policy_out"), Some("out"));
        assert_eq!(policy("filter_IN_public_deny"), None);
        assert_eq!(
            ["_pre", "_deny", "_allow"].map(|part| priority(&format!("filter_IN_a{part}"))),
            [Some(-32768), Some(-100), None]
        );
    }

    #[test]
    fn a_rule_that_was_taken_out_is_made_again() {
        let rule = |to: &str, from: &str| UfwRule {
            number: 2,
            out: false,
            action: UfwAction::Deny,
            to: to.into(),
            from: from.into(),
            v6: false,
            comment: None,
        };
        let made = |to, from| again(&rule(to, from), Some(2));
        assert_eq!(made("80/tcp", "Anywhere").as_deref(), Some("ufw insert 2 deny 80/tcp"));
        assert_eq!(
            made("80,443/tcp", "10.0.0.0/8").as_deref(),
            Some("ufw insert 2 deny from 10.0.0.0/8 to any port 80,443 proto tcp")
        );
        assert_eq!(made("Anywhere", "10.0.0.9").as_deref(), Some("ufw insert 2 deny from 10.0.0.9"));
        let noted = UfwRule { comment: Some("it's closed".into()), ..rule("80/tcp", "Anywhere") };
        assert_eq!(again(&noted, None).as_deref(), Some(r"ufw deny 80/tcp comment 'it'\''s closed'"));
        for (to, from) in [("Anywhere", "Anywhere"), ("10.0.0.5 80/tcp", "Anywhere"), ("80/tcp", "Anywhere on eth0")] {
            assert_eq!(made(to, from), None, "{to} {from}");
        }
    }
}
