//! The registers of a rule's program, holding what was loaded instead of bytes.
//!
//! nf_tables has 16 registers of 32 bits (`NFT_REG32_*`); the older four of 128 bits overlay them. A value starts at a
//! register and takes as many as it needs; its bytes are left-aligned and padded with zeros (`nft_reg_store8` …,
//! include/net/netfilter/nf_tables.h).

use crate::model::{BitOp, Expr, Field, Scalar};

/// How many bytes all registers have.
const BYTES: usize = 64;

/// What a register holds.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Constant bytes.
    Bytes(Vec<u8>),
    /// Computed from the packet. `host`: its bytes lie in the machine's order, not in network order.
    Expr { expr: Expr, host: bool },
    /// Data of a map, whose byte order is known only from the use that is made of it.
    Map { key: Vec<Expr>, set: String },
}

#[derive(Debug, Clone)]
struct Slot {
    /// First byte.
    at: usize,
    /// Bytes.
    len: usize,
    value: Value,
}

/// A part of what the registers hold.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Bytes(Vec<u8>),
    Expr {
        expr: Expr,
        host: bool,
    },
    /// From `at` (in bytes) of a map's data.
    Map {
        key: Vec<Expr>,
        set: String,
        at: usize,
    },
}

/// All registers of a rule; empty at its start.
#[derive(Debug, Default)]
pub(crate) struct Registers(Vec<Slot>);

/// First byte of a register, by its number in a message (`nft_parse_register`, net/netfilter/nf_tables_api.c).
pub(crate) fn byte_of(register: u32) -> Option<usize> {
    match register {
        1..=4 => Some(register as usize * 16 - 16),
        8..=23 => Some((register as usize - 8) * 4),
        _ => None,
    }
}

/// Bytes rounded up to whole registers.
pub(crate) const fn padded(len: usize) -> usize {
    (len + 3) & !3
}

/// A constant in network order.
pub(crate) fn big(bytes: &[u8]) -> Scalar {
    bytes.iter().take(16).fold(0, |n, &b| n << 8 | Scalar::from(b))
}

/// A constant as the machine writes numbers. The rulesets are those of the machine that this runs on.
pub(crate) fn native(bytes: &[u8]) -> Scalar {
    if cfg!(target_endian = "big") {
        big(bytes)
    } else {
        bytes.iter().rev().take(16).fold(0, |n, &b| n << 8 | Scalar::from(b))
    }
}

/// A constant in either order.
pub(crate) fn number(bytes: &[u8], host: bool) -> Scalar {
    if host { native(bytes) } else { big(bytes) }
}

/// Whether a value of `len` bytes looks the same in both orders.
pub(crate) const fn same_order(len: usize) -> bool {
    len <= 1 || cfg!(target_endian = "big")
}

impl Registers {
    /// Forgets what they hold.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Writes a value; what it covers is gone.
    pub(crate) fn store(&mut self, at: usize, len: usize, value: Value) {
        if len == 0 || at + len > BYTES {
            return;
        }
        let end = at + padded(len);
        self.0.retain(|slot| slot.at >= end || slot.at + padded(slot.len) <= at);
        self.0.push(Slot { at, len, value });
    }

    /// Length and value of what starts exactly at `at`.
    pub(crate) fn whole(&self, at: usize) -> Option<(usize, &Value)> {
        self.0.iter().find(|slot| slot.at == at).map(|slot| (slot.len, &slot.value))
    }

