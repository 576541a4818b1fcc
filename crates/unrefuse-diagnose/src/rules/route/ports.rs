//! The local ports that a connection from this machine can use.

use super::ways;
use crate::View;
use unrefuse_facts::{Errno, Transport};

/// The setting that bounds them, for both families (ip(7)).
pub(super) const RANGE: &str = "net.ipv4.ip_local_port_range";
/// Ports in the range that are kept for others (Documentation/networking/ip-sysctl.rst).
pub(super) const RESERVED: &str = "net.ipv4.ip_local_reserved_ports";

/// The range and how many of its ports could be used for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) low: u16,
    pub(super) high: u16,
    /// The range without reserved ports and without those that a listener of this machine holds.
    pub(super) usable: u32,
}

impl Ports {
    /// Reads them; `None` where the range was not read.
    pub(super) fn of(view: &View<'_>) -> Option<Self> {
        let host = &view.case.host;
        let mut words = host.sysctl(RANGE)?.split_whitespace().map(str::parse::<u16>);
        let (Some(Ok(low)), Some(Ok(high))) = (words.next(), words.next()) else { return None };
        let mut usable = 0;
        let reserved = intervals(host.sysctl(RESERVED).unwrap_or_default());
        let taken: Vec<u16> = match (host.sockets.value(), view.transport()) {
            (Some(table), Some(Transport::Tcp)) => {
                table.listeners.iter().filter(|s| s.transport == Transport::Tcp).map(|s| s.local.port()).collect()
            }
            _ => Vec::new(),
        };
        for port in low..=high {
            let kept = reserved.iter().any(|(from, to)| (*from..=*to).contains(&port)) || taken.contains(&port);
            usable += u32::from(!kept);
        }
        Some(Self { low, high, usable })
    }

    /// How the ports that are in use relate to those that could be.
    pub(super) fn full(self, used: u32) -> Full {
        match used {
            used if used >= self.usable => Full::Yes,
            // Some may have ended between the attempt and the count.
            used if u64::from(used) * 10 >= u64::from(self.usable) * 9 => Full::Nearly,
            _ => Full::No,
        }
    }
}

/// Whether the ports are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    Yes,
    Nearly,
    No,
}

/// The local refusal that ports used up and a missing source address share (connect(2)).
pub(super) fn not_available(view: &View<'_>) -> bool {
    ways::local_error(view).is_some_and(|(_, errno)| errno == Errno::EADDRNOTAVAIL)
}

/// `8080,9000-9100`.
fn intervals(text: &str) -> Vec<(u16, u16)> {
    let interval = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some((from.trim().parse().ok()?, to.trim().parse().ok()?))
    };
    text.split(',').filter_map(interval).collect()
}

#[cfg(test)]
mod tests {
    use super::{Full, Ports, intervals};

    #[test]
    fn reserved_ports() {
        assert_eq!(intervals("8080,9000-9100\n"), [(8080, 8080), (9000, 9100)]);
        assert_eq!(intervals(""), []);
    }

    #[test]
    fn used_up() {
        let ports = Ports { low: 1, high: 100, usable: 100 };
        assert_eq!([89, 90, 100].map(|used| ports.full(used)), [Full::No, Full::Nearly, Full::Yes]);
    }
}
