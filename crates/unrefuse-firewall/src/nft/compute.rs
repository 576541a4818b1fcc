//! Expressions that work on registers: comparisons, bit operations, byte order, look-ups.

use super::attr::Table;
use super::program::{Done, Program, constant};
use super::registers::{Piece, Value, big, byte_of, combine, native, number, ones, padded, same_order};
use crate::model::{BitOp, Cond, Expr, Family, Field, Header, Meta, Op, Scalar, Statement};

/// `cmp` (net/netfilter/nft_cmp.c): compares bytes in order, as numbers in network order.
pub(crate) fn cmp(p: &mut Program<'_>, data: &[u8]) -> Done {
    let t: Table<'_, 4> = Table::new(data);
    let (at, bytes) = (byte_of(t.be32(1)?)?, constant(t.get(3)?)?);
    let op = match t.be32(2)? {
        0 => Op::Eq,
        1 => Op::Ne,
        2 => Op::Lt,
        3 => Op::Le,
        4 => Op::Gt,
        5 => Op::Ge,
        _ => return None,
    };
    // Several values compared at once: loaded by one expression, or by several.
    let equal = matches!(op, Op::Eq | Op::Ne);
    let middle = if equal { boundary(p, at, bytes.len()) } else { None };
    if middle.is_none()
        && let Some(cond) = compare(p, at, bytes, op)
    {
        p.test(cond);
        return Some(());
    }
    if let Some(middle) = middle {
        let parts = vec![compare(p, at, &bytes[..middle], Op::Eq)?, compare(p, at + middle, &bytes[middle..], Op::Eq)?];
        match op {
            Op::Eq => parts.into_iter().for_each(|cond| p.test(cond)),
            _ => p.test(Cond::Not(Box::new(Cond::All(parts)))),
        }
        return Some(());
    }
    let mut parts = Vec::new();
    let mut done = 0;
    while equal && done < bytes.len() {
        let (len, _) = p.registers.whole(at + done)?;
        let part = bytes.get(done..(done + len).min(bytes.len()))?;
        parts.push(compare(p, at + done, part, Op::Eq)?);
        done += padded(len);
    }
    match op {
        Op::Eq => parts.into_iter().for_each(|cond| p.test(cond)),
        Op::Ne => p.test(Cond::Not(Box::new(Cond::All(parts)))),
        _ => return None,
    }
    Some(())
}

/// Where two neighbouring fields of a header meet that are loaded together: addresses or ports of source and destination.
fn boundary(p: &Program<'_>, at: usize, len: usize) -> Option<usize> {
    let Some((_, Value::Expr { expr: Expr::Field(Field::Payload { base, offset, .. }), host: false })) =
        p.registers.whole(at)
    else {
        return None;
    };
    match (base, offset, len, p.packet_family) {
        (Header::Transport, 0, 4, _) if matches!(p.protocol, Some(6 | 17 | 33 | 132 | 136)) => Some(2),
        (Header::Network, 96, 8, Some(Family::Ip)) => Some(4),
        _ => None,
    }
}

fn compare(p: &mut Program<'_>, at: usize, bytes: &[u8], op: Op) -> Option<Cond> {
    if bytes.is_empty() || bytes.len() > 16 {
        return None;
    }
    // Names are compared up to their NUL, which is all of them; without it, as a beginning (`eth*`).
    if let Some((whole, Value::Expr { expr, host: false })) = p.registers.whole(at)
        && is_name(expr)
        && bytes.len() < whole
    {
        let right = big(bytes) << ((whole - bytes.len()) * 8);
        let expr = expr.clone();
        return Some(if bytes.last() == Some(&0) {
            Cond::Compare { left: expr, op, right }
        } else {
            let mask = ones(bytes.len() * 8) << ((whole - bytes.len()) * 8);
            Cond::Compare { left: Expr::Bits { of: Box::new(expr), mask, xor: 0 }, op, right }
        });
    }
    let (left, host) = match p.registers.piece(at, bytes.len())? {
        Piece::Bytes(value) => {
            return Some(Cond::Const(match op {
                Op::Eq => value == bytes,
                Op::Ne => value != bytes,
                Op::Lt => value.as_slice() < bytes,
                Op::Le => value.as_slice() <= bytes,
                Op::Gt => value.as_slice() > bytes,
                Op::Ge => value.as_slice() >= bytes,
            }));
        }
        Piece::Expr { expr, host } => (expr, host),
        Piece::Map { key, set, at } => {
            let host = p.sets.heads.get(&set)?.data_host(at);
            (p.map_part(key, set, at, bytes.len(), host)?, host)
        }
    };
    // The order of bytes is no order of numbers that lie the other way round.
    if host && !matches!(op, Op::Eq | Op::Ne) && !same_order(bytes.len()) {
        return None;
    }
    let right = number(bytes, host);
    p.learn_family(&left, op, right);
    let (left, right) = if p.iptables { whole_address(left, right, p.family) } else { (left, right) };
    Some(Cond::Compare { left, op, right })
}

