//! What stands around the rules: the tools that make them, files that are loaded at boot, the connection table.

use super::super::machine::LiveMachine;
use super::ufw;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use unrefuse_collect::{Host, filters};
use unrefuse_facts::{
    Case, Family, FirewallFacts, Location, Missing, Observed, Protocol, Reason, SavedKind, SavedRule, SavedRules,
    SavedSays, Source,
};
use unrefuse_firewall::answer::Decider;
use unrefuse_firewall::judge::{Question, judge};
use unrefuse_firewall::{iptables, model};

/// Reads it for the first address of the target.
pub(super) fn around(
    facts: &mut FirewallFacts,
    question: Option<&Question>,
    drops_before: Option<u64>,
    case: &Case,
    host: &Arc<dyn Host>,
) {
    facts.conntrack = filters::conntrack(drops_before);
    facts.ufw = filters::ufw();
    if let Observed::Known { value, .. } = &facts.ufw {
        facts.judgements.iter_mut().for_each(|judged| ufw::name_rules(judged, value));
    }
    let arrives = facts.judgements.iter().find_map(|j| j.ingress.as_ref()?.arrives_by.clone());
    let udp = case.target.protocol == Protocol::Udp;
    facts.firewalld = filters::firewalld(facts.from, arrives.as_deref(), case.target.port, udp);
    let address = facts.judgements.iter().find(|j| j.ingress.is_some()).map(|j| j.address);
    let rules = match (address, question) {
        (Some(address), Some(question)) => saved(address, question, host),
        _ => Vec::new(),
    };
    facts.saved = SavedRules { rules, keeper: filters::keeper() };
}

/// What saved files say of the client's packet.
fn saved(address: SocketAddr, question: &Question, host: &Arc<dyn Host>) -> Vec<SavedRule> {
    let Ok(machine) = LiveMachine::new(host, Family::of(&address.ip())) else { return Vec::new() };
    let files = filters::saved_files().into_iter().filter(|file| match file.kind {
        SavedKind::Iptables => address.is_ipv4(),
        SavedKind::Ip6tables => address.is_ipv6(),
        _ => true,
    });
    let says = |file: filters::SavedFile| {
        let says = match (file.kind, &file.content) {
            (SavedKind::Iptables | SavedKind::Ip6tables, Observed::Known { value, .. }) => {
                judged(value, &file.path, address.ip(), question, &machine)
            }
            (_, Observed::Missing(missing)) => Observed::Missing(missing.clone()),
            _ => {
                let why = Missing::new(Reason::NotLooked, format!("{}: nft's own language is not read", file.path));
                Observed::Missing(why.remedy(format!("nft -c -f {}; nft list ruleset", file.path)))
            }
        };
        SavedRule { kind: file.kind, path: file.path, says, loaded_at_boot: file.loaded_at_boot }
    };
    files.map(says).collect()
}

fn judged(
    bytes: &[u8],
    path: &str,
    address: IpAddr,
    question: &Question,
    machine: &LiveMachine,
) -> Observed<SavedSays> {
    let family = if address.is_ipv4() { model::Family::Ip } else { model::Family::Ip6 };
    let ruleset = iptables::parse(bytes, Some(family));
    let answer = judge(&ruleset, machine, question);
    if !answer.fate.is_accepted() && !answer.fate.is_stopped() {
        let why =
            Missing::new(Reason::Failed, format!("{path}: what it says of the packet depends on what is not known"));
        return Observed::Missing(why);
    }
    let (text, line, by_rule) = match &answer.decided_by {
        Some(Decider::Rule(rule)) => (rule.text.clone(), rule.line, true),
        Some(Decider::Policy(policy)) => (format!("policy of chain {}", policy.chain), None, false),
        _ => ("no rule names the packet".to_owned(), None, false),
    };
    let location = line.map(|line| Location { path: path.to_owned(), line });
    Observed::known(SavedSays { accepts: answer.fate.is_accepted(), by_rule, text, location }, Source::configured(path))
}
