//! What stands around the rules: the tools that make them, files that are loaded at boot, the connection table.

use super::super::machine::LiveMachine;
use super::ufw;
use std::net::SocketAddr;
use std::sync::Arc;
use unrefuse_collect::{Host, filters};
use unrefuse_facts::{
    Case, Family, FirewallFacts, FirewalldFacts, Location, Missing, Observed, Protocol, Reason, RuleOwner, SavedKind,
    SavedRule, SavedRules, SavedSays, Source,
};
use unrefuse_firewall::answer::Decider;
use unrefuse_firewall::judge::{Question, judge};
use unrefuse_firewall::{iptables, model, nft};

/// Reads it for the first address of the target.
pub(super) fn around(
    facts: &mut FirewallFacts,
    question: Option<&Question>,
    drops_before: Option<u64>,
    case: &Case,
    host: &Arc<dyn Host>,
) {
    facts.conntrack = filters::conntrack(drops_before);
    // What the machine's tools keep in files they load into its own namespace only.
    if case.host.own.netns_is_init == Some(false) {
        let apart = || Missing::new(Reason::NotLooked, "this network namespace is not the machine's own");
        facts.ufw = Observed::Missing(apart());
        facts.firewalld = Observed::Missing(apart());
        facts.saved = SavedRules { rules: Vec::new(), keeper: Observed::Missing(apart()) };
        return;
    }
    facts.ufw = filters::ufw();
    if let Observed::Known { value, .. } = &facts.ufw {
        facts.judgements.iter_mut().for_each(|judged| ufw::name_rules(judged, value));
    }
    let arrives = facts.judgements.iter().find_map(|j| j.ingress.as_ref()?.arrives_by.clone());
    let udp = case.target.protocol == Protocol::Udp;
    let decider = facts.judgements.iter().find_map(|j| j.ingress.as_ref()?.decided_by.as_ref());
    let running = match decider.and_then(|decider| decider.owner()) {
        Some(RuleOwner::Firewalld { zone }) => zone.clone(),
        _ => None,
    };
    let (port, client) = (case.target.port, facts.from);
    facts.firewalld = filters::firewalld(client, arrives.as_deref(), running.as_deref(), port, udp);
    let address = facts.judgements.iter().find(|j| j.ingress.is_some()).map(|j| j.address);
    let mut rules = match (address, question) {
        (Some(address), Some(question)) => saved(address, question, host),
        _ => Vec::new(),
    };
    rules.extend(facts.firewalld.value().and_then(zone_says));
    facts.saved = SavedRules { rules, keeper: filters::keeper() };
}

/// What saved files say of the client's packet.
fn saved(address: SocketAddr, question: &Question, host: &Arc<dyn Host>) -> Vec<SavedRule> {
    let Ok(machine) = LiveMachine::new(host, Family::of(&address.ip())) else { return Vec::new() };
    let files = filters::saved_files().into_iter().chain(filters::ufw_file(address.is_ipv6()));
    let files = files.filter(|file| match file.kind {
        SavedKind::Iptables => address.is_ipv4(),
        SavedKind::Ip6tables => address.is_ipv6(),
        _ => true,
    });
    let says = |file: filters::SavedFile| {
        let family = if address.is_ipv4() { model::Family::Ip } else { model::Family::Ip6 };
        let iptables = |bytes: &[u8]| judged(&iptables::parse(bytes, Some(family)), &file.path, question, &machine);
        let says = match (file.kind, &file.content) {
            (SavedKind::Iptables | SavedKind::Ip6tables, Observed::Known { value, .. }) => iptables(value),
            (SavedKind::Ufw, Observed::Known { value, .. }) => iptables(&with_input(value, address.is_ipv6())),
            (_, Observed::Known { value, .. }) => nft_says(value, &file.path, question, &machine),
            (_, Observed::Missing(missing)) => Observed::Missing(missing.clone()),
        };
        SavedRule { kind: file.kind, path: file.path, says, loaded_at_boot: file.loaded_at_boot }
    };
    files.map(says).collect()
}

