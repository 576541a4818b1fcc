//! A netlink socket (netlink(7)): requests, dumps, attributes.
//!
//! Own code of a page, not a crate: of inet_diag, rtnetlink and unix_diag unrefuse reads a few fixed fields each, a
//! hundred thousand times in the worst case. The netlink-packet crates build a vector of parsed attributes for every
//! message and refuse a whole message when a newer kernel made one attribute longer; here such an attribute is skipped.

use rustix::buffer::spare_capacity;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};
use std::time::Duration;

const HEADER: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;

/// The kernel answers from its own tables; when it has not within this time, something is broken.
const PATIENCE: Duration = Duration::from_secs(5);

/// The kernel fills at most 32 KiB for one read of a dump (`netlink_dump`, net/netlink/af_netlink.c).
const BUFFER: usize = 64 * 1024;

/// How often a dump is started again when the table changed under it (`NLM_F_DUMP_INTR`).
const TRIES: u32 = 3;

/// A netlink socket that talks to the kernel only.
pub(crate) struct Netlink {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// Socket for inet_diag and unix_diag (sock_diag(7)).
    pub(crate) fn sock_diag() -> Result<Self, Errno> {
        Self::open(netlink::SOCK_DIAG)
    }

    /// Socket for rtnetlink(7).
    pub(crate) fn route() -> Result<Self, Errno> {
        // NETLINK_ROUTE is protocol 0, which socket(2) takes for "the default".
        Self::open_raw(None)
    }

    /// Socket for nfnetlink: rules, sets. Only where its modules are there: opening it may load one.
    pub(crate) fn netfilter() -> Result<Self, Errno> {
        Self::open(netlink::NETFILTER)
    }

    /// Socket for IPsec policies. Only where the module is there: opening it may load it.
    pub(crate) fn xfrm() -> Result<Self, Errno> {
        Self::open(netlink::XFRM)
    }

    fn open(protocol: Protocol) -> Result<Self, Errno> {
        Self::open_raw(Some(protocol))
    }

    fn open_raw(protocol: Option<Protocol>) -> Result<Self, Errno> {
        let fd = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        rustix::net::sockopt::set_socket_timeout(&fd, rustix::net::sockopt::Timeout::Recv, Some(PATIENCE))?;
        // Connected to the kernel (port id 0): datagrams of other processes are refused.
        rustix::net::connect(&fd, &netlink::SocketAddrNetlink::new(0, 0))?;
        Ok(Self { fd, sequence: 0, buffer: Vec::with_capacity(BUFFER) })
    }

