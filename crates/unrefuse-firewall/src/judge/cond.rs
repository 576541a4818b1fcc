//! Tests of a packet.

use crate::bits::Bits;
use crate::model::{BitOp, Cond, Expr};
use crate::packet::{Loaded, Packet};

use super::run::{Here, Run};
use super::sets::Found;
use super::truth::{Truth, Why};

/// A value, or why there is none.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Bits(Bits),
    /// The load fails.
    Absent,
    /// It may be anything, or fail.
    Unknown(Box<Why>),
}

impl Run<'_, '_> {
    /// Whether a test holds for this packet.
    pub(crate) fn test(&self, here: &Here, packet: &Packet, cond: &Cond) -> Truth {
        match cond {
            Cond::Compare { left, op, right } => match self.value(here, packet, left) {
                Value::Bits(bits) => Truth::from_maybe(bits.compare(*op, *right), || unknown_text(left)),
                Value::Absent => Truth::Fail,
                Value::Unknown(why) => Truth::Unknown(why),
            },
            Cond::Range { value, from, to, negated } => match self.value(here, packet, value) {
                Value::Bits(bits) => {
                    Truth::from_maybe(bits.within(*from, *to), || unknown_text(value)).negated_if(*negated)
                }
                Value::Absent => Truth::Fail,
                Value::Unknown(why) => Truth::Unknown(why),
            },
            Cond::InSet { key, set, negated } => {
                let bits = match self.key(here, packet, key) {
                    Ok(bits) => bits,
                    Err(truth) => return truth,
                };
                self.in_set(here, set, &bits).negated_if(*negated)
            }
            Cond::InIpset { set, source, negated } => self.in_ipset(here, packet, set, source).negated_if(*negated),
            Cond::Any(conds) => self.any(here, packet, conds),
            Cond::All(conds) => self.all(here, packet, conds),
            Cond::Not(inner) => self.test(here, packet, inner).negated_if(true),
            Cond::Lenient(inner) => match self.test(here, packet, inner) {
                Truth::Fail => Truth::False,
                other => other,
            },
            Cond::Const(value) => {
                if *value {
                    Truth::True
                } else {
                    Truth::False
                }
            }
            Cond::Fork(text) | Cond::Unknown(text) => Truth::Unknown(Why::ignored(text.clone())),
        }
    }

    fn any(&self, here: &Here, packet: &Packet, conds: &[Cond]) -> Truth {
        let mut result = Truth::False;
        for cond in conds {
            match self.test(here, packet, cond) {
                Truth::True => return Truth::True,
                unknown @ Truth::Unknown(_) => result = unknown,
                Truth::Fail if result == Truth::False => result = Truth::Fail,
                Truth::Fail | Truth::False => {}
            }
        }
        result
    }

    fn all(&self, here: &Here, packet: &Packet, conds: &[Cond]) -> Truth {
        let mut result = Truth::True;
        for cond in conds {
            match self.test(here, packet, cond) {
                Truth::True => {}
                unknown @ Truth::Unknown(_) => {
                    if result == Truth::True {
                        result = unknown;
                    }
                }
                // After an unknown test, the rule may have ended or not: turned round, false and failed differ.
                other if result == Truth::True => return other,
                other => {
                    return match result {
                        Truth::Unknown(_) if other == Truth::Fail => result,
                        _ => other,
                    };
                }
            }
        }
        result
    }

    /// The parts of a key.
    pub(crate) fn key(&self, here: &Here, packet: &Packet, key: &[Expr]) -> Result<Vec<Bits>, Truth> {
        let mut bits = Vec::with_capacity(key.len());
        for part in key {
            match self.value(here, packet, part) {
                Value::Bits(b) => bits.push(b),
                Value::Absent => return Err(Truth::Fail),
                Value::Unknown(why) => return Err(Truth::Unknown(why)),
            }
        }
        Ok(bits)
    }

    /// What an expression gives.
    pub(crate) fn value(&self, here: &Here, packet: &Packet, expr: &Expr) -> Value {
        if let Expr::Field(field) = expr
            && let Some(bits) = packet.at_once(field)
        {
            return Value::Bits(bits);
        }
        match expr {
            Expr::Const(n) => Value::Bits(Bits::known(*n, 128)),
            Expr::Field(field) => match self.load(here, packet, field) {
                Loaded::Value(bits) => Value::Bits(bits),
                Loaded::Absent => Value::Absent,
                Loaded::Unknown(text) => Value::Unknown(Why::not_known(text)),
            },
            Expr::Bits { of, mask, xor } => self.map(here, packet, of, |b| b.masked(*mask, *xor)),
            Expr::Shift { of, by } => self.map(here, packet, of, |b| b.shifted(*by)),
            Expr::Binary { op, left, right } => {
                let right = match self.value(here, packet, right) {
                    Value::Bits(bits) => bits,
                    other => return other,
                };
                self.map(here, packet, left, |left| match op {
                    BitOp::And => left.and(right),
                    BitOp::Or => left.or(right),
                    BitOp::Xor => left.xor(right),
                })
            }
            Expr::Map { key, set, part } => {
                let key = match self.key(here, packet, key) {
                    Ok(key) => key,
                    Err(Truth::Unknown(why)) => return Value::Unknown(why),
                    Err(_) => return Value::Absent,
                };
                match self.find(here, set, &key) {
                    Found::One(element) => match element.data.as_ref().and_then(|d| d.get(usize::from(*part))) {
                        Some(n) => Value::Bits(Bits::known(*n, 128)),
                        None => Value::Unknown(Why::not_known(format!("the data of map {set}"))),
                    },
                    Found::None => Value::Absent,
                    Found::Unknown(why) | Found::Several(_, why) => Value::Unknown(why),
                }
            }
            Expr::Fork(text) | Expr::Unknown(text) => Value::Unknown(Why::ignored(text.clone())),
        }
    }

    fn map(&self, here: &Here, packet: &Packet, of: &Expr, f: impl FnOnce(Bits) -> Bits) -> Value {
        match self.value(here, packet, of) {
            Value::Bits(bits) => Value::Bits(f(bits)),
            other => other,
        }
    }

    fn in_set(&self, here: &Here, set: &str, key: &[Bits]) -> Truth {
        match self.find(here, set, key) {
            Found::One(element) => {
                if element.nomatch {
                    Truth::False
                } else {
                    Truth::True
                }
            }
            Found::None => Truth::False,
            Found::Unknown(why) | Found::Several(_, why) => Truth::Unknown(why),
        }
    }
}

fn unknown_text(expr: &Expr) -> String {
    match expr {
        Expr::Field(field) => format!("{} of the packet is not known", super::load::field_name(field)),
        Expr::Bits { of, .. } | Expr::Shift { of, .. } => unknown_text(of),
        Expr::Binary { left, .. } => unknown_text(left),
        _ => "the value is not known".into(),
    }
}