    /// `len` bytes from `at` on.
    pub(crate) fn piece(&self, at: usize, len: usize) -> Option<Piece> {
        let slot = self.0.iter().find(|slot| slot.at <= at && at < slot.at + padded(slot.len))?;
        let skip = at - slot.at;
        match &slot.value {
            Value::Bytes(bytes) => {
                let mut bytes = bytes.get(skip..)?.to_vec();
                // The rest of the register is zero.
                if bytes.len() < len && skip == 0 && padded(bytes.len()) >= len {
                    bytes.resize(len, 0);
                }
                Some(Piece::Bytes(bytes.get(..len)?.to_vec()))
            }
            Value::Map { key, set } => Some(Piece::Map { key: key.clone(), set: set.clone(), at: skip }),
            Value::Expr { expr, host } if skip == 0 && len == slot.len => {
                Some(Piece::Expr { expr: expr.clone(), host: *host })
            }
            Value::Expr { expr, host: false } if skip + len <= slot.len => {
                Some(Piece::Expr { expr: slice(expr, slot.len, skip, len)?, host: false })
            }
            // A short number read with the zeros behind it: the same number, where the machine is little-endian.
            Value::Expr { expr, host } if skip == 0 && padded(slot.len) >= len && len > slot.len => {
                let little = cfg!(target_endian = "little") && (*host || slot.len == 1);
                little.then(|| Piece::Expr { expr: expr.clone(), host: true })
            }
            Value::Expr { .. } => None,
        }
    }
}

/// Bytes `skip .. skip + len` of a value of `whole` bytes in network order.
fn slice(expr: &Expr, whole: usize, skip: usize, len: usize) -> Option<Expr> {
    if let Expr::Field(Field::Payload { base, offset, .. }) = expr {
        let offset = offset.checked_add(u16::try_from(skip * 8).ok()?)?;
        return Some(Expr::Field(Field::Payload { base: *base, offset, len: u16::try_from(len * 8).ok()? }));
    }
    let behind = i8::try_from((whole - skip - len) * 8).ok()?;
    let of = if behind == 0 { expr.clone() } else { Expr::Shift { of: Box::new(expr.clone()), by: -behind } };
    Some(if skip == 0 { of } else { Expr::Bits { of: Box::new(of), mask: ones(len * 8), xor: 0 } })
}

/// The mask of the lowest `bits` bits.
pub(crate) const fn ones(bits: usize) -> Scalar {
    if bits >= 128 { Scalar::MAX } else { (1 << bits) - 1 }
}

/// Two values combined; constants are computed.
pub(crate) fn combine(op: BitOp, left: Expr, right: Expr) -> Expr {
    if let (Expr::Const(a), Expr::Const(b)) = (&left, &right) {
        return Expr::Const(match op {
            BitOp::And => a & b,
            BitOp::Or => a | b,
            BitOp::Xor => a ^ b,
        });
    }
    Expr::Binary { op, left: Box::new(left), right: Box::new(right) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Header;

    fn payload(offset: u16, len: u16) -> Expr {
        Expr::Field(Field::Payload { base: Header::Network, offset, len })
    }

    #[test]
    fn registers_overlay() {
        assert_eq!(byte_of(1), Some(0));
        assert_eq!(byte_of(2), byte_of(12));
        assert_eq!(byte_of(23), Some(60));
        assert_eq!(byte_of(5), None);
        assert_eq!(byte_of(0), None);
    }

    #[test]
    fn a_part_of_a_load_is_a_smaller_load() {
        let mut registers = Registers::default();
        registers.store(0, 8, Value::Expr { expr: payload(96, 64), host: false });
        let Some(Piece::Expr { expr, host: false }) = registers.piece(4, 4) else { panic!() };
        assert_eq!(expr, payload(128, 32));
        registers.store(4, 4, Value::Bytes(vec![1, 2, 3, 4]));
        assert!(registers.piece(0, 4).is_none(), "what was partly overwritten is gone");
    }

    #[test]
    fn bytes_read_past_their_end_are_zero_within_the_register() {
        let mut registers = Registers::default();
        registers.store(0, 2, Value::Bytes(vec![0, 22]));
        assert!(matches!(registers.piece(0, 4), Some(Piece::Bytes(b)) if b == [0, 22, 0, 0]));
        assert!(registers.piece(0, 5).is_none());
        registers.store(60, 8, Value::Bytes(vec![0; 8]));
        assert!(registers.piece(60, 4).is_none());
    }
}
