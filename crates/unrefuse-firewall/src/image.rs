//! The bytes of a packet's headers, as far as they are known.

use crate::bits::Bits;
use crate::model::Header;

const LINK: usize = 0;
const LINK_LEN: usize = 14;
const NETWORK: usize = 16;
const TRANSPORT: usize = 56;
const SIZE: usize = 120;

/// Link, network and transport header: bytes, and which of their bits are known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Image {
    bytes: [u8; SIZE],
    known: [u8; SIZE],
    /// Bytes of the link header; 0 where there is none (a packet made here).
    link: u8,
    network: u8,
    transport: u8,
    /// What follows the transport header is known to be nothing.
    empty: bool,
}

impl Image {
    /// An image of headers with these lengths in bytes, nothing known. `empty`: no payload follows.
    pub fn new(network: u8, transport: u8, empty: bool) -> Self {
        let transport = transport.min((SIZE - TRANSPORT) as u8);
        Self { bytes: [0; SIZE], known: [0; SIZE], link: 0, network: network.min(40), transport, empty }
    }

    /// Whether there is a link header.
    pub const fn has_link(&self) -> bool {
        self.link != 0
    }

    /// Gives it an Ethernet header of which nothing is known, or takes it away.
    pub fn set_link(&mut self, present: bool) {
        self.link = if present { LINK_LEN as u8 } else { 0 };
        self.known[LINK..LINK + LINK_LEN].fill(0);
        self.bytes[LINK..LINK + LINK_LEN].fill(0);
    }

    /// Writes known bytes.
    pub fn put(&mut self, base: Header, offset: usize, bytes: &[u8]) {
        for (i, byte) in bytes.iter().enumerate() {
            if let Some(at) = self.position(base, offset + i) {
                self.bytes[at] = *byte;
                self.known[at] = 0xff;
            }
        }
    }

    /// Writes `bits.width` bits; those that are not known become unknown.
    pub fn store(&mut self, base: Header, offset: u16, len: u16, bits: Bits) {
        if len <= 128
            && let Some((from, to)) = self.whole_bytes(base, offset, len)
        {
            let value = bits.value & bits.known;
            for (from_right, at) in (from..to).rev().enumerate() {
                self.bytes[at] = (value >> (8 * from_right)) as u8;
                self.known[at] = (bits.known >> (8 * from_right)) as u8;
            }
            return;
        }
        for i in 0..len.min(128) {
            let from_right = u32::from(len.min(128) - 1 - i);
            let Some(at) = self.position(base, usize::from(offset + i) / 8) else { continue };
            let bit = 0x80u8 >> ((offset + i) % 8);
            let value = bits.value >> from_right & 1 != 0;
            let known = bits.known >> from_right & 1 != 0;
            self.bytes[at] = if value && known { self.bytes[at] | bit } else { self.bytes[at] & !bit };
            self.known[at] = if known { self.known[at] | bit } else { self.known[at] & !bit };
        }
    }

    /// Reads `len` bits (at most 128) from bit `offset` on. `Err(true)`: beyond the packet's end, the load fails;
    /// `Err(false)`: whether the packet reaches so far is not known.
    pub fn load(&self, base: Header, offset: u16, len: u16) -> Result<Bits, bool> {
        if len == 0 || len > 128 {
            return Err(true);
        }
        let width = u32::from(len);
        // Nearly every load.
        if let Some((from, to)) = self.whole_bytes(base, offset, len) {
            let fold = |bytes: &[u8]| bytes.iter().fold(0u128, |n, b| n << 8 | u128::from(*b));
            let known = fold(&self.known[from..to]);
            return Ok(Bits { value: fold(&self.bytes[from..to]) & known, known, width: crate::bits::ones(width) });
        }
        let (first, last) = (usize::from(offset) / 8, usize::from(offset + len - 1) / 8);
        let (mut value, mut known) = (0u128, 0u128);
        // At most 17 bytes, of which the first and last may be cut.
        for index in first..=last {
            let (byte, mask) = match self.position(base, index) {
                Some(at) => (self.bytes[at], self.known[at]),
                None => return Err(self.ends_before(base, index)),
            };
            let low = (index * 8) as i32 - i32::from(offset);
            // Bits of this byte that belong to the field: move them to their place from the right.
            let shift = i32::from(len) - low - 8;
            if shift >= 0 {
                value |= u128::from(byte) << shift;
                known |= u128::from(mask) << shift;
            } else {
                value |= u128::from(byte) >> -shift;
                known |= u128::from(mask) >> -shift;
            }
        }
        Ok(Bits::partly(value, known, width))
    }

