//! `{server}` and friends: what a scenario's text means for one address family.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The address family that a run of a scenario uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Variant {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Variant {
    /// `v4` or `v6`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
        }
    }
}

/// Placeholder, its IPv4 meaning, its IPv6 meaning. The addresses are those of [`crate::topology`].
pub(crate) const BUILT_IN: &[(&str, &str, &str)] = &[
    ("server", "10.77.0.1", "fd77::1"),
    ("server2", "10.77.0.3", "fd77::3"),
    ("client", "10.77.0.2", "fd77::2"),
    ("far_client", "10.78.0.2", "fd78::2"),
    ("router", "10.78.0.1", "fd78::1"),
    ("router_inside", "10.77.0.254", "fd77::fe"),
    ("unused", "10.77.0.99", "fd77::99"),
    ("away", "203.0.113.1", "2001:db8:dead::1"),
    ("loopback", "127.0.0.1", "::1"),
    ("any", "0.0.0.0", "::"),
    ("lan", "10.77.0.0/24", "fd77::/64"),
    ("bits", "32", "128"),
    ("lan_bits", "24", "64"),
    ("family", "4", "6"),
    ("nft", "ip", "ip6"),
    ("icmp", "icmp", "icmpv6"),
    ("record", "A", "AAAA"),
];

/// `text` with every `{name}` replaced, and `{[name]}` by the address as it stands before a port (IPv6 in brackets).
///
/// # Errors
/// A placeholder that is neither built in nor in the scenario's own `vars`.
pub(crate) fn fill(text: &str, variant: Variant, own: &BTreeMap<String, String>) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        out.push_str(&rest[..start]);
        let tail = &rest[start..];
        match placeholder(tail) {
            None => {
                out.push('{');
                rest = &tail[1..];
            }
            Some((name, bracketed, length)) => {
                let Some(value) = own.get(name).map(String::as_str).or_else(|| built_in(name, variant)) else {
                    bail!("unknown placeholder {}", &tail[..length]);
                };
                if bracketed && value.contains(':') {
                    out.push_str(&format!("[{value}]"));
                } else {
                    out.push_str(value);
                }
                rest = &tail[length..];
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn built_in(name: &str, variant: Variant) -> Option<&'static str> {
    let (_, v4, v6) = BUILT_IN.iter().find(|(known, _, _)| *known == name)?;
    Some(match variant {
        Variant::V4 => v4,
        Variant::V6 => v6,
    })
}

/// `{name}` or `{[name]}` at the start of `text`: the name, whether it is bracketed, and its length with the braces.
fn placeholder(text: &str) -> Option<(&str, bool, usize)> {
    let end = text.find('}')?;
    let inner = &text[1..end];
    let (name, bracketed) = match inner.strip_prefix('[').and_then(|s| s.strip_suffix(']')) {
        Some(name) => (name, true),
        None => (inner, false),
    };
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    is_name.then_some((name, bracketed, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_its_own_words() {
        let own = BTreeMap::new();
        assert_eq!(fill("{[server]}:80 {loopback}", Variant::V4, &own).unwrap(), "10.77.0.1:80 127.0.0.1");
        assert_eq!(fill("{[server]}:80 {loopback}", Variant::V6, &own).unwrap(), "[fd77::1]:80 ::1");
    }

    #[test]
    fn own_words_win_and_other_braces_stay() {
        let own = BTreeMap::from([("server".to_owned(), "x".to_owned())]);
        assert_eq!(
            fill("chain c { tcp dport { 80, 81 } } {server}", Variant::V4, &own).unwrap(),
            "chain c { tcp dport { 80, 81 } } x"
        );
    }

    #[test]
    fn an_unknown_word_is_an_error() {
        assert!(fill("{sever}", Variant::V4, &BTreeMap::new()).is_err());
    }
}
