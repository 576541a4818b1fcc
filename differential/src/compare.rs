//! Holds the judge's answer against what the kernel did.

use crate::expect;
use crate::kernel::counters::Key;
use crate::kernel::{Arrived, Observed, Sees};
use crate::probe::{Probe, proto};
use crate::ruleset::Script;
use crate::world;
use std::collections::BTreeSet;
use std::net::IpAddr;
use unrefuse_firewall::answer::{Answer, ClientSees, Decider, Destination, Fate};
use unrefuse_firewall::model::{Expr, Reject, Rule, Ruleset, Statement, Table};

/// How an answer compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Same,
    /// The same, and all rules that counted are those that the judge says match.
    SameRules,
    /// The judge leaves it open, why.
    Undecided(String),
    /// What differs: a short kind, by which shrinking stays with the same fault, and the words.
    Differs {
        kind: &'static str,
        text: String,
    },
}

fn differs(kind: &'static str, text: String) -> Verdict {
    Verdict::Differs { kind, text }
}

/// Compares.
pub(crate) fn compare(
    rules: &Script,
    ruleset: &Ruleset,
    probe: &Probe,
    answer: &Answer,
    observed: &Observed,
) -> Verdict {
    if let Fate::Depends { reason, .. } | Fate::Unknown(reason) = &answer.fate {
        return Verdict::Undecided(reason.clone());
    }
    // Translated back to its sender: what is sent to the one cannot be told from what is sent to the other.
    let to_itself = matches!(&observed.arrived, Arrived::Left { dst, .. } if Some(*dst) == probe.src);
    // A reset to an address of the host's own is a segment that it gets.
    let own_reset = spoofed(probe) && matches!(answer.fate, Fate::Rejected(_));
    if let Some(text) = fate(&answer.fate, observed).filter(|_| !several(probe) && !own_reset) {
        return differs("fate", text);
    }
    if let Some(text) = translated(answer, probe, observed).filter(|_| !answer.forked) {
        return differs("translated", text);
    }
    if let Some(text) = decider(rules, answer, observed).filter(|_| !answer.forked) {
        return differs("decider", text);
    }
    if answer.client_sees == ClientSees::Unclear {
        return Verdict::Undecided(
            answer
                .reply
                .as_ref()
                .map_or_else(|| "what the client sees".into(), |r| format!("the answer: {:?}", r.fate)),
        );
    }
    if let Some(text) = sees(rules, answer, probe, observed)
        .filter(|_| !(to_itself || spoofed(probe) || several(probe) && probe.proto != proto::TCP))
    {
        return differs("sees", text);
    }
    hits(rules, ruleset, probe, answer, observed)
}

fn fate(fate: &Fate, observed: &Observed) -> Option<String> {
    let same = match (fate, &observed.arrived) {
        (Fate::Accepted { to }, arrived) => to.iter().any(|d| reaches(d, arrived)),
        (Fate::NotSent(errno), Arrived::Nowhere) => matches!(&observed.sees, Sees::Errno { name } if name == errno),
        (Fate::Dropped | Fate::Rejected(_), arrived) => *arrived == Arrived::Nowhere,
        _ => false,
    };
    (!same).then(|| format!("judge: {fate:?}; kernel: {:?}, sender sees {:?}", observed.arrived, observed.sees))
}

fn reaches(destination: &Destination, arrived: &Arrived) -> bool {
    fn known<T: PartialEq>(a: Option<&T>, b: Option<&T>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        }
    }
    match arrived {
        Arrived::Nowhere => false,
        Arrived::Here { dst, dport, .. } => {
            destination.local
                && known(destination.address.as_ref(), dst.as_ref())
                && known(destination.port.as_ref(), dport.as_ref())
        }
        Arrived::Left { oif, dst, dport, .. } => {
            !destination.local
                && known(destination.oif.as_ref(), Some(oif))
                && known(destination.address.as_ref(), Some(dst))
                && known(destination.port.as_ref(), Some(dport))
        }
    }
}

