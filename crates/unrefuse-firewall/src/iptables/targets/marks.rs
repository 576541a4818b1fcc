//! Targets that write: MARK (net/netfilter/xt_mark.c), CONNMARK (xt_connmark.c), DSCP and TOS (xt_DSCP.c), TTL and HL
//! (xt_HL.c), CLASSIFY. All of them go on with the next rule.

use super::super::cond::{bits, payload};
use super::super::matches::{dscp_class, dscp_value, hop_limit_field, tos_offset, tos_value};
use super::super::options::{Case, Given, Target, flag, has, one, value};
use super::super::values;
use crate::model::{BitOp, Ct, Expr, Field, Header, Meta, SetTarget, Statement};

pub(super) const ALL: &[Target] = &[
    Target {
        name: "MARK",
        options: &[one("set-mark"), one("set-xmark"), one("and-mark"), one("or-mark"), one("xor-mark")],
        read: |_, given| {
            let [given] = given else { return Err("one way to mark is wanted".into()) };
            let (keep, xor) = written(given)?;
            Ok(vec![set(SetTarget::Mark, kept(Field::Meta(Meta::Mark), keep, xor))])
        },
    },
    Target {
        name: "CONNMARK",
        options: &[
            one("set-mark"),
            one("set-xmark"),
            one("and-mark"),
            one("or-mark"),
            one("xor-mark"),
            flag("save-mark"),
            flag("restore-mark"),
            one("mask"),
            one("nfmask"),
            one("ctmask"),
            one("left-shift-mark"),
            one("right-shift-mark"),
        ],
        read: connmark,
    },
    Target { name: "DSCP", options: &[one("set-dscp"), one("set-dscp-class")], read: dscp },
    Target { name: "TOS", options: &[one("set-tos"), one("and-tos"), one("or-tos"), one("xor-tos")], read: tos },
    Target { name: "TTL", options: &[one("ttl-set"), one("ttl-dec"), one("ttl-inc")], read: hop_limit },
    Target { name: "HL", options: &[one("hl-set"), one("hl-dec"), one("hl-inc")], read: hop_limit },
    Target {
        name: "HMARK",
        options: &[
            one("hmark-tuple"),
            one("hmark-mod"),
            one("hmark-offset"),
            one("hmark-src-prefix"),
            one("hmark-dst-prefix"),
            one("hmark-sport-mask"),
            one("hmark-dport-mask"),
            one("hmark-spi-mask"),
            one("hmark-proto-mask"),
            one("hmark-rnd"),
        ],
        read: |case, _| Ok(vec![set(SetTarget::Mark, Expr::Fork(case.text.to_owned()))]),
    },
];

fn set(target: SetTarget, value: Expr) -> Statement {
    Statement::Set { target, value }
}

/// `(field & keep) ^ xor`.
fn kept(field: Field, keep: u32, xor: u32) -> Expr {
    Expr::Bits { of: Box::new(Expr::Field(field)), mask: keep.into(), xor: xor.into() }
}

/// What an option that writes a mark keeps, and what it turns (libxt_MARK, libxt_CONNMARK).
fn written(given: &Given<'_>) -> Result<(u32, u32), String> {
    let (value, mask) = values::marked(given.value())?;
    match given.is {
        "set-xmark" => Ok((!mask.unwrap_or(u32::MAX), value)),
        // The value's own bits are always written.
        "set-mark" => Ok((!(mask.unwrap_or(u32::MAX) | value), value)),
        _ if mask.is_some() => Err(format!("--{} has no mask", given.is)),
        "and-mark" => Ok((value, 0)),
        "or-mark" => Ok((!value, value)),
        "xor-mark" => Ok((u32::MAX, value)),
        _ => Err(format!("--{}", given.is)),
    }
}

/// Without a connection nothing is changed: the load of its mark fails and ends the rule.
fn connmark(_: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Statement>, String> {
    if given.iter().any(|g| g.is.ends_with("-shift-mark")) {
        return Err("shifted marks".into());
    }
    let mask_of = |option| value(given, option).or(value(given, "mask")).map_or(Ok(u32::MAX), values::number_to::<u32>);
    let (nf, ct) = (mask_of("nfmask")?, mask_of("ctmask")?);
    let (mark, ct_mark) = (Field::Meta(Meta::Mark), Field::Ct(Ct::Mark));
    // `(to & ~mask) ^ (from & mask)`, each with its own mask.
    let copied = |to: Field, to_mask: u32, from: Field, from_mask: u32| Expr::Binary {
        op: BitOp::Xor,
        left: Box::new(bits(Expr::Field(to), (!to_mask).into())),
        right: Box::new(bits(Expr::Field(from), from_mask.into())),
    };
    let ways: Vec<&Given<'_>> = given.iter().filter(|g| !g.is.ends_with("mask")).collect();
    let [way] = ways.as_slice() else { return Err("one way to mark is wanted".into()) };
    Ok(vec![match way.is {
        "save-mark" => set(SetTarget::CtMark, copied(ct_mark, ct, mark, nf)),
        "restore-mark" => set(SetTarget::Mark, copied(mark, nf, ct_mark, ct)),
        _ => {
            let (keep, xor) = written(way)?;
            set(SetTarget::CtMark, kept(ct_mark, keep, xor))
        }
    }])
}

fn dscp(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Statement>, String> {
    let [given] = given else { return Err("one DSCP is wanted".into()) };
    let value = if given.is == "set-dscp" { dscp_value(given.value())? } else { dscp_class(given.value())? };
    let target = SetTarget::Payload { base: Header::Network, offset: tos_offset(case.v6()), len: 6 };
    Ok(vec![set(target, Expr::Const(value.into()))])
}

/// `(tos & ~mask) ^ value` (`tos_tg`).
fn tos(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Statement>, String> {
    let [given] = given else { return Err("one TOS is wanted".into()) };
    let (value, mask) = tos_value(given.value())?;
    let (keep, xor) = match given.is {
        "set-tos" => (!mask, value),
        "and-tos" => (value, 0),
        "or-tos" => (!value, value),
        _ => (0xff, value),
    };
    let (offset, len) = (tos_offset(case.v6()), 8);
    let old = payload(Header::Network, offset, len);
    let new = Expr::Bits { of: Box::new(old), mask: keep.into(), xor: xor.into() };
    Ok(vec![set(SetTarget::Payload { base: Header::Network, offset, len }, new)])
}

/// Counting up and down is bounded at 255 and 0; the result is left open.
fn hop_limit(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Statement>, String> {
    let [one] = given else { return Err("one way to set it is wanted".into()) };
    let number: u8 = values::number_to(one.value())?;
    let Expr::Field(Field::Payload { base, offset, len }) = hop_limit_field(case.v6()) else {
        return Err("no field".into());
    };
    let known = has(given, "ttl-set") || has(given, "hl-set");
    let value = if known { Expr::Const(number.into()) } else { Expr::Fork(case.text.to_owned()) };
    Ok(vec![set(SetTarget::Payload { base, offset, len }, value)])
}
