//! The host under test: its interfaces, addresses, routes and listeners, the same in every run. The generator draws from
//! it, the kernel's side builds it, and the judge is told of it.

use std::net::IpAddr;

/// Interfaces. Clients are behind the first, servers behind the second.
pub(crate) const IN: &str = "in0";
/// Towards the servers.
pub(crate) const OUT: &str = "out0";

/// MAC addresses of the two TAP devices.
pub(crate) const IN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The second one's.
pub(crate) const OUT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// Addresses of the interfaces, in the order in which the kernel holds them: of IPv6 addresses, the newest is the first.
pub(crate) const ADDRESSES: &[(&str, &str, u8)] = &[
    (IN, "192.0.2.1", 24),
    (IN, "192.0.2.2", 24),
    (OUT, "198.51.100.1", 24),
    (IN, "2001:db8:1::2", 64),
    (IN, "2001:db8:1::1", 64),
    (OUT, "2001:db8:2::1", 64),
];

/// A route: kind, prefix, length, gateway and interface for `unicast`.
pub(crate) type RouteRow = (&'static str, &'static str, u8, &'static str, &'static str);

/// Routes beside those that the addresses bring.
pub(crate) const ROUTES: &[RouteRow] = &[
    ("unicast", "0.0.0.0", 0, "192.0.2.254", IN),
    ("unicast", "10.9.0.0", 16, "198.51.100.254", OUT),
    ("blackhole", "10.66.1.0", 24, "", ""),
    ("unreachable", "10.66.2.0", 24, "", ""),
    ("prohibit", "10.66.3.0", 24, "", ""),
    ("unicast", "::", 0, "2001:db8:1::fe", IN),
    ("unicast", "2001:db8:9::", 48, "2001:db8:2::fe", OUT),
    ("blackhole", "2001:db8:661::", 48, "", ""),
    ("unreachable", "2001:db8:662::", 48, "", ""),
    ("prohibit", "2001:db8:663::", 48, "", ""),
];

/// Ports where something listens on every address.
pub(crate) const TCP_OPEN: &[u16] = &[22, 80, 443, 8080];
/// The same for UDP.
pub(crate) const UDP_OPEN: &[u16] = &[53, 443];
/// Ports where nothing listens.
pub(crate) const CLOSED: &[u16] = &[25, 81, 1024, 6000];

/// User ids that send.
pub(crate) const UIDS: &[u32] = &[0, 33, 1000];
/// Marks.
pub(crate) const MARKS: &[u32] = &[0, 1, 2, 0x10, 0x11];
/// TOS bytes.
pub(crate) const TOS: &[u8] = &[0, 0x10, 0x48, 0xb8];

/// Addresses of one family, by what they are to the host.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) own_in: &'static [&'static str],
    pub(crate) own_out: &'static [&'static str],
    /// Reached by the first interface.
    pub(crate) clients: &'static [&'static str],
    /// Reached by the second.
    pub(crate) servers: &'static [&'static str],
    pub(crate) loopback: &'static [&'static str],
    /// Destinations with a route that ends here.
    pub(crate) dead: &'static [&'static str],
    /// Sources that no wire may carry, or destinations that are no host.
    pub(crate) odd: &'static [&'static str],
    /// Prefixes that hold some of the above.
    pub(crate) prefixes: &'static [&'static str],
    /// Ranges (first, last) of single addresses.
    pub(crate) ranges: &'static [(&'static str, &'static str)],
}

/// IPv4.
pub(crate) const V4: Pool = Pool {
    own_in: &["192.0.2.1", "192.0.2.2"],
    own_out: &["198.51.100.1"],
    clients: &["192.0.2.77", "192.0.2.78", "192.0.2.200", "203.0.113.5", "203.0.113.9"],
    servers: &["198.51.100.50", "198.51.100.51", "10.9.1.3", "10.9.1.4"],
    loopback: &["127.0.0.1", "127.0.0.9"],
    dead: &["10.66.1.1", "10.66.2.1", "10.66.3.1"],
    odd: &["127.0.0.5", "192.0.2.255", "255.255.255.255", "224.0.0.1"],
    prefixes: &[
        "192.0.2.0/24",
        "192.0.2.64/26",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "10.9.0.0/16",
        "10.0.0.0/8",
        "192.0.0.0/13",
        "0.0.0.0/1",
    ],
    ranges: &[
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.2", "192.0.2.77"),
        ("192.0.2.78", "192.0.2.199"),
        ("198.51.100.50", "198.51.100.60"),
        ("203.0.113.0", "203.0.113.7"),
        ("10.9.1.4", "10.9.2.0"),
    ],
};

/// IPv6.
pub(crate) const V6: Pool = Pool {
    own_in: &["2001:db8:1::1", "2001:db8:1::2"],
    own_out: &["2001:db8:2::1"],
    clients: &["2001:db8:1::77", "2001:db8:1::78", "2001:db8:1::200", "2001:db8:5::5", "2001:db8:5::9"],
    servers: &["2001:db8:2::50", "2001:db8:2::51", "2001:db8:9::3", "2001:db8:9::4"],
    loopback: &["::1"],
    dead: &["2001:db8:661::1", "2001:db8:662::1", "2001:db8:663::1"],
    odd: &["::1", "ff02::1"],
    prefixes: &[
        "2001:db8:1::/64",
        "2001:db8:1::40/122",
        "2001:db8:2::/64",
        "2001:db8:5::/48",
        "2001:db8:9::/48",
        "2001:db8::/32",
        "2001:db8::/46",
        "::/1",
    ],
    ranges: &[
        ("2001:db8:1::1", "2001:db8:1::1"),
        ("2001:db8:1::2", "2001:db8:1::77"),
        ("2001:db8:1::78", "2001:db8:1::1ff"),
        ("2001:db8:2::50", "2001:db8:2::60"),
        ("2001:db8:5::", "2001:db8:5::7"),
        ("2001:db8:9::4", "2001:db8:9::100"),
    ],
};

impl Pool {
    /// The pool of a family.
    pub(crate) const fn of(v6: bool) -> &'static Self {
        if v6 { &V6 } else { &V4 }
    }

    /// All ordinary addresses.
    pub(crate) fn all(&self) -> Vec<&'static str> {
        [self.own_in, self.own_out, self.clients, self.servers].concat()
    }
}

/// An address that is known to be one.
pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or(IpAddr::from([0, 0, 0, 0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_one() {
        for v6 in [false, true] {
            let pool = Pool::of(v6);
            let all = [pool.loopback, pool.dead, pool.odd, &pool.all()].concat();
            for text in all {
                assert_eq!(text.parse::<IpAddr>().unwrap().is_ipv6(), v6, "{text}");
            }
            for (from, to) in pool.ranges {
                assert!(address(from) <= address(to));
            }
        }
    }
}
