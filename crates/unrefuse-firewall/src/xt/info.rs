//! The bytes of a module's struct, read by offset. A struct that is too short reads as `None`, never as zeros.

use crate::model::Family;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A struct as the kernel holds it: numbers in the machine's order, unless said otherwise.
#[derive(Debug, Clone, Copy)]
pub(super) struct Info<'a>(pub(super) &'a [u8]);

impl<'a> Info<'a> {
    pub(super) fn bytes(&self, at: usize, len: usize) -> Option<&'a [u8]> {
        self.0.get(at..at.checked_add(len)?)
    }
    pub(super) fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes(at, N)?.try_into().ok()
    }
    pub(super) fn u8(&self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }
    pub(super) fn u16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_ne_bytes)
    }
    pub(super) fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_ne_bytes)
    }
    pub(super) fn u64(&self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_ne_bytes)
    }
    pub(super) fn be16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_be_bytes)
    }
    pub(super) fn be32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_be_bytes)
    }
    /// A field of characters up to its NUL.
    pub(super) fn text(&self, at: usize, len: usize) -> Option<String> {
        let bytes = self.bytes(at, len)?;
        let end = bytes.iter().position(|&b| b == 0).unwrap_or(len);
        Some(unrefuse_facts::text::from_bytes(&bytes[..end]))
    }
    /// `union nf_inet_addr`, or its first four bytes.
    pub(super) fn address(&self, at: usize, family: Family) -> Option<IpAddr> {
        Some(match family {
            Family::Ip6 => Ipv6Addr::from(self.array::<16>(at)?).into(),
            _ => Ipv4Addr::from(self.array::<4>(at)?).into(),
        })
    }
}

/// `a`, or `a:b`.
pub(super) fn range<T: PartialEq + std::fmt::Display>(from: T, to: T) -> String {
    if from == to { from.to_string() } else { format!("{from}:{to}") }
}
