//! The kernel's network counters as text: /proc/net/netstat, /proc/net/snmp, /proc/net/snmp6, /proc/net/xfrm_stat.
//!
//! The first two come as pairs of lines, names and values (here cut on the right):
//! ```text
//! Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs
//! Tcp: 1 200 120000 -1 72 2 0 58 0 21193 12804
//! ```
//! snmp6 has one counter a line:
//! ```text
//! Ip6InReceives                           1
//! Ip6InHdrErrors                          0
//! ```

use crate::lines;
use std::collections::BTreeMap;

/// Counters by group and name, `TcpExt.ListenOverflows`, from /proc/net/netstat or /proc/net/snmp.
///
/// A value that is no counter (`MaxConn -1`) is left out, as is a group whose second line is missing or of another
/// group. Source: net/ipv4/proc.c.
///
/// ```
/// let sample = b"Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens\nTcp: 1 200 120000 -1 72\n";
/// let counters = unrefuse_parse::counters::parse(sample);
/// assert_eq!(counters["Tcp.ActiveOpens"], 72);
/// assert!(!counters.contains_key("Tcp.MaxConn"));
/// ```
pub fn parse(bytes: &[u8]) -> BTreeMap<String, u64> {
    let mut counters = BTreeMap::new();
    let mut names: Option<(&str, &str)> = None;
    for (_, line) in lines::numbered(bytes) {
        let Some(line) = group(line) else {
            names = None;
            continue;
        };
        match names.take() {
            Some((group, names)) if group == line.0 => {
                for (name, value) in names.split_ascii_whitespace().zip(line.1.split_ascii_whitespace()) {
                    if let Some(value) = lines::decimal(value.as_bytes()) {
                        counters.insert(format!("{group}.{name}"), value);
                    }
                }
            }
            _ => names = Some(line),
        }
    }
    counters
}

fn group(line: &[u8]) -> Option<(&str, &str)> {
    std::str::from_utf8(line).ok()?.split_once(':')
}

/// Counters by name with `snmp6.` before it, `snmp6.Icmp6InDestUnreachs`, from /proc/net/snmp6 (net/ipv6/proc.c).
///
/// ```
/// let counters = unrefuse_parse::counters::parse_snmp6(b"Ip6InReceives                   \t1\n");
/// assert_eq!(counters["snmp6.Ip6InReceives"], 1);
/// ```
pub fn parse_snmp6(bytes: &[u8]) -> BTreeMap<String, u64> {
    listed(bytes, "snmp6")
}

/// Counters by name with `xfrm.` before it, `xfrm.XfrmOutNoStates`, from /proc/net/xfrm_stat (net/xfrm/xfrm_proc.c), which
/// is there where the kernel has IPsec and counts what becomes of it.
///
/// ```
/// let counters = unrefuse_parse::counters::parse_xfrm(b"XfrmOutNoStates         \t63\n");
/// assert_eq!(counters["xfrm.XfrmOutNoStates"], 63);
/// ```
pub fn parse_xfrm(bytes: &[u8]) -> BTreeMap<String, u64> {
    listed(bytes, "xfrm")
}

/// A name and a number on each line.
fn listed(bytes: &[u8], group: &str) -> BTreeMap<String, u64> {
    let mut counters = BTreeMap::new();
    for (_, line) in lines::numbered(bytes) {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let mut words = line.split_ascii_whitespace();
        if let (Some(name), Some(value)) = (words.next(), words.next())
            && let Some(value) = lines::decimal(value.as_bytes())
        {
            counters.insert(format!("{group}.{name}"), value);
        }
    }
    counters
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn groups_follow_each_other() {
        let sample = b"TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 0 7 9\n\
            IpExt: InNoRoutes InTruncatedPkts\nIpExt: 1 2\n";
        let counters = parse(sample);
        assert_eq!(counters["TcpExt.ListenOverflows"], 7);
        assert_eq!(counters["IpExt.InNoRoutes"], 1);
        assert_eq!(counters.len(), 5);
    }

    #[test]
    fn broken_pairs_give_nothing() {
        assert!(parse(b"Tcp: A B\n").is_empty());
        assert!(parse(b"Tcp: A B\nUdp: 1 2\n").is_empty());
        assert!(parse(b"Tcp: A B\n\xff\nTcp: 1 2\n").is_empty());
        assert_eq!(parse(b"Tcp: A B C\nTcp: 1 x\n").len(), 1);
        // A group that lost its values does not swallow the next one.
        assert_eq!(parse(b"Tcp: A\nUdp: B\nUdp: 3\n")["Udp.B"], 3);
        assert!(parse_snmp6(b"A\nB x\nC -1\n\xff 1\n").is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes);
            prop_assert!(parse_snmp6(&bytes).keys().all(|k| k.starts_with("snmp6.")));
        }
    }
}