/// A prefix of whole bytes, of which iptables-nft loads only these, as a mask of the whole address: as it was written.
fn whole_address(left: Expr, right: Scalar, family: Family) -> (Expr, Scalar) {
    let (bits, places) = if family == Family::Ip6 { (128, [64, 192]) } else { (32, [96, 128]) };
    match left {
        Expr::Field(Field::Payload { base: Header::Network, offset, len })
            if places.contains(&offset) && len < bits =>
        {
            let rest = usize::from(bits - len);
            let field = Expr::Field(Field::Payload { base: Header::Network, offset, len: bits });
            let mask = ones(usize::from(len)) << rest;
            (Expr::Bits { of: Box::new(field), mask, xor: 0 }, right << rest)
        }
        left => (left, right),
    }
}

/// Fields that hold a name, padded with zeros.
fn is_name(expr: &Expr) -> bool {
    use crate::model::{Ct, FibResult};
    matches!(
        expr,
        Expr::Field(
            Field::Meta(
                Meta::IifName
                    | Meta::OifName
                    | Meta::IifKind
                    | Meta::OifKind
                    | Meta::SdifName
                    | Meta::BriIifName
                    | Meta::BriOifName
            ) | Field::Ct(Ct::Helper)
                | Field::Fib { result: FibResult::OifName, .. }
        )
    )
}

/// `range` (net/netfilter/nft_range.c).
pub(crate) fn range(p: &mut Program<'_>, data: &[u8]) -> Done {
    let t: Table<'_, 5> = Table::new(data);
    let (from, to) = (constant(t.get(3)?)?, constant(t.get(4)?)?);
    if from.len() != to.len() || from.is_empty() || from.len() > 16 {
        return None;
    }
    let value = p.take(t.be32(1)?, from.len(), false)?;
    let negated = t.be32(2)? == 1;
    p.test(Cond::Range { value, from: big(from), to: big(to), negated });
    Some(())
}

/// `bitwise` (net/netfilter/nft_bitwise.c).
pub(crate) fn bitwise(p: &mut Program<'_>, data: &[u8]) -> Done {
    let t: Table<'_, 10> = Table::new(data);
    let (from, to, len) = (byte_of(t.be32(1)?)?, byte_of(t.be32(2)?)?, t.be32(3)? as usize);
    let piece = p.registers.piece(from, len);
    let op = t.be32(6).unwrap_or(0);
    // Operations of two registers came with Linux 6.12 (NFTA_BITWISE_SREG2).
    if matches!(op, 3..=5) {
        let op = [BitOp::And, BitOp::Or, BitOp::Xor][op as usize - 3];
        let second = p.registers.piece(byte_of(t.be32(8)?)?, len)?;
        let (left, right, host) = two(piece?, second)?;
        p.registers.store(to, len, Value::Expr { expr: combine(op, left, right), host });
        return Some(());
    }
    let value = match (op, piece?) {
        (0, Piece::Bytes(bytes)) => {
            let (mask, xor) = (constant(t.get(4)?)?, constant(t.get(5)?)?);
            let masked = bytes.iter().zip(mask.iter().zip(xor)).map(|(b, (m, x))| b & m ^ x);
            Value::Bytes(masked.collect())
        }
        (0, Piece::Expr { expr, host }) => {
            let (mask, xor) = (constant(t.get(4)?)?, constant(t.get(5)?)?);
            if mask.len() > 16 {
                return None;
            }
            bits(expr, number(mask, host), number(xor, host), len, host)
        }
        (1 | 2, Piece::Expr { expr, host }) if host || same_order(len) => {
            let by = i8::try_from(native(constant(t.get(7)?)?)).ok().filter(|by| *by < 32)?;
            // Shifts are of 32-bit numbers in the machine's order; what is pushed out of a shorter field stays in the
            // register, which the model's width would cut off.
            if len > 4 || (op == 1 && len < 4) {
                return None;
            }
            Value::Expr { expr: Expr::Shift { of: Box::new(expr), by: if op == 1 { by } else { -by } }, host }
        }
        (0, Piece::Map { key, set, at }) => {
            let (mask, xor) = (constant(t.get(4)?)?, constant(t.get(5)?)?);
            let host = p.sets.heads.get(&set)?.data_host(at);
            let expr = p.map_part(key, set, at, len, host)?;
            bits(expr, number(mask, host), number(xor, host), len, host)
        }
        _ => return None,
    };
    p.registers.store(to, len, value);
    Some(())
}

