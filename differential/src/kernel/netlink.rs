//! Just enough nfnetlink for counters and for forgetting connections.

use super::sys;
use anyhow::{Result, bail, ensure};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

/// A netlink socket of the netfilter family.
#[derive(Debug)]
pub(crate) struct Netlink {
    fd: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
}

impl Netlink {
    pub(crate) fn open() -> Result<Self> {
        let fd = sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER)?;
        // Netlink answers within the call that asks, but a dump goes on with the reads.
        Ok(Self { fd, buffer: vec![0; 1 << 16], sequence: 0 })
    }

    fn send(&mut self, kind: u16, flags: i32, family: u8, body: &[u8]) -> Result<()> {
        self.sequence += 1;
        let mut message = Vec::new();
        message.extend((20 + body.len() as u32).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend((flags as u16 | libc::NLM_F_REQUEST as u16).to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend([0; 4]);
        message.extend([family, 0, 0, 0]);
        message.extend(body);
        // SAFETY: the pointer is to that many bytes.
        let sent = unsafe { libc::send(self.fd.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) };
        ensure!(sent == message.len() as isize, "netlink: {}", io::Error::last_os_error());
        Ok(())
    }

    fn receive(&mut self) -> Result<usize> {
        // SAFETY: the pointer is to that many writable bytes.
        let got = unsafe { libc::recv(self.fd.as_raw_fd(), self.buffer.as_mut_ptr().cast(), self.buffer.len(), 0) };
        ensure!(got >= 0, "netlink: {}", io::Error::last_os_error());
        Ok(got as usize)
    }

    /// Asks for all objects of a kind; `each` gets the family and the attributes of each.
    pub(crate) fn dump(&mut self, kind: u16, family: u8, body: &[u8], mut each: impl FnMut(u8, &[u8])) -> Result<()> {
        self.send(kind, libc::NLM_F_DUMP, family, body)?;
        loop {
            let got = self.receive()?;
            for (kind, body) in messages(&self.buffer[..got]) {
                match i32::from(kind) {
                    libc::NLMSG_DONE => return Ok(()),
                    libc::NLMSG_ERROR => bail!("netlink refuses the dump: {}", error(body)),
                    _ if body.len() >= 4 => each(body[0], &body[4..]),
                    _ => {}
                }
            }
        }
    }

    /// Forgets all connections of the namespace (`IPCTNL_MSG_CT_DELETE` without a tuple).
    pub(crate) fn forget_connections(&mut self) -> Result<()> {
        self.send(1 << 8 | 2, libc::NLM_F_ACK, 0, &[])?;
        let got = self.receive()?;
        for (kind, body) in messages(&self.buffer[..got]) {
            if i32::from(kind) == libc::NLMSG_ERROR {
                let e = error(body);
                ensure!(e.raw_os_error() == Some(0), "connections are not forgotten: {e}");
            }
        }
        Ok(())
    }
}

fn error(body: &[u8]) -> io::Error {
    let number = body.get(..4).and_then(|b| b.try_into().ok()).map_or(0, i32::from_ne_bytes);
    io::Error::from_raw_os_error(-number)
}

fn messages(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut all = Vec::new();
    while bytes.len() >= 16 {
        let length = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
        let Some(body) = bytes.get(16..length) else { break };
        all.push((u16::from_ne_bytes([bytes[4], bytes[5]]), body));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    all
}

/// Attributes in a message's body, each with its type.
pub(crate) fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut all = Vec::new();
    while bytes.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        let Some(body) = bytes.get(4..length) else { break };
        // The two highest bits say "nested" and "network byte order".
        all.push((u16::from_ne_bytes([bytes[2], bytes[3]]) & 0x3fff, body));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    all
}

/// The attribute of this type.
pub(crate) fn nested(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).into_iter().find(|(k, _)| *k == kind).map(|(_, body)| body)
}
