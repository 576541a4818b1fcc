//! Short forms for the tests that the kernel's modules make.

use crate::model::{Cond, Expr, Field, Header, Meta, Op, Scalar};

pub(super) fn payload(base: Header, offset: u16, len: u16) -> Expr {
    Expr::Field(Field::Payload { base, offset, len })
}

pub(super) fn meta(key: Meta) -> Expr {
    Expr::Field(Field::Meta(key))
}

pub(super) fn bits(of: Expr, mask: Scalar) -> Expr {
    Expr::Bits { of: Box::new(of), mask, xor: 0 }
}

pub(super) fn compare(left: Expr, op: Op, right: Scalar) -> Cond {
    Cond::Compare { left, op, right }
}

/// Equal, or unequal where it is turned round; a field that cannot be loaded is neither.
pub(super) fn equal(left: Expr, right: Scalar, negated: bool) -> Cond {
    compare(left, if negated { Op::Ne } else { Op::Eq }, right)
}

/// Any bit of the mask is set, or none where it is turned round.
pub(super) fn any_bit(of: Expr, mask: Scalar, negated: bool) -> Cond {
    compare(bits(of, mask), if negated { Op::Eq } else { Op::Ne }, 0)
}

/// In a range, or not in it; a field that cannot be loaded is neither.
pub(super) fn within<T: Into<Scalar>>(value: Expr, (from, to): (T, T), negated: bool) -> Cond {
    let (from, to) = (from.into(), to.into());
    if from == to { equal(value, from, negated) } else { Cond::Range { value, from, to, negated } }
}

/// Does not hold; also where what it asks for cannot be loaded.
pub(super) fn not(inner: Cond) -> Cond {
    Cond::Not(Box::new(Cond::Lenient(Box::new(inner))))
}

/// Holds, or, turned round, does not, absent things included.
pub(super) fn turned(inner: Cond, negated: bool) -> Cond {
    if negated { not(inner) } else { inner }
}

/// A load of the fields in it that fails makes it false.
pub(super) fn lenient(inner: Cond) -> Cond {
    Cond::Lenient(Box::new(inner))
}

/// One of several; a single one stands for itself.
pub(super) fn any(mut of: Vec<Cond>) -> Cond {
    if of.len() == 1 { of.remove(0) } else { Cond::Any(of) }
}

/// All of several; a single one stands for itself.
pub(super) fn all(mut of: Vec<Cond>) -> Cond {
    if of.len() == 1 { of.remove(0) } else { Cond::All(of) }
}

/// Whether the packet is of a protocol: the last header's (`NFT_META_L4PROTO`, `ipv6_find_hdr`).
pub(super) fn protocol(number: u8, negated: bool) -> Cond {
    equal(meta(Meta::L4Proto), number.into(), negated)
}
