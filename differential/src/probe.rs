//! A packet that is sent to, through or from the host under test.

use crate::rng::Rng;
use crate::world::{self, Pool, address};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// IP protocol numbers.
pub(crate) mod proto {
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const ICMP6: u8 = 58;
}

/// TCP flags.
pub(crate) mod flag {
    pub(crate) const SYN: u8 = 2;
    pub(crate) const RST: u8 = 4;
    pub(crate) const ACK: u8 = 16;
}

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probe {
    /// The interface it arrives by; `None`: a socket of the host sends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) iif: Option<String>,
    /// Source; `None`: the host chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) src: Option<IpAddr>,
    pub(crate) dst: IpAddr,
    /// IP protocol.
    pub(crate) proto: u8,
    /// Source port; ICMP: the identifier.
    #[serde(default)]
    pub(crate) sport: u16,
    /// Destination port; ICMP: type and code.
    #[serde(default)]
    pub(crate) dport: u16,
    #[serde(default)]
    pub(crate) tos: u8,
    #[serde(default)]
    pub(crate) ttl: u8,
    /// Bytes behind the transport header (not for a TCP packet).
    #[serde(default)]
    pub(crate) payload: u16,
    #[serde(default)]
    pub(crate) mac: [u8; 6],
    #[serde(default)]
    pub(crate) uid: u32,
    #[serde(default)]
    pub(crate) gid: u32,
    #[serde(default)]
    pub(crate) mark: u32,
}

impl Probe {
    /// A random packet; `number` makes its connection different from that of every other packet to the same ruleset.
    pub(crate) fn random(rng: &mut Rng, v6: bool, number: usize) -> Self {
        let pool = Pool::of(v6);
        let protocol = match rng.below(100) {
            0..65 => proto::TCP,
            65..90 => proto::UDP,
            _ if v6 => proto::ICMP6,
            _ => proto::ICMP,
        };
        let dport = match protocol {
            proto::TCP if rng.percent(70) => rng.choose(world::TCP_OPEN),
            proto::UDP if rng.percent(70) => rng.choose(world::UDP_OPEN),
            proto::TCP | proto::UDP => rng.choose(world::CLOSED),
            proto::ICMP => 8 << 8,
            _ => 128 << 8,
        };
        // Below 1024, the usual range, above: rules on source ports part them. 1,000 numbers keep each one single.
        let low =
            if protocol == proto::TCP && rng.percent(5) { 100 } else { rng.choose(&[2000, 33_000, 50_000, 62_000]) };
        let mut probe = Self {
            iif: None,
            src: None,
            dst: address(rng.pick(pool.own_in)),
            proto: protocol,
            sport: if low == 100 { 900 + (number % 100) as u16 } else { low + (number % 900) as u16 },
            dport,
            tos: if rng.percent(70) { 0 } else { rng.choose(world::TOS) },
            ttl: rng.choose(&[64, 64, 64, 64, 63, 128]),
            payload: if protocol == proto::TCP { 0 } else { rng.choose(&[0, 8, 100, 900]) },
            mac: [0; 6],
            uid: 0,
            gid: 0,
            mark: 0,
        };
        if rng.percent(25) {
            probe.leave(rng, pool);
        } else {
            probe.arrive(rng, pool);
        }
        probe
    }

    fn arrive(&mut self, rng: &mut Rng, pool: &Pool) {
        let reverse = rng.percent(15);
        self.mac = [2, 0, 0, 0, 1, rng.below(4) as u8];
        self.iif = Some(if reverse { world::OUT } else { world::IN }.into());
        let near = if reverse { pool.servers } else { pool.clients };
        self.src = Some(address(match rng.below(100) {
            0..92 => rng.pick(near),
            92..96 => rng.pick(if reverse { pool.clients } else { pool.servers }),
            96..98 => rng.pick(pool.own_out),
            _ => rng.pick(pool.odd),
        }));
        self.dst = address(match rng.below(100) {
            0..45 => rng.pick(pool.own_in),
            45..52 => rng.pick(pool.own_out),
            52..90 => rng.pick(if reverse { pool.clients } else { pool.servers }),
            90..93 => rng.pick(near),
            93..96 => rng.pick(pool.dead),
            96..98 => rng.pick(pool.loopback),
            _ => rng.pick(pool.odd),
        });
        // What is sent to it could not be told from what is sent to its destination.
        if self.src == Some(self.dst) {
            self.dst = address(pool.own_in[0]);
        }
    }

    fn leave(&mut self, rng: &mut Rng, pool: &Pool) {
        if matches!(self.proto, proto::ICMP | proto::ICMP6) {
            self.proto = proto::UDP;
            self.dport = rng.choose(world::UDP_OPEN);
        }
        self.dst = address(match rng.below(100) {
            0..40 => rng.pick(pool.servers),
            40..70 => rng.pick(pool.clients),
            70..82 => rng.pick(pool.loopback),
            82..94 => rng.pick(pool.own_in),
            _ => rng.pick(pool.dead),
        });
        self.uid = rng.choose(world::UIDS);
        self.gid = rng.choose(world::UIDS);
        self.mark = if rng.percent(75) { 0 } else { rng.choose(world::MARKS) };
        self.ttl = 64;
    }

    /// Whether it is IPv6.
    pub(crate) fn v6(&self) -> bool {
        self.dst.is_ipv6()
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.iif {
            Some(iif) => write!(f, "in by {iif}: ")?,
            None => write!(f, "from here (uid {} gid {} mark {:#x}): ", self.uid, self.gid, self.mark)?,
        }
        let src = self.src.map_or_else(|| "*".into(), |s| s.to_string());
        match self.proto {
            proto::TCP => write!(f, "tcp {src} {} -> {} {}", self.sport, self.dst, self.dport)?,
            proto::UDP => write!(f, "udp {src} {} -> {} {}", self.sport, self.dst, self.dport)?,
            n => write!(f, "proto {n} {src} -> {} type {} code {}", self.dst, self.dport >> 8, self.dport & 255)?,
        }
        write!(f, " tos {:#x} ttl {} payload {}", self.tos, self.ttl, self.payload)?;
        if self.iif.is_some() { write!(f, " mac {:02x?}", self.mac) } else { Ok(()) }
    }
}
