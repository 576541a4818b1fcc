//! A rule's expressions run on symbols: what each would load, compare and decide.

use super::attr::{Attrs, Table, name};
use super::registers::{Piece, Registers, Value, byte_of, number, padded};
use super::set::{Part, Sets};
use super::{Context, compute, effect, load, verdict};
use crate::model::{Backend, Cond, Counters, Expr, Family, Field, Given, Header, Meta, Op, Origin, Statement, Verdict};

/// The state while one rule is read.
pub(crate) struct Program<'a> {
    pub(crate) family: Family,
    pub(crate) sets: &'a mut Sets,
    pub(crate) context: &'a Context,
    pub(crate) registers: &'a mut Registers,
    pub(crate) statements: &'a mut Vec<Statement>,
    pub(crate) counters: Option<Counters>,
    /// A comment that is a match of its own (xt_comment).
    pub(crate) comment: Option<String>,
    /// The packet's family, where the table or a test before says it.
    pub(crate) packet_family: Option<Family>,
    /// The packet's protocol, where a test before says it.
    pub(crate) protocol: Option<u8>,
    /// It was written by iptables-nft: in its own words.
    pub(crate) iptables: bool,
    /// The rule's chain.
    pub(crate) chain: &'a str,
    /// Text of x_tables matches and targets, by the number of the statement that they begin with.
    pub(crate) xt_text: Vec<Given>,
    /// It looks into sets that are part of the rule.
    pub(crate) anonymous: bool,
}

/// Memory that a rule is read in, kept from rule to rule: of a hundred thousand rules none asks for it anew.
#[derive(Debug, Default)]
pub struct Scratch {
    registers: Registers,
    statements: Vec<Statement>,
}

impl Scratch {
    /// Nothing of the rule before.
    fn empty(&mut self) {
        self.registers.clear();
        self.statements.clear();
    }
}

/// Result of one expression: `None` where it is not understood.
pub(crate) type Done = Option<()>;

impl<'a> Program<'a> {
    pub(crate) fn new(origin: &'a Origin, sets: &'a mut Sets, context: &'a Context, scratch: &'a mut Scratch) -> Self {
        scratch.empty();
        let Origin { family, backend, chain } = origin;
        let (family, backend) = (*family, *backend);
        let packet_family = matches!(family, Family::Ip | Family::Ip6).then_some(family);
        Self {
            family,
            sets,
            context,
            registers: &mut scratch.registers,
            statements: &mut scratch.statements,
            counters: None,
            comment: None,
            packet_family,
            protocol: None,
            iptables: backend == Backend::IptablesNft,
            chain,
            xt_text: Vec::new(),
            anonymous: false,
        }
    }

    /// Runs a list of expressions (`NFTA_RULE_EXPRESSIONS`).
    pub(crate) fn run(&mut self, list: &[u8]) {
        for (_, element) in Attrs(list) {
            let (mut called, mut data) = (&[][..], &[][..]);
            for (kind, value) in Attrs(element) {
                match kind {
                    1 => called = value.strip_suffix(&[0]).unwrap_or(value),
                    2 => data = value,
                    _ => {}
                }
            }
            if self.expression(called, data).is_none() {
                self.push(Statement::Unknown(format!("nft expression {}", name(called))));
            }
        }
        if self.iptables {
            self.close_ranges();
        }
    }

    /// In iptables' words an open range has both ends.
    fn close_ranges(&mut self) {
        for statement in &mut *self.statements {
            let Statement::If(Cond::Compare { left, op: op @ (Op::Le | Op::Ge), right }) = statement else { continue };
            let Expr::Field(Field::Payload { base: Header::Transport, len: 16, .. }) = left else { continue };
            let (from, to) = if *op == Op::Le { (0, *right) } else { (*right, 0xffff) };
            let value = left.clone();
            *statement = Statement::If(Cond::Range { value, from, to, negated: false });
        }
    }

    fn expression(&mut self, called: &[u8], data: &[u8]) -> Done {
        match called {
            b"counter" => {
                let t: Table<'_, 3> = Table::new(data);
                let counted = Counters { bytes: t.be64(1).unwrap_or(0), packets: t.be64(2).unwrap_or(0) };
                self.counters = Some(counted);
                Some(())
            }
            b"immediate" => self.immediate(data),
            b"cmp" => compute::cmp(self, data),
            b"range" => compute::range(self, data),
            b"bitwise" => compute::bitwise(self, data),
            b"byteorder" => compute::byteorder(self, data),
            b"lookup" => compute::lookup(self, data),
            b"payload" => load::payload(self, data),
            b"meta" => load::meta(self, data),
            b"ct" => load::ct(self, data),
            b"fib" => load::fib(self, data),
            b"exthdr" => load::exthdr(self, data),
            b"socket" => load::socket(self, data),
            b"rt" => load::rt(self, data),
            b"hash" | b"numgen" | b"osf" => load::fork(self, called, data),
            b"xfrm" | b"tunnel" => load::unknown(self, called, data),
            b"match" => effect::xt_match(self, data),
            b"target" => effect::xt_target(self, data),
            _ => effect::statement(self, called, data),
        }
    }

    fn immediate(&mut self, data: &[u8]) -> Done {
        let t: Table<'_, 3> = Table::new(data);
        let (register, data) = (t.be32(1)?, t.get(2)?);
        if register == 0 {
            match verdict::of_data(data)? {
                Verdict::Queue => self.push(Statement::Fork("queue".to_owned())),
                verdict => self.push(Statement::Verdict(verdict)),
            }
            return Some(());
        }
        let bytes = constant(data)?;
        self.registers.store(byte_of(register)?, bytes.len(), Value::Bytes(bytes.to_vec()));
        Some(())
    }

