//! Random nft rulesets.

mod actions;
mod matches;
mod sets;

use super::iptables::{FWD, Hooks, IN, OUT, POST, PRE};
use crate::rng::Rng;
use crate::ruleset::{Chain, Rule, Rules, Table};

/// Type of the base chains from which a chain is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Filter,
    Nat,
    Route,
}

/// Where a rule stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Of the packets that are sent.
    pub(crate) v6: bool,
    /// `ip`, `ip6`, `inet` or `netdev`.
    pub(crate) family: &'a str,
    pub(crate) kind: Kind,
    /// 0: netdev ingress.
    pub(crate) hooks: Hooks,
    /// Chains that may be jumped to.
    pub(crate) below: &'a [String],
    /// Sets and maps of the table.
    pub(crate) sets: &'a [sets::Named],
}

impl Place<'_> {
    /// Whether something that works in these hooks only may stand here.
    pub(crate) const fn within(&self, hooks: Hooks) -> bool {
        self.hooks != 0 && self.hooks & !hooks == 0
    }

    /// `ip` or `ip6`.
    pub(crate) const fn l3(&self) -> &'static str {
        if self.v6 { "ip6" } else { "ip" }
    }

    /// netdev.
    pub(crate) const fn ingress(&self) -> bool {
        self.hooks == 0
    }
}

struct Draft {
    name: String,
    base: String,
    kind: Kind,
    hooks: Hooks,
}

/// Fills the ruleset's tables.
pub(crate) fn tables(rng: &mut Rng, rules: &mut Rules) {
    let mut taken = 0;
    for n in 0..rng.choose(&[1, 1, 1, 2, 2, 3]) {
        let family = match rng.below(100) {
            0..45 if rules.v6 => "ip6",
            0..45 => "ip",
            45..90 => "inet",
            90..95 if rules.v6 => "ip",
            90..95 => "ip6",
            _ => "netdev",
        };
        let table = table(rng, rules.v6, family, n, &mut taken);
        rules.tables.push(table);
    }
}

fn table(rng: &mut Rng, v6: bool, family: &str, number: usize, taken: &mut i32) -> Table {
    let drafts = chains(rng, family, taken);
    // A table of the other family never sees the packets; its matches are its own family's.
    let v6 = match family {
        "ip" => false,
        "ip6" => true,
        _ => v6,
    };
    let named = sets::random(rng, v6);
    let mut chains = Vec::new();
    for (n, draft) in drafts.iter().enumerate() {
        let below: Vec<_> = drafts[n + 1..]
            .iter()
            .filter(|d| d.base.is_empty() && d.kind == draft.kind && draft.hooks & !d.hooks == 0)
            .map(|d| d.name.clone())
            .collect();
        let place = Place { v6, family, kind: draft.kind, hooks: draft.hooks, below: &below, sets: &named };
        let most = if draft.kind == Kind::Nat { 4 } else { 7 };
        let rules = (0..rng.between(0, most)).map(|_| rule(rng, &place)).collect();
        chains.push(Chain { name: draft.name.clone(), base: draft.base.clone(), rules });
    }
    let sets = named.into_iter().map(|n| n.def).collect();
    Table { family: family.into(), name: format!("t{number}"), sets, chains }
}

fn chains(rng: &mut Rng, family: &str, taken: &mut i32) -> Vec<Draft> {
    let mut all = Vec::new();
    let netdev = family == "netdev";
    for n in 0..rng.between(1, 5) {
        let name = format!("b{n}");
        let policy = if rng.percent(15) { "drop" } else { "accept" };
        // Equal priorities of one hook are told apart by who was there first: not drawn here.
        *taken += 1;
        if netdev {
            let device = rng.pick(&["in0", "in0", "out0"]);
            let base = format!("type filter hook ingress device {device} priority {taken}; policy {policy};");
            all.push(Draft { name, base, kind: Kind::Filter, hooks: 0 });
            continue;
        }
        let (hook, bit) = rng.choose(&[
            ("prerouting", PRE),
            ("input", IN),
            ("input", IN),
            ("forward", FWD),
            ("forward", FWD),
            ("output", OUT),
            ("postrouting", POST),
        ]);
        let kind = match rng.below(100) {
            0..30 if bit != FWD => Kind::Nat,
            30..35 if bit == OUT => Kind::Route,
            _ => Kind::Filter,
        };
        let (word, priority) = match kind {
            Kind::Nat => ("nat", if matches!(bit, PRE | OUT) { -100 } else { 100 }),
            Kind::Route => ("route", -150),
            Kind::Filter => ("filter", rng.choose(&[-300, -150, -90, 0, 0, 0, 50, 150])),
        };
        let policy = if kind == Kind::Filter { policy } else { "accept" };
        let base = format!("type {word} hook {hook} priority {}; policy {policy};", priority + *taken % 40);
        all.push(Draft { name, base, kind, hooks: bit });
    }
    let bases = all.len();
    for n in 0..rng.between(0, 4) {
        let of = &all[rng.below(bases)];
        let (kind, mut hooks) = (of.kind, of.hooks);
        if !netdev && kind == Kind::Filter && rng.percent(60) {
            hooks |= rng.choose(&[IN | FWD, PRE | IN | FWD | OUT | POST, IN | FWD | OUT]);
        }
        all.push(Draft { name: format!("c{n}"), base: String::new(), kind, hooks });
    }
    all
}

fn rule(rng: &mut Rng, place: &Place<'_>) -> Rule {
    let (action, protocol) = actions::random(rng, place);
    let mut matches: Vec<String> = Vec::new();
    for text in matches::random(rng, place, protocol) {
        let earlier = matches.iter().chain(Some(&action));
        if earlier.into_iter().all(|m| agree(m, &text)) {
            matches.push(text);
        }
    }
    Rule { matches, action }
}

/// Whether nft takes both in one rule: it refuses two protocols.
fn agree(a: &str, b: &str) -> bool {
    let differ = |kinds: &[(&str, &str)]| {
        let of = |text: &str| {
            let text = format!(" {text} ");
            kinds.iter().find(|(word, _)| text.contains(word)).map(|(_, kind)| (*kind).to_owned())
        };
        matches!((of(a), of(b)), (Some(a), Some(b)) if a != b)
    };
    let l4 = [
        ("{ tcp, udp }", "both"),
        ("{ icmp, ipv6-icmp }", "icmps"),
        ("l4proto !=", "not"),
        (" l4proto tcp ", "tcp"),
        (" l4proto udp ", "udp"),
        (" l4proto . th dport ", "any"),
        ("nexthdr tcp", "tcp"),
        ("protocol tcp", "tcp"),
        ("tcp reset", "tcp"),
        (" tcp ", "tcp"),
        (" udp ", "udp"),
        (" icmp type", "icmp"),
        (" icmpv6 type", "icmpv6"),
    ];
    let l3 = [
        ("nfproto ipv4", "ip"),
        ("nfproto ipv6", "ip6"),
        (" ip ", "ip"),
        (" ip6 ", "ip6"),
        (" icmp ", "ip"),
        (" icmpv6 ", "ip6"),
        (" ip addr", "ip"),
        (" ip6 addr", "ip6"),
        (" exthdr ", "ip6"),
    ];
    // nft puts what it tests of a frame behind the counter then, together with the header's own protocol.
    let frame =
        [("ether saddr", "frame"), (" dscp set ", "written"), (" ttl set ", "written"), (" hoplimit set ", "written")];
    !differ(&l4) && !differ(&l3) && !differ(&frame)
}