fn translated(answer: &Answer, probe: &Probe, observed: &Observed) -> Option<String> {
    let (src, sport, dst, dport) = match &observed.arrived {
        Arrived::Nowhere => return None,
        Arrived::Here { src, sport, dst, dport } => (*src, *sport, *dst, *dport),
        Arrived::Left { src, sport, dst, dport, .. } => (Some(*src), Some(*sport), Some(*dst), Some(*dport)),
    };
    let known = |a: Option<IpAddr>, b: Option<IpAddr>| a.is_none() || b.is_none() || a == b;
    let port = |a: Option<u16>, b: Option<u16>| a.is_none() || b.is_none() || a == b;
    let ports = !matches!(probe.proto, proto::ICMP | proto::ICMP6);
    let (want_src, want_sport, want_dst, want_dport) = match &answer.translated {
        Some(t) => (t.src, t.sport, t.dst, t.dport),
        None => (probe.src, Some(probe.sport), Some(probe.dst), Some(probe.dport)),
    };
    let same = known(want_src, src)
        && known(want_dst, dst)
        && (!ports || (port(want_sport, sport) && port(want_dport, dport)));
    (!same).then(|| format!("judge: {:?}; kernel: {:?}", answer.translated, observed.arrived))
}

fn decider(rules: &Script, answer: &Answer, observed: &Observed) -> Option<String> {
    let key = answer.decided_by.as_ref().and_then(|d| expect::key(d, rules))?;
    if observed.hits.contains_key(&key) {
        return None;
    }
    Some(format!("judge: {key} decides; it did not count: {}", list(observed.hits.keys())))
}

/// Whether the source is one of the host's own addresses or no host's: no answer comes back to who sent it.
fn spoofed(probe: &Probe) -> bool {
    let own = |a: IpAddr| world::ADDRESSES.iter().any(|(_, own, _)| world::address(own) == a);
    let odd = |s: IpAddr| s.is_loopback() || s.is_multicast() || is_broadcast(s);
    probe.iif.is_some() && probe.src.is_some_and(|s| own(s) || odd(s))
}

fn is_broadcast(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(a) if a.octets()[3] == 255)
}

fn sees(rules: &Script, answer: &Answer, probe: &Probe, observed: &Observed) -> Option<String> {
    let open = expect::open(answer, probe);
    let proxied = rules.ruleset.contains("TPROXY");
    let same = match (&answer.client_sees, &observed.sees) {
        (ClientSees::Answer, Sees::Answer) => open != Some(false) || proxied,
        // The listener answers as itself; a real proxy would not.
        (ClientSees::Answer, Sees::AnswerFrom { .. }) => proxied,
        // A connected socket does not even take that.
        (ClientSees::Answer, Sees::Nothing) => {
            let taken = matches!(observed.arrived, Arrived::Here { .. });
            proxied && taken && open == Some(false) && probe.iif.is_none() && probe.proto == proto::UDP
        }
        (ClientSees::Icmp { v6: false, .. }, Sees::Nothing) => may_be_held_back(answer),
        (ClientSees::Answer, Sees::Reset) => probe.proto == proto::TCP && open != Some(true),
        // Port unreachable, of a closed port.
        (ClientSees::Answer, Sees::Icmp { icmp, code, .. }) => {
            probe.proto == proto::UDP && open != Some(true) && matches!((icmp, code), (3, 3) | (1, 4))
        }
        (ClientSees::Silence, Sees::Nothing) => true,
        // An answer that gets through under another address is none to the client.
        (ClientSees::Silence, Sees::AnswerFrom { .. }) => answer.reply.as_ref().is_some_and(|r| r.fate.is_accepted()),
        (ClientSees::Reset, Sees::Reset) => true,
        (ClientSees::Icmp { v6, kind, code }, Sees::Icmp { v6: v, icmp, code: c }) => (v6, kind, code) == (v, icmp, c),
        (ClientSees::Errno(errno), Sees::Errno { name }) => name == errno,
        _ => false,
    };
    (!same).then(|| {
        let reply = answer.reply.as_ref().map(|r| (&r.fate, &r.decided_by));
        format!("judge: sender sees {:?} (reply {reply:?}); kernel: {:?}", answer.client_sees, observed.sees)
    })
}