    fn send(&mut self, kind: u16, flags: u16, body: &[u8]) -> Result<(), Errno> {
        self.sequence += 1;
        let length = u32::try_from(HEADER + body.len()).map_err(|_| Errno::MSGSIZE)?;
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend_from_slice(&length.to_ne_bytes());
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&(NLM_F_REQUEST | flags).to_ne_bytes());
        message.extend_from_slice(&self.sequence.to_ne_bytes());
        message.extend_from_slice(&0_u32.to_ne_bytes());
        message.extend_from_slice(body);
        rustix::net::send(&self.fd, &message, SendFlags::empty()).map(|_| ())
    }

    fn receive(&mut self) -> Result<usize, Errno> {
        loop {
            // Not filled with zeros first: of most buffers an answer touches one page.
            self.buffer.clear();
            match rustix::net::recv(&self.fd, spare_capacity(&mut self.buffer), RecvFlags::TRUNC) {
                Ok((_, length)) if length > self.buffer.len() => return Err(Errno::MSGSIZE),
                Ok((_, length)) => return Ok(length),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// One request with one answer: the answer's body, or the error that the kernel gave.
    pub(crate) fn ask(&mut self, kind: u16, body: &[u8]) -> Result<Vec<u8>, Errno> {
        self.send(kind, 0, body)?;
        loop {
            let length = self.receive()?;
            for message in Messages(&self.buffer[..length]) {
                if message.sequence != self.sequence {
                    continue;
                }
                return match message.kind {
                    NLMSG_ERROR | NLMSG_DONE => Err(error(message.body).unwrap_or(Errno::NODATA)),
                    _ => Ok(message.body.to_vec()),
                };
            }
        }
    }

    /// One request whose only answer is a number: 0, or an error, which may be one of the subsystem's own (above 4095).
    pub(crate) fn acknowledged(&mut self, kind: u16, body: &[u8]) -> Result<i32, Errno> {
        self.send(kind, NLM_F_ACK, body)?;
        loop {
            let length = self.receive()?;
            for message in Messages(&self.buffer[..length]) {
                if message.sequence == self.sequence && message.kind == NLMSG_ERROR {
                    let number = message.body.get(..4).and_then(|bytes| bytes.try_into().ok()).ok_or(Errno::BADMSG)?;
                    return Ok(i32::from_ne_bytes(number).wrapping_neg());
                }
            }
        }
    }

    /// A dump: `each` is called with the body of every message. `Ok(false)`: the table changed meanwhile.
    pub(crate) fn dump(&mut self, kind: u16, body: &[u8], each: impl FnMut(&[u8])) -> Result<bool, Errno> {
        Ok(self.dump_beginning(kind, body, usize::MAX, each)?.unwrap_or(false))
    }

    /// The beginning of a dump, at most so many reads of it. `Ok(None)`: there is more; the rest of it stays in the socket,
    /// which is then of no further use.
    pub(crate) fn dump_beginning(
        &mut self,
        kind: u16,
        body: &[u8],
        reads: usize,
        mut each: impl FnMut(&[u8]),
    ) -> Result<Option<bool>, Errno> {
        self.send(kind, NLM_F_DUMP, body)?;
        let mut consistent = true;
        for _ in 0..reads {
            let length = self.receive()?;
            for message in Messages(&self.buffer[..length]) {
                if message.sequence != self.sequence {
                    continue;
                }
                consistent &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.kind {
                    NLMSG_ERROR | NLMSG_DONE => return error(message.body).map_or(Ok(Some(consistent)), Err),
                    _ => each(message.body),
                }
            }
        }
        Ok(None)
    }

    /// A dump into a list, started again when the table changed meanwhile; the last try is taken as it is.
    pub(crate) fn list<T>(
        &mut self,
        kind: u16,
        body: &[u8],
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Errno> {
        let mut list = Vec::new();
        for _ in 0..TRIES {
            list.clear();
            if self.dump(kind, body, |message| list.extend(parse(message)))? {
                break;
            }
        }
        Ok(list)
    }
}

/// The error of an `NLMSG_ERROR` or `NLMSG_DONE` body; 0 and a missing number are none.
fn error(body: &[u8]) -> Option<Errno> {
    match i32::from_ne_bytes(body.get(..4)?.try_into().ok()?) {
        0 => None,
        // Subsystems have errors of their own beyond those of errno(3).
        number => Some(match number.wrapping_neg() {
            known @ 1..=4095 => Errno::from_raw_os_error(known),
            _ => Errno::PROTO,
        }),
    }
}

struct Message<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
}

struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let length = u32_at(self.0, 0)? as usize;
        let message = Message {
            kind: u16_at(self.0, 4)?,
            flags: u16_at(self.0, 6)?,
            sequence: u32_at(self.0, 8)?,
            body: self.0.get(HEADER..length)?,
        };
        self.0 = self.0.get(align(length)..).unwrap_or_default();
        Some(message)
    }
}

/// The attributes in a message after its fixed part (`struct nlattr`), with the nested and byte-order flags removed.
pub(crate) struct Attributes<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let length = usize::from(u16_at(self.0, 0)?);
        let kind = u16_at(self.0, 2)? & 0x3fff;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(align(length)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// Appends an attribute.
pub(crate) fn push_attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    // The values are addresses, names and filters of ours: a few dozen bytes.
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(value);
    message.resize(align(message.len()), 0);
}

fn align(length: usize) -> usize {
    (length + 3) & !3
}

/// The 16 bits at `offset`, in the machine's order.
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(offset..offset + 2)?.try_into().ok()?))
}

/// The 32 bits at `offset`, in the machine's order.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

/// The 64 bits at `offset`, in the machine's order.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(offset..offset + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_end_at_the_first_that_is_cut() {
        let mut bytes = Vec::new();
        push_attribute(&mut bytes, 1, b"abcde");
        push_attribute(&mut bytes, 0x8002, b"xy");
        assert_eq!(Attributes(&bytes).collect::<Vec<_>>(), [(1, &b"abcde"[..]), (2, &b"xy"[..])]);
        for cut in 0..bytes.len() {
            assert!(Attributes(&bytes[..cut]).count() <= 2);
        }
        // A length smaller than its own header must not loop for ever.
        assert_eq!(Attributes(&[0, 0, 1, 0, 0, 0, 0, 0]).count(), 0);
    }

    #[test]
    fn messages_with_a_wrong_length_end_the_list() {
        assert_eq!(Messages(&[0; 64]).count(), 0);
        assert_eq!(Messages(&[0xff; 64]).count(), 0);
    }
}