fn bits(expr: Expr, mask: Scalar, xor: Scalar, len: usize, host: bool) -> Value {
    let expr = match expr {
        // One mask after another, as masks and marks are combined.
        Expr::Bits { of, mask: inner, xor: before } => Expr::Bits { of, mask: inner & mask, xor: before & mask ^ xor },
        expr if mask & ones(len * 8) == ones(len * 8) && xor == 0 => expr,
        expr => Expr::Bits { of: Box::new(expr), mask, xor },
    };
    Value::Expr { expr, host }
}

fn two(left: Piece, right: Piece) -> Option<(Expr, Expr, bool)> {
    Some(match (left, right) {
        (Piece::Expr { expr: a, host: x }, Piece::Expr { expr: b, host: y }) if x == y => (a, b, x),
        (Piece::Expr { expr, host }, Piece::Bytes(bytes)) => (expr, Expr::Const(number(&bytes, host)), host),
        (Piece::Bytes(bytes), Piece::Expr { expr, host }) => (Expr::Const(number(&bytes, host)), expr, host),
        _ => return None,
    })
}

/// `byteorder` (net/netfilter/nft_byteorder.c): the number stays, its bytes turn round.
pub(crate) fn byteorder(p: &mut Program<'_>, data: &[u8]) -> Done {
    let t: Table<'_, 6> = Table::new(data);
    let (from, to) = (byte_of(t.be32(1)?)?, byte_of(t.be32(2)?)?);
    let (len, size) = (t.be32(4)? as usize, t.be32(5)? as usize);
    let value = match p.registers.piece(from, len)? {
        Piece::Bytes(bytes) if size > 0 => {
            Value::Bytes(bytes.chunks(size).flat_map(|c| c.iter().rev().copied()).collect())
        }
        Piece::Expr { expr, host } if len == size || same_order(len) => Value::Expr { expr, host: !host },
        Piece::Map { key, set, at } if len == size => {
            // To the host's order: what was stored is in network order, and the other way round.
            let host = t.be32(3)? == 1;
            Value::Expr { expr: p.map_part(key, set, at, len, host)?, host: !host }
        }
        _ => return None,
    };
    p.registers.store(to, len, value);
    Some(())
}

/// `lookup` (net/netfilter/nft_lookup.c): a test, a verdict map, or a map.
pub(crate) fn lookup(p: &mut Program<'_>, data: &[u8]) -> Done {
    let t: Table<'_, 6> = Table::new(data);
    let (set, register) = (t.name(1)?, t.be32(2)?);
    let negated = t.be32(5).unwrap_or(0) & 1 != 0;
    let key = p.key(register, &set)?;
    match t.be32(3) {
        Some(0) => p.push(Statement::VerdictMap { key, set }),
        Some(to) => {
            let len = p.sets.heads.get(&set)?.data_len();
            p.registers.store(byte_of(to)?, len, Value::Map { key, set });
        }
        // A map without a register for its data is a set of its keys; a verdict map always has one.
        None if p.sets.heads.get(&set).is_some_and(|head| head.has_verdicts()) => {
            p.push(Statement::VerdictMap { key, set });
        }
        None => p.test(Cond::InSet { key, set, negated }),
    }
    Some(())
}