/// A route's own error comes once in a second for each sender (net/ipv4/route.c, `ip_error`).
fn may_be_held_back(answer: &Answer) -> bool {
    matches!((&answer.decided_by, &answer.fate), (Some(Decider::Stack(_)), Fate::Rejected(Reject::Icmp(..))))
}

/// Whether the destination is no single host: whether a socket has joined it is not looked at.
fn several(probe: &Probe) -> bool {
    probe.dst.is_multicast() || is_broadcast(probe.dst)
}

/// The rules that matched: those on the packet's way, and those on its answer's.
fn hits(rules: &Script, ruleset: &Ruleset, probe: &Probe, answer: &Answer, observed: &Observed) -> Verdict {
    // The other way ends alike, but goes by other rules.
    if answer.forked || several(probe) {
        return Verdict::Same;
    }
    let way = expect::keys(&answer.way, rules);
    let back = answer.reply.as_ref().map(|r| expect::keys(&r.way, rules)).unwrap_or_default();
    // A user's chain of legacy iptables ends in a hidden rule, which counts, too.
    let is_rule = |k: &&Key| k.number > 0 && find(ruleset, k).is_some();
    let hit: BTreeSet<Key> = observed.hits.keys().filter(is_rule).cloned().collect();
    let missed: Vec<_> = way.iter().filter(|k| !hit.contains(k)).collect();
    if !missed.is_empty() {
        return differs("missed", format!("judge: these match, too, kernel: not: {}", list(missed.into_iter())));
    }
    // A handshake that goes on meets more rules; so does a closed port's own error, the error that stops an answer, and
    // what the kernel says by itself.
    let whole = probe.iif.is_some() || observed.sees != Sees::Answer;
    // The listener answers as itself, which begins a connection; a real proxy answers as the address that was asked.
    let as_itself = rules.ruleset.contains("TPROXY") && matches!(observed.sees, Sees::AnswerFrom { .. });
    let answer_stopped = answer.reply.as_ref().is_some_and(|r| matches!(r.fate, Fate::Rejected(_)))
        || observed.sees == Sees::Nothing && (answer.fate.is_accepted() || may_be_held_back(answer));
    let to_itself = matches!(&observed.arrived, Arrived::Left { dst, .. } if Some(*dst) == probe.src);
    if to_itself || !whole || observed.chatter || answer_stopped || as_itself || spoofed(probe) {
        return Verdict::Same;
    }
    let missed: Vec<_> = back.iter().filter(|k| !hit.contains(k)).collect();
    if !missed.is_empty() {
        return differs("back", format!("judge: the answer meets these, kernel: not: {}", list(missed.into_iter())));
    }
    let known = |k: &&Key| !way.contains(*k) && !back.contains(*k) && !looks_up(ruleset, k);
    let more: Vec<_> = hit.iter().filter(known).collect();
    if more.is_empty() {
        return Verdict::SameRules;
    }
    differs("more", format!("kernel: these match, too, judge: not: {}", list(more.into_iter())))
}

fn find<'r>(ruleset: &'r Ruleset, key: &Key) -> Option<&'r Rule> {
    let table = |t: &&Table| t.name == key.table && expect::family_name(t.family) == key.family;
    let chain = ruleset.tables.iter().find(table).and_then(|t| t.chains.get(&key.chain))?;
    chain.rules.iter().find(|r| r.number == key.number)
}

/// Whether the rule asks a map: it counts the packet, and may have nothing to say to it.
fn looks_up(ruleset: &Ruleset, key: &Key) -> bool {
    fn map(e: &Expr) -> bool {
        match e {
            Expr::Map { .. } => true,
            Expr::Bits { of, .. } | Expr::Shift { of, .. } => map(of),
            _ => false,
        }
    }
    find(ruleset, key).is_some_and(|r| {
        r.statements.iter().any(|s| match s {
            Statement::VerdictMap { .. } => true,
            Statement::Set { value, .. } => map(value),
            Statement::Nat(nat) => nat.address.iter().chain(&nat.port).any(|(from, _)| map(from)),
            _ => false,
        })
    })
}

fn list<'a>(keys: impl Iterator<Item = &'a Key>) -> String {
    let all: Vec<_> = keys.map(ToString::to_string).collect();
    if all.is_empty() { "nothing".into() } else { all.join(", ") }
}
