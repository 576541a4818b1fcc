//! Stretches of addresses as prefixes, and as words.

use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Prefixes that are written out; of more the number is said.
const SHOWN: usize = 3;
/// Prefixes that are kept.
const KEPT: usize = 64;

/// How the sources of a stretch fare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// They reach the listener, and its answers reach them.
    Open,
    /// They do not.
    Closed,
    /// It depends on what cannot be known.
    Perhaps,
    /// No packet of theirs comes by that interface: they fare as their neighbours, so that there is less to say.
    Never,
}

/// A set of addresses of one family.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Addresses {
    /// First and last of each stretch, in order, with gaps between them.
    stretches: Vec<(u128, u128)>,
    v4: bool,
}

impl Addresses {
    /// Those of the stretches that are in `state`. The stretches are in order and without gaps.
    pub(super) fn of(parts: &[(RangeInclusive<IpAddr>, State)], state: State) -> Self {
        let known = |at: usize| match parts[at].1 {
            State::Never => {
                let before = parts[..at].iter().rev().find(|(_, state)| *state != State::Never);
                before.or_else(|| parts[at..].iter().find(|(_, state)| *state != State::Never)).map(|(_, state)| *state)
            }
            state => Some(state),
        };
        let v4 = parts.first().is_some_and(|(range, _)| range.start().is_ipv4());
        let mut stretches: Vec<(u128, u128)> = Vec::new();
        for (range, _) in parts.iter().enumerate().filter(|(at, _)| known(*at) == Some(state)).map(|(_, part)| part) {
            let (from, to) = (number(*range.start()), number(*range.end()));
            match stretches.last_mut() {
                Some(last) if last.1.checked_add(1) == Some(from) => last.1 = to,
                _ => stretches.push((from, to)),
            }
        }
        Self { stretches, v4 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    fn last(&self) -> u128 {
        if self.v4 { u32::MAX.into() } else { u128::MAX }
    }

    fn is_all(&self) -> bool {
        self.stretches == [(0, self.last())]
    }

    fn others(&self) -> Self {
        let mut stretches = Vec::new();
        let mut next = Some(0);
        for (from, to) in &self.stretches {
            if let Some(next) = next.filter(|next| next < from) {
                stretches.push((next, from - 1));
            }
            next = to.checked_add(1).filter(|next| *next <= self.last());
        }
        stretches.extend(next.map(|next| (next, self.last())));
        Self { stretches, v4: self.v4 }
    }

    /// The fewest prefixes that hold just these; at most [`KEPT`] of them, and how many more there are.
    pub(super) fn prefixes(&self) -> (Vec<String>, usize) {
        let width = if self.v4 { 32 } else { 128 };
        let (mut kept, mut more) = (Vec::new(), 0);
        for (from, to) in &self.stretches {
            let mut next = Some(*from);
            while let Some(start) = next.filter(|start| start <= to) {
                // As many low bits as are zero, and as there is room for.
                let room = (to - start).checked_add(1).map_or(128, |count| 127 - count.leading_zeros());
                let bits = start.trailing_zeros().min(width).min(room);
                if kept.len() < KEPT {
                    kept.push(self.written(start, width - bits));
                } else {
                    more += 1;
                }
                next = 1_u128.checked_shl(bits).and_then(|size| start.checked_add(size));
            }
        }
        (kept, more)
    }

    fn written(&self, start: u128, length: u32) -> String {
        let (address, width) = match u32::try_from(start) {
            Ok(start) if self.v4 => (IpAddr::from(start.to_be_bytes()), 32),
            _ => (IpAddr::from(start.to_be_bytes()), 128),
        };
        if length == width { address.to_string() } else { format!("{address}/{length}") }
    }

    /// `anywhere`, `nobody`, `10.0.0.0/8, 192.0.2.9`, `anywhere but 203.0.113.0/24`.
    pub(super) fn words(&self) -> String {
        if self.is_all() {
            return "anywhere".to_owned();
        }
        if self.is_empty() {
            return "nobody".to_owned();
        }
        let (prefixes, more) = self.prefixes();
        let (but, but_more) = self.others().prefixes();
        if but.len() + but_more < (prefixes.len() + more).min(SHOWN + 1) {
            return format!("anywhere but {}", but.join(", "));
        }
        match prefixes.len() + more {
            all if all <= SHOWN => prefixes.join(", "),
            all => format!("{} and {} more", prefixes[..SHOWN - 1].join(", "), all + 1 - SHOWN),
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(texts: &[(&str, &str, State)]) -> Vec<(RangeInclusive<IpAddr>, State)> {
        texts.iter().map(|(from, to, state)| (from.parse().unwrap()..=to.parse().unwrap(), *state)).collect()
    }
    fn words(texts: &[(&str, &str, State)]) -> String {
        Addresses::of(&parts(texts), State::Open).words()
    }
    use State::{Closed, Never, Open, Perhaps};

    #[test]
    fn stretches_become_prefixes() {
        assert_eq!(words(&[("0.0.0.0", "255.255.255.255", Open)]), "anywhere");
        assert_eq!(words(&[("0.0.0.0", "255.255.255.255", Closed)]), "nobody");
        let ten = [
            ("0.0.0.0", "9.255.255.255", Closed),
            ("10.0.0.0", "10.255.255.255", Open),
            ("11.0.0.0", "255.255.255.255", Closed),
        ];
        assert_eq!(words(&ten), "10.0.0.0/8");
        let one = [
            ("0.0.0.0", "192.0.2.8", Closed),
            ("192.0.2.9", "192.0.2.9", Open),
            ("192.0.2.10", "255.255.255.255", Closed),
        ];
        assert_eq!(words(&one), "192.0.2.9");
        let odd =
            [("0.0.0.0", "10.0.0.0", Closed), ("10.0.0.1", "10.0.0.6", Open), ("10.0.0.7", "255.255.255.255", Closed)];
        assert_eq!(words(&odd), "10.0.0.1, 10.0.0.2/31 and 2 more");
    }

    #[test]
    fn what_is_left_out_is_named_where_that_is_shorter() {
        let but = [
            ("0.0.0.0", "203.0.112.255", Open),
            ("203.0.113.0", "203.0.113.255", Closed),
            ("203.0.114.0", "255.255.255.255", Open),
        ];
        assert_eq!(words(&but), "anywhere but 203.0.113.0/24");
    }

    #[test]
    fn sources_that_never_come_say_nothing() {
        let own = [
            ("0.0.0.0", "0.0.0.0", Never),
            ("0.0.0.1", "126.255.255.255", Open),
            ("127.0.0.0", "127.255.255.255", Never),
            ("128.0.0.0", "255.255.255.255", Open),
        ];
        assert_eq!(words(&own), "anywhere");
        assert_eq!(words(&[("0.0.0.0", "255.255.255.255", Never)]), "nobody");
    }

    #[test]
    fn the_whole_of_ipv6() {
        let all = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        assert_eq!(words(&[("::", all, Open)]), "anywhere");
        let one = [
            ("::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", Perhaps),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Open),
            ("2001:db9::", all, Perhaps),
        ];
        assert_eq!(words(&one), "2001:db8::/32");
        let top = [("::", "ff00::", Closed), ("ff00::1", all, Open)];
        let (prefixes, more) = Addresses::of(&parts(&top), Open).prefixes();
        assert_eq!((prefixes.len() + more, more), (120, 120 - KEPT));
    }
}
