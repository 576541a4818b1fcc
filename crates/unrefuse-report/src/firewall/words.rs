//! The names of things.

use unrefuse_firewall::answer::StackReason;
use unrefuse_firewall::machine::RouteKind;
use unrefuse_firewall::model::{Backend, Family, Hook, Reject};

/// nft's word for a family (nft(8), ADDRESS FAMILIES).
pub(super) const fn family(family: Family) -> &'static str {
    match family {
        Family::Ip => "ip",
        Family::Ip6 => "ip6",
        Family::Inet => "inet",
        Family::Arp => "arp",
        Family::Bridge => "bridge",
        Family::Netdev => "netdev",
    }
}

pub(super) const fn backend(backend: Backend) -> &'static str {
    match backend {
        Backend::Legacy => "legacy",
        Backend::Nft => "nft",
        Backend::IptablesNft => "iptables-nft",
        Backend::Iptables => "iptables",
    }
}

pub(super) const fn hook(hook: Hook) -> &'static str {
    match hook {
        Hook::Ingress => "ingress",
        Hook::Prerouting => "prerouting",
        Hook::Input => "input",
        Hook::Forward => "forward",
        Hook::Output => "output",
        Hook::Postrouting => "postrouting",
        Hook::Egress => "egress",
    }
}

/// `tcp reset`, `icmp 3/13 (administratively prohibited)`.
pub(super) fn reject(reject: Reject) -> String {
    match reject {
        Reject::TcpReset => "tcp reset".to_owned(),
        Reject::Icmp(kind, code) => icmp(4, kind, code),
        Reject::Icmp6(kind, code) => icmp(6, kind, code),
        Reject::Icmpx(0) => "icmpx no route".to_owned(),
        Reject::Icmpx(1) => "icmpx port unreachable".to_owned(),
        Reject::Icmpx(2) => "icmpx host unreachable".to_owned(),
        Reject::Icmpx(_) => "icmpx administratively prohibited".to_owned(),
    }
}

/// An ICMP error by its numbers, with its name where it is one of "destination unreachable" (RFC 792, RFC 1812, RFC 4443).
pub(super) fn icmp(version: u8, kind: u8, code: u8) -> String {
    let name = match (version, kind, code) {
        (4, 3, 0) => "network unreachable",
        (4, 3, 1) => "host unreachable",
        (4, 3, 2) => "protocol unreachable",
        (4, 3, 3) | (6, 1, 4) => "port unreachable",
        (4, 3, 9) => "network prohibited",
        (4, 3, 10) => "host prohibited",
        (4, 3, 13) | (6, 1, 1) => "administratively prohibited",
        (6, 1, 0) => "no route",
        (6, 1, 2) => "beyond scope",
        (6, 1, 3) => "address unreachable",
        (6, 1, 5) => "source address failed policy",
        (6, 1, 6) => "reject route",
        _ => "",
    };
    let protocol = if version == 6 { "icmpv6" } else { "icmp" };
    if name.is_empty() { format!("{protocol} {kind}/{code}") } else { format!("{protocol} {kind}/{code} ({name})") }
}

/// Why the network stack ends a packet.
pub(super) fn stack(reason: &StackReason) -> String {
    match reason {
        StackReason::ForwardingOff(sysctl) => {
            format!("it is not for this machine, and forwarding is off ({sysctl} is 0)")
        }
        StackReason::RpFilter { sysctl, expected } => {
            let back = match expected {
                Some(name) => format!("leads by {name}"),
                None => "does not exist".to_owned(),
            };
            format!("reverse path filter: the way back to the source {back} ({sysctl})")
        }
        StackReason::MartianSource => {
            "its source is one of this machine's own addresses, or one that no packet on a wire may have".to_owned()
        }
        StackReason::MartianDestination => "its destination is one that no packet on a wire may have".to_owned(),
        StackReason::NoRoute => "there is no route to its destination".to_owned(),
        StackReason::Route(kind) => {
            let kind = match kind {
                RouteKind::Blackhole => "blackhole",
                RouteKind::Prohibit => "prohibit",
                RouteKind::Throw => "throw",
                _ => "unreachable",
            };
            format!("its route is of type {kind}")
        }
        StackReason::NotUnicast => "its destination is a broadcast or multicast address".to_owned(),
        StackReason::RedirectWithoutAddress => {
            "REDIRECT drops it: the interface that it came by has no address".to_owned()
        }
        StackReason::ProxiedElsewhere => {
            "TPROXY took it, but its route leads to another host: no policy route brings it to this one".to_owned()
        }
    }
}