    pub(crate) fn push(&mut self, statement: Statement) {
        self.statements.push(statement);
    }

    /// Adds a test; what always holds is left out.
    pub(crate) fn test(&mut self, cond: Cond) {
        // `>= a` and `<= b` of the same value are how nft(8) writes a range.
        if let (
            Some(Statement::If(Cond::Compare { left: before, op: Op::Ge, right: from })),
            Cond::Compare { left, op: Op::Le, right: to },
        ) = (self.statements.last(), &cond)
            && before == left
        {
            let range = Cond::Range { value: left.clone(), from: *from, to: *to, negated: false };
            self.statements.pop();
            self.push(Statement::If(range));
        } else if cond != Cond::Const(true) {
            self.push(Statement::If(cond));
        }
    }

    /// Stores what was loaded into the register named by attribute `register`.
    pub(crate) fn store(&mut self, register: u32, len: usize, expr: Expr, host: bool) -> Done {
        self.registers.store(byte_of(register)?, len, Value::Expr { expr, host });
        Some(())
    }

    /// The value of `len` bytes in a register, as it is used: `host` where the use takes the machine's order.
    ///
    /// A value that was loaded in the other order gives `None`, unless it is so short that both are the same.
    pub(crate) fn take(&mut self, register: u32, len: usize, host: bool) -> Option<Expr> {
        self.take_at(byte_of(register)?, len, host)
    }

    fn take_at(&mut self, at: usize, len: usize, wanted: bool) -> Option<Expr> {
        match self.registers.piece(at, len)? {
            Piece::Bytes(bytes) => Some(Expr::Const(number(&bytes, wanted))),
            Piece::Expr { expr, host } => (host == wanted || super::registers::same_order(len)).then_some(expr),
            Piece::Map { key, set, at } => self.map_part(key, set, at, len, wanted),
        }
    }

    /// Part of a map's data as it is used: the data's byte order is learnt from the use.
    pub(crate) fn map_part(&mut self, key: Vec<Expr>, set: String, at: usize, len: usize, host: bool) -> Option<Expr> {
        let part = self.sets.heads.get_mut(&set)?.data_part(at, len, host)?;
        Some(Expr::Map { key, set, part })
    }

    /// The key of a look-up: its parts from the register on, as the set divides them.
    pub(crate) fn key(&mut self, register: u32, set: &str) -> Option<Vec<Expr>> {
        let start = byte_of(register)?;
        self.anonymous |= set.starts_with("__");
        let head = self.sets.heads.get(set);
        let length = head.map_or(0, |head| head.key_len());
        let divided: Vec<Part> = head.map(|head| head.key().to_vec()).unwrap_or_default();
        let known = divided.iter().map(|part| padded(part.len.into())).sum::<usize>() == padded(length);
        // A key of several registers that the set calls one part is divided as it was loaded.
        let (whole, one) = (self.registers.whole(start), divided.len() < 2);
        let as_loaded = match whole {
            Some((loaded, _)) => !known || (one && loaded < length),
            None => false,
        };
        let mut parts = Vec::new();
        let mut at = start;
        if as_loaded {
            while at < start + length.max(1) {
                let (len, _) = self.registers.whole(at)?;
                parts.push(Part { len: u16::try_from(len).ok()?, host: false });
                at += padded(len);
            }
        } else {
            parts = divided;
        }
        let mut key = Vec::with_capacity(parts.len());
        at = start;
        for part in &mut parts {
            let len = usize::from(part.len);
            key.push(match self.registers.piece(at, len)? {
                Piece::Bytes(bytes) => Expr::Const(number(&bytes, part.host)),
                Piece::Expr { expr, host } => {
                    part.host = host;
                    expr
                }
                Piece::Map { key, set, at } => self.map_part(key, set, at, len, part.host)?,
            });
            at += padded(len);
        }
        if let Some(head) = self.sets.heads.get_mut(set) {
            head.learn_key(parts);
        }
        Some(key)
    }

    /// Remembers what a test says about the packet's family and protocol.
    pub(crate) fn learn_family(&mut self, left: &Expr, op: Op, right: u128) {
        if op != Op::Eq {
            return;
        }
        // The protocol of IPv4's own header is what iptables-nft asked for before version 1.8.8.
        let of_ip = Field::Payload { base: Header::Network, offset: 72, len: 8 };
        if let Expr::Field(field) = left
            && (*field == Field::Meta(Meta::L4Proto) || (*field == of_ip && self.family == Family::Ip))
        {
            self.protocol = u8::try_from(right).ok();
        }
        let ethertype = match left {
            Expr::Field(Field::Meta(Meta::NfProto)) => match right {
                2 => 0x0800,
                10 => 0x86dd,
                _ => return,
            },
            Expr::Field(Field::Meta(Meta::Protocol)) => right,
            // Alone, or behind an address that was loaded with it.
            Expr::Field(Field::Payload { base: Header::Link, offset, len })
                if *offset <= 96 && offset + len >= 112 && *len <= 128 =>
            {
                right >> (offset + len - 112) & 0xffff
            }
            _ => return,
        };
        self.packet_family = match ethertype {
            0x0800 => Some(Family::Ip),
            0x86dd => Some(Family::Ip6),
            _ => return,
        };
    }
}

/// `NFTA_DATA_VALUE` of nested data.
pub(crate) fn constant(data: &[u8]) -> Option<&[u8]> {
    Attrs(data).find(|(kind, _)| *kind == 1).map(|(_, value)| value)
}