/// ufw's file of user rules as a whole ruleset: its chain is asked by INPUT, which is closed for the question's sake (what
/// no user rule names counts as stopped).
fn with_input(bytes: &[u8], v6: bool) -> Vec<u8> {
    let chain = if v6 { "ufw6-user-input" } else { "ufw-user-input" };
    let mut lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    let asked = format!(":INPUT DROP [0:0]\n-A INPUT -j {chain}");
    // At the end, so that the other lines keep their numbers.
    let end = lines.iter().rposition(|line| line.trim_ascii() == b"COMMIT").unwrap_or(lines.len());
    lines.insert(end, asked.as_bytes());
    lines.join(&b'\n')
}

/// A file in nft's own language, with those that it includes. Where a part is not understood, or one is not there, nft would
/// perhaps load nothing of it: then it says nothing.
fn nft_says(bytes: &[u8], path: &str, question: &Question, machine: &LiveMachine) -> Observed<SavedSays> {
    let include = |included: &str, _: &str| filters::nft_includes(included, filters::NFT_FOLDER);
    let ruleset = nft::file::parse(path, bytes, &include);
    match ruleset.problems.first() {
        None => judged(&ruleset, path, question, machine),
        Some(problem) => {
            let text = format!("{}: {}", problem.place, problem.text);
            let remedy = format!("compare {path} with: nft list ruleset");
            Observed::Missing(Missing::new(Reason::Failed, text).remedy(remedy))
        }
    }
}

/// What firewalld's permanent configuration says of the port, where it lets it in.
fn zone_says(firewalld: &FirewalldFacts) -> Option<SavedRule> {
    let (zone, what) = (firewalld.zone.as_ref()?, firewalld.opened_by.as_ref()?);
    let path = firewalld.zone_file.clone()?;
    let says = SavedSays { accepts: true, by_rule: true, text: format!("zone {zone} lets in {what}"), location: None };
    let source = Source::configured(&path);
    let boot = Observed::not_looked("whether firewalld is started at boot");
    Some(SavedRule { kind: SavedKind::Firewalld, path, says: Observed::known(says, source), loaded_at_boot: boot })
}

fn judged(ruleset: &model::Ruleset, path: &str, question: &Question, machine: &LiveMachine) -> Observed<SavedSays> {
    let answer = judge(ruleset, machine, question);
    if !answer.fate.is_accepted() && !answer.fate.is_stopped() {
        let why =
            Missing::new(Reason::Failed, format!("{path}: what it says of the packet depends on what is not known"));
        return Observed::Missing(why);
    }
    let (text, location, by_rule) = match &answer.decided_by {
        Some(Decider::Rule(rule)) => {
            let path = rule.file.as_deref().unwrap_or(path).to_owned();
            (rule.text.clone(), rule.line.map(|line| Location { path, line }), true)
        }
        Some(Decider::Policy(policy)) => (format!("policy of chain {}", policy.chain), None, false),
        _ => ("no rule names the packet".to_owned(), None, false),
    };
    Observed::known(SavedSays { accepts: answer.fate.is_accepted(), by_rule, text, location }, Source::configured(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ufws_user_rules_are_asked_by_input() {
        let file = b"*filter\n:ufw-user-input - [0:0]\n-A ufw-user-input -p tcp --dport 80 -j ACCEPT\nCOMMIT\n";
        let whole = String::from_utf8(with_input(file, false)).unwrap();
        let lines: Vec<&str> = whole.lines().collect();
        assert_eq!(lines[2], "-A ufw-user-input -p tcp --dport 80 -j ACCEPT");
        assert_eq!(lines[3..], [":INPUT DROP [0:0]", "-A INPUT -j ufw-user-input", "COMMIT"]);
    }
}
