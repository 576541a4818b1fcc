//! Where a verdict may change as one number of the packet grows: the constants that rules and sets compare it with.
//!
//! Too many bounds cost time, a missing one would be wrong: what is not understood is said ([`Bounds::odd`]).

use std::collections::BTreeSet;

use crate::bits::ones;
use crate::model::{
    Cond, Ct, Elements, Expr, Field, Header, Meta, Op, Rule, Ruleset, Scalar, Set, Statement, Table, TuplePart,
};

/// `NFPROTO_*` (linux/netfilter.h).
const NFPROTO_IPV4: Scalar = 2;
const NFPROTO_IPV6: Scalar = 10;

/// The number whose bounds are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    /// A port. The destination port of a packet is the source port of its answer: both count.
    Port,
    /// An IPv4 address; likewise.
    V4,
    /// An IPv6 address; likewise.
    V6,
}

/// First numbers of stretches over which the verdict is the same.
#[derive(Debug)]
pub(crate) struct Bounds {
    number: Number,
    /// The bounds; 0 is always one.
    pub(crate) starts: BTreeSet<Scalar>,
    /// Something looks at the number in a way that has no bounds (its lowest bits, a hash, a set that was not read).
    pub(crate) odd: bool,
}

impl Number {
    /// Bits.
    pub(crate) const fn width(self) -> u16 {
        match self {
            Self::Port => 16,
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    const fn places(self) -> (Header, [u16; 2]) {
        match self {
            Self::Port => (Header::Transport, [0, 16]),
            Self::V4 => (Header::Network, [96, 128]),
            Self::V6 => (Header::Network, [64, 192]),
        }
    }
}

/// How a loaded value holds the number.
struct Held {
    /// Bits below the number in the value.
    below: u16,
    /// Lowest bits of the number that the value lacks.
    lacks: u16,
}

impl Bounds {
    /// The bounds of a number in all rules and sets of a ruleset.
    pub(crate) fn of(ruleset: &Ruleset, number: Number, rules_of: &dyn Fn(usize, &str) -> Vec<Rule>) -> Self {
        let mut bounds = Self { number, starts: BTreeSet::from([0]), odd: false };
        for (at, table) in ruleset.tables.iter().enumerate().filter(|(_, t)| !t.dormant) {
            for (name, chain) in &table.chains {
                if chain.unread {
                    rules_of(at, name).iter().for_each(|r| bounds.rule(ruleset, table, r));
                } else {
                    chain.rules.iter().for_each(|r| bounds.rule(ruleset, table, r));
                }
            }
        }
        bounds
    }

    /// The number whose bounds these are.
    pub(crate) const fn number(&self) -> Number {
        self.number
    }

    /// Adds a range.
    pub(crate) fn add(&mut self, from: Scalar, to: Scalar) {
        let mask = ones(self.number.width().into());
        self.starts.insert(from & mask);
        if let Some(after) = to.checked_add(1).filter(|a| *a <= mask) {
            self.starts.insert(after);
        }
    }

    fn rule(&mut self, ruleset: &Ruleset, table: &Table, rule: &Rule) {
        for statement in &rule.statements {
            match statement {
                // The rest of the rule is for packets of the other family, where the same bytes are something else.
                Statement::If(cond) if self.is_of_the_other_family(cond) => return,
                Statement::If(cond) => self.cond(ruleset, table, cond),
                Statement::Set { value, .. } => self.expr(ruleset, table, value),
                Statement::VerdictMap { key, set } => self.key(ruleset, table, key, set),
                Statement::Nat(nat) => {
                    for (from, to) in nat.address.iter().chain(&nat.port) {
                        self.expr(ruleset, table, from);
                        self.expr(ruleset, table, to);
                        if let (Expr::Const(from), Expr::Const(to)) = (from, to) {
                            self.add(*from, *to);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// `meta nfproto ipv4`, where addresses of IPv6 are looked at, and the reverse.
    fn is_of_the_other_family(&self, cond: &Cond) -> bool {
        let own = match self.number {
            Number::Port => return false,
            Number::V4 => NFPROTO_IPV4,
            Number::V6 => NFPROTO_IPV6,
        };
        let Cond::Compare { left: Expr::Field(Field::Meta(Meta::NfProto)), op: Op::Eq, right } = cond else {
            return false;
        };
        *right != own && [NFPROTO_IPV4, NFPROTO_IPV6].contains(right)
    }

    fn cond(&mut self, ruleset: &Ruleset, table: &Table, cond: &Cond) {
        match cond {
            Cond::Compare { left, right, .. } => self.compared(ruleset, table, left, *right, *right),
            Cond::Range { value, from, to, .. } => self.compared(ruleset, table, value, *from, *to),
            Cond::InSet { key, set, .. } => self.key(ruleset, table, key, set),
            Cond::InIpset { set, .. } => self.ipset(ruleset, set, 0),
            Cond::Any(conds) | Cond::All(conds) => conds.iter().for_each(|c| self.cond(ruleset, table, c)),
            Cond::Not(inner) | Cond::Lenient(inner) => self.cond(ruleset, table, inner),
            Cond::Const(_) | Cond::Fork(_) | Cond::Unknown(_) => {}
        }
    }

    fn compared(&mut self, ruleset: &Ruleset, table: &Table, expr: &Expr, from: Scalar, to: Scalar) {
        match expr {
            Expr::Field(field) => {
                for held in self.held(field) {
                    self.range(&held, from, to);
                }
            }
            Expr::Bits { of, mask, xor } => match &**of {
                Expr::Field(field) => {
                    for held in self.held(field) {
                        self.masked(&held, *mask, *xor, from, to);
                    }
                }
                inner => self.mentions(ruleset, table, inner),
            },
            other => self.mentions(ruleset, table, other),
        }
    }

    fn masked(&mut self, held: &Held, mask: Scalar, xor: Scalar, from: Scalar, to: Scalar) {
        let all = ones((self.number.width() - held.lacks).into());
        let part = (mask >> held.below) & all;
        if part == 0 {
            return;
        }
        // A mask that leaves out the lowest bits only is a prefix.
        let free = part.trailing_zeros();
        if part != all & !ones(free) {
            self.odd = true;
            return;
        }
        let spread = ones(u32::from(held.below) + free);
        for end in [from, to, from ^ xor, to ^ xor] {
            self.range(held, end & !spread, end | spread);
        }
    }

    fn range(&mut self, held: &Held, from: Scalar, to: Scalar) {
        let all = ones((self.number.width() - held.lacks).into());
        let [from, to] = [from, to].map(|v| (v >> held.below) & all);
        let widen = |v: Scalar| {
            let low = v.checked_shl(held.lacks.into()).unwrap_or(0);
            (low, low | ones(held.lacks.into()))
        };
        // Each end by itself, too: a wider value's upper bits may make more of them.
        for v in [from, to] {
            let (low, high) = widen(v);
            self.add(low, high);
        }
        if from <= to {
            self.add(widen(from).0, widen(to).1);
        }
    }

    /// An expression in a place where its value is not compared with a constant.
    fn mentions(&mut self, ruleset: &Ruleset, table: &Table, expr: &Expr) {
        match expr {
            Expr::Field(field) => self.odd |= !self.held(field).is_empty(),
            Expr::Bits { of, .. } | Expr::Shift { of, .. } => self.mentions(ruleset, table, of),
            Expr::Binary { left, right, .. } => {
                self.mentions(ruleset, table, left);
                self.mentions(ruleset, table, right);
            }
            Expr::Map { .. } => self.expr(ruleset, table, expr),
            Expr::Const(_) | Expr::Fork(_) | Expr::Unknown(_) => {}
        }
    }

    fn expr(&mut self, ruleset: &Ruleset, table: &Table, expr: &Expr) {
        match expr {
            Expr::Map { key, set, .. } => self.key(ruleset, table, key, set),
            other => self.mentions(ruleset, table, other),
        }
    }

    fn key(&mut self, ruleset: &Ruleset, table: &Table, key: &[Expr], name: &str) {
        let set = table.sets.get(name).or_else(|| ruleset.ipsets.get(name));
        for (part, expr) in key.iter().enumerate() {
            match set.map(|s| &s.elements) {
                Some(Elements::Exact(map)) => {
                    for value in map.keys().filter_map(|k| k.get(part)) {
                        self.compared(ruleset, table, expr, *value, *value);
                    }
                }
                Some(Elements::Ranges(list)) => {
                    for (from, to) in list.iter().filter_map(|(k, _)| k.get(part)) {
                        self.compared(ruleset, table, expr, *from, *to);
                    }
                }
                _ => self.mentions(ruleset, table, expr),
            }
        }
    }

    fn ipset(&mut self, ruleset: &Ruleset, name: &str, depth: u8) {
        let Some(set) = ruleset.ipsets.get(name) else {
            self.odd = true;
            return;
        };
        match &set.elements {
            Elements::Sets(names) if depth < 5 => names.iter().for_each(|n| self.ipset(ruleset, n, depth + 1)),
            Elements::Exact(map) => map.keys().for_each(|k| self.ipset_key(set, k.iter().map(|v| (*v, *v)))),
            Elements::Ranges(list) => list.iter().for_each(|(k, _)| self.ipset_key(set, k.iter().copied())),
            _ => self.odd = true,
        }
    }

    fn ipset_key(&mut self, set: &Set, key: impl Iterator<Item = (Scalar, Scalar)>) {
        for ((from, to), width) in key.zip(&set.key) {
            if *width == self.number.width() {
                self.add(from, to);
            }
        }
    }

    /// How a field holds the number, and that of the other direction. A field that begins within one of them is odd.
    fn held(&mut self, field: &Field) -> Vec<Held> {
        let mut held = Vec::new();
        match field {
            Field::Ct(Ct::Tuple(_, part)) => {
                let port = matches!(part, TuplePart::SourcePort | TuplePart::DestinationPort);
                if port == (self.number == Number::Port) {
                    held.push(Held { below: 0, lacks: 0 });
                }
            }
            Field::Payload { base: Header::Network, offset, len } if self.number == Number::Port => {
                // Read from the network header on (u32): beyond that lies the transport's.
                self.odd |= offset + len > 160;
            }
            Field::Payload { base, offset, len } => {
                let (header, places) = self.number.places();
                let (end, width) = (offset + len, self.number.width());
                for place in places {
                    if *base != header || *offset >= place + width || end <= place {
                        continue;
                    }
                    if *offset > place {
                        self.odd = true;
                    } else if end >= place + width {
                        held.push(Held { below: end - place - width, lacks: 0 });
                    } else {
                        held.push(Held { below: 0, lacks: place + width - end });
                    }
                }
            }
            _ => {}
        }
        held
    }
}
