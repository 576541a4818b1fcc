//! Of which family a dump is that does not say so: its addresses and names tell.

use super::dumps::Dump;
use super::words;
use crate::model::Family;

/// IPv6 where more speaks for it than for IPv4.
pub(super) fn family(dump: &Dump<'_>) -> Family {
    let (mut v4, mut v6) = (0u32, 0u32);
    for (_, line) in &dump.lines {
        let Some(words) = words::split(line) else { continue };
        for (i, word) in words.iter().enumerate() {
            let before = i.checked_sub(1).map_or("", |i| &*words[i].text);
            // Free text says nothing.
            if matches!(before, "--comment" | "--log-prefix" | "--nflog-prefix" | "--string") {
                continue;
            }
            match of_word(&word.text, before) {
                Some(Family::Ip6) => v6 += 1,
                Some(_) => v4 += 1,
                None => {}
            }
        }
    }
    if v6 > v4 { Family::Ip6 } else { Family::Ip }
}

fn of_word(word: &str, before: &str) -> Option<Family> {
    match word {
        "ipv6-icmp" | "icmpv6" | "icmp6" | "--icmpv6-type" | "hl" | "HL" | "rt" | "hbh" | "ipv6header" => {
            return (before != "-A" && before != "-j" || word == "HL").then_some(Family::Ip6);
        }
        "--icmp-type" | "ttl" | "TTL" | "-f" => return Some(Family::Ip),
        "icmp" => return (before == "-p").then_some(Family::Ip),
        _ => {}
    }
    if before == "--reject-with" {
        return match word {
            w if w.starts_with("icmp6-") => Some(Family::Ip6),
            w if w.starts_with("icmp-") => Some(Family::Ip),
            _ => None,
        };
    }
    let address = word.split(['/', ',', '-']).next().unwrap_or(word);
    if address.contains('.') && address.parse::<std::net::Ipv4Addr>().is_ok() {
        return Some(Family::Ip);
    }
    let v6 = address.contains(':') && address.parse::<std::net::Ipv6Addr>().is_ok();
    v6.then_some(Family::Ip6)
}
