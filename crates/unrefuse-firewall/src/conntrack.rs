//! The connection as conntrack sees it while its first packet, or the answer to that, is on its way.

use std::net::IpAddr;

use crate::bits::Bits;
use crate::model::{Direction, TuplePart};

/// `NF_CT_STATE_*` bits (linux/netfilter/nf_conntrack_common.h, nf_tables.h).
pub mod state {
    /// Not to be told to any connection; also what a packet without a connection looks like.
    pub const INVALID: u32 = 1;
    /// Part of a connection that both sides have spoken on.
    pub const ESTABLISHED: u32 = 2;
    /// An error of a connection, or one that a helper expects.
    pub const RELATED: u32 = 4;
    /// First packet.
    pub const NEW: u32 = 8;
    /// Taken out of connection tracking.
    pub const UNTRACKED: u32 = 64;
}

/// `IPS_*` bits of a connection's status.
pub mod status {
    /// An answer was seen.
    pub const SEEN_REPLY: u32 = 1 << 1;
    /// In the table.
    pub const CONFIRMED: u32 = 1 << 3;
    /// The source is translated.
    pub const SRC_NAT: u32 = 1 << 4;
    /// The destination is translated.
    pub const DST_NAT: u32 = 1 << 5;
    /// Whether the source is to be translated is settled.
    pub const SRC_NAT_DONE: u32 = 1 << 7;
    /// Whether the destination is to be translated is settled.
    pub const DST_NAT_DONE: u32 = 1 << 8;
}

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Source address.
    pub src: Bits,
    /// Destination address.
    pub dst: Bits,
    /// Source port, or ICMP id.
    pub sport: Bits,
    /// Destination port, or ICMP type and code.
    pub dport: Bits,
}

impl Tuple {
    /// The other way round.
    pub const fn inverted(self) -> Self {
        Self { src: self.dst, dst: self.src, sport: self.dport, dport: self.sport }
    }

    /// A part of it.
    pub const fn part(&self, part: TuplePart) -> Bits {
        match part {
            TuplePart::Source => self.src,
            TuplePart::Destination => self.dst,
            TuplePart::SourcePort => self.sport,
            TuplePart::DestinationPort => self.dport,
        }
    }
}

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Conntrack {
    /// One bit of [`state`].
    pub state: u32,
    /// The direction of this packet.
    pub direction: Direction,
    /// Bits of [`status`].
    pub status: u32,
    /// Protocol: of an ICMP error's connection, that connection's.
    pub proto: u8,
    /// Mark.
    pub mark: Bits,
    /// As it began.
    pub original: Tuple,
    /// As answers arrive: the inverse of the original, translated.
    pub reply: Tuple,
}

impl Conntrack {
    /// A connection whose first packet this is.
    pub const fn new(tuple: Tuple, proto: u8) -> Self {
        Self {
            proto,
            state: state::NEW,
            direction: Direction::Original,
            status: 0,
            mark: Bits::known(0, 32),
            original: tuple,
            reply: tuple.inverted(),
        }
    }

    /// The same connection, seen with the packet that answers (`state` is ESTABLISHED, or RELATED for an error).
    #[must_use]
    pub const fn answered(mut self, state: u32) -> Self {
        self.state = state;
        self.direction = match self.direction {
            Direction::Original => Direction::Reply,
            Direction::Reply => Direction::Original,
        };
        // An error of netfilter's own belongs to a connection that is not in the table yet, and whose translation may not be
        // settled.
        if state == self::state::ESTABLISHED {
            self.status |= status::SEEN_REPLY | status::CONFIRMED | status::SRC_NAT_DONE | status::DST_NAT_DONE;
        }
        self
    }
}

/// An address as a number.
pub fn address_bits(address: IpAddr) -> Bits {
    match address {
        IpAddr::V4(a) => Bits::known(a.to_bits().into(), 32),
        IpAddr::V6(a) => Bits::known(a.to_bits(), 128),
    }
}

/// A number as an address, where it is known.
pub fn bits_address(bits: Bits) -> Option<IpAddr> {
    let value = bits.exact()?;
    if bits.width == crate::bits::ones(32) {
        Some(IpAddr::V4(u32::try_from(value).ok()?.into()))
    } else {
        Some(IpAddr::V6(value.into()))
    }
}
