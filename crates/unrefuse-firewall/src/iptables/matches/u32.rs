//! u32 (net/netfilter/xt_u32.c): `--u32 "0>>22&0x3C@ 12>>26&0x3C@ 0=0x47455420"`.
//!
//! Numbers are loaded as 32 bits from the network header on. `@` moves on by what was computed; the two ways in which
//! people do that are known: by the IPv4 header's length to the transport header, and by the TCP header's to its payload.

use super::super::build::whole;
use super::super::cond::{any, bits, payload, within};
use super::super::options::{Case, Given, Match};
use super::inv;
use crate::model::{Cond, Expr, Header};

pub(super) const ALL: &[Match] = &[Match { name: "u32", options: &[inv("u32")], read }];

fn read(case: &Case<'_>, given: &[Given<'_>]) -> Result<Vec<Cond>, String> {
    let [given] = given else { return Err("one --u32 is wanted".into()) };
    let mut text = Text { rest: given.value() };
    let mut tests = Vec::new();
    loop {
        tests.push(text.test(case.v6())?);
        if text.rest.is_empty() {
            break;
        }
        if !text.take("&&") {
            return Err(format!("u32: && is wanted at {}", text.rest));
        }
    }
    // `U32MAXSIZE`.
    if tests.len() > 11 {
        return Err("u32: too many tests".into());
    }
    Ok(vec![whole(tests, given.negated)])
}

struct Text<'a> {
    rest: &'a str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    And(u32),
    Left(u32),
    Right(u32),
}

impl Text<'_> {
    fn take(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        let taken = self.rest.strip_prefix(token);
        self.rest = taken.unwrap_or(self.rest).trim_start();
        taken.is_some()
    }

    fn number(&mut self) -> Result<u32, String> {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        super::super::values::number_to(digits).map_err(|_| format!("u32: a number is wanted, not {digits}"))
    }

    /// `location = values`.
    fn test(&mut self, v6: bool) -> Result<Cond, String> {
        let mut base = Header::Network;
        let mut position = self.number()?;
        let mut steps: Vec<Step> = Vec::new();
        loop {
            // `&&` cannot stand before the `=`.
            if self.take("&") {
                steps.push(Step::And(self.number()?));
            } else if self.take("<<") {
                steps.push(Step::Left(self.number()?));
            } else if self.take(">>") {
                steps.push(Step::Right(self.number()?));
            } else if self.take("@") {
                base = moved(base, position, &steps, v6).ok_or("u32: an offset that is not known how to follow")?;
                position = self.number()?;
                steps.clear();
            } else if self.take("=") {
                break;
            } else {
                return Err(format!("u32: not understood: {}", self.rest));
            }
            if steps.len() > 10 {
                return Err("u32: too many steps".into());
            }
        }
        let offset = u16::try_from(position).ok().filter(|p| *p < 8000).ok_or("u32: an offset beyond any header")? * 8;
        let mut value = payload(base, offset, 32);
        for step in steps {
            value = match step {
                Step::And(mask) => bits(value, mask.into()),
                Step::Left(by) => shift(value, by, 1)?,
                Step::Right(by) => shift(value, by, -1)?,
            };
        }
        let mut ranges = Vec::new();
        loop {
            let from = self.number()?;
            let to = if self.take(":") { self.number()? } else { from };
            ranges.push((from, to));
            if !self.take(",") {
                break;
            }
        }
        if ranges.len() > 11 {
            return Err("u32: too many values".into());
        }
        let tests = ranges
            .into_iter()
            .map(|(from, to)| if from > to { Cond::Const(false) } else { within(value.clone(), (from, to), false) });
        Ok(any(tests.collect()))
    }
}

fn shift(of: Expr, by: u32, sign: i8) -> Result<Expr, String> {
    match i8::try_from(by) {
        Ok(by) if by < 32 => Ok(Expr::Shift { of: Box::new(of), by: by * sign }),
        _ => Err("u32: a shift by more than the width".into()),
    }
}

/// Where `@` leads.
fn moved(base: Header, position: u32, steps: &[Step], v6: bool) -> Option<Header> {
    use Step::{And, Right};
    match (base, position, steps) {
        // Header length in 32-bit words: low half of the first byte.
        (Header::Network, 0, [Right(22), And(0x3c)] | [And(0x0f00_0000), Right(22)]) if !v6 => Some(Header::Transport),
        // Data offset: high half of the byte 12 of the TCP header.
        (Header::Transport, 12, [Right(26), And(0x3c)] | [And(0xf000_0000), Right(26)]) => Some(Header::Inner),
        _ => None,
    }
}