    fn ends_before(&self, base: Header, index: usize) -> bool {
        match base {
            Header::Link => self.link == 0 || index < LINK_LEN || self.ends_before(Header::Network, index - LINK_LEN),
            Header::Network => {
                let network = usize::from(self.network);
                self.empty && index >= network && self.ends_before(Header::Transport, index - network)
            }
            // TCP options are there or not: the header's length is not known, its end at 60 bytes is.
            Header::Transport => self.empty && index >= usize::from(self.transport),
            Header::Inner => self.empty,
        }
    }

    /// Where a field of whole bytes of one header lies.
    fn whole_bytes(&self, base: Header, offset: u16, len: u16) -> Option<(usize, usize)> {
        let (start, end) = self.section(base)?;
        let (from, to) = (start + usize::from(offset / 8), start + (usize::from(offset) + usize::from(len)) / 8);
        (offset.is_multiple_of(8) && len.is_multiple_of(8) && to <= end).then_some((from, to))
    }

    /// Where a header lies, and where it ends.
    const fn section(&self, base: Header) -> Option<(usize, usize)> {
        match base {
            Header::Link => Some((LINK, LINK + self.link as usize)),
            Header::Network => Some((NETWORK, NETWORK + self.network as usize)),
            Header::Transport => Some((TRANSPORT, TRANSPORT + self.transport as usize)),
            Header::Inner => None,
        }
    }

    fn position(&self, base: Header, index: usize) -> Option<usize> {
        match base {
            Header::Link if self.link == 0 => None,
            Header::Link if index < LINK_LEN => Some(LINK + index),
            Header::Link => self.position(Header::Network, index - LINK_LEN),
            Header::Network if index < usize::from(self.network) => Some(NETWORK + index),
            Header::Network => self.position(Header::Transport, index - usize::from(self.network)),
            Header::Transport if index < usize::from(self.transport) => Some(TRANSPORT + index),
            Header::Transport | Header::Inner => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_bits_are_loaded() {
        let mut image = Image::new(20, 8, true);
        image.store(Header::Network, 4, 12, Bits::known(0xabc, 12));
        assert_eq!(image.load(Header::Network, 4, 12), Ok(Bits::known(0xabc, 12)));
        assert_eq!(image.load(Header::Network, 0, 16), Ok(Bits::partly(0x0abc, 0x0fff, 16)));
        image.store(Header::Network, 16, 16, Bits::partly(0x1234, 0xff0f, 16));
        assert_eq!(image.load(Header::Network, 8, 32), Ok(Bits::partly(0xbc12_0400, 0xffff_0f00, 32)));
        image.put(Header::Transport, 0, &[1, 2, 3, 4]);
        assert_eq!(image.load(Header::Network, 160, 32), Ok(Bits::known(0x0102_0304, 32)));
        assert_eq!(image.load(Header::Transport, 12, 8), Ok(Bits::known(0x20, 8)));
    }

    #[test]
    fn loads_beyond_the_end_fail() {
        let image = Image::new(20, 8, true);
        assert_eq!(image.load(Header::Transport, 56, 16), Err(true));
        assert_eq!(image.load(Header::Inner, 0, 8), Err(true));
        assert_eq!(image.load(Header::Link, 0, 8), Err(true));
        assert_eq!(Image::new(20, 8, false).load(Header::Inner, 0, 8), Err(false));
        assert_eq!(image.load(Header::Network, 0, 0), Err(true));
    }
}
