//! The socket's error queue: which ICMP error came, and who sent it.

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use unrefuse_facts::Errno;

/// Entries looked at in one go. The kernel bounds the queue by the receive buffer; one is enough for a connect.
const MAX_ENTRIES: usize = 16;

/// One entry of the error queue (`struct sock_extended_err`, ip(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueuedError {
    /// `ee_errno`: the error number that the kernel maps the ICMP error to.
    pub(crate) errno: Errno,
    /// ICMP or ICMPv6 type and code; `None` for an error of this machine's own (`SO_EE_ORIGIN_LOCAL`).
    pub(crate) icmp: Option<(u8, u8)>,
    /// `SO_EE_OFFENDER`: the source address of the ICMP packet.
    pub(crate) offender: Option<IpAddr>,
}

/// Empties the error queue and returns its first error that ends an attempt.
///
/// "Packet too big" (`EMSGSIZE`) does not: the kernel lowers its path MTU and tries again.
pub(crate) fn first(fd: &impl AsRawFd) -> Option<QueuedError> {
    let mut found = None;
    for _ in 0..MAX_ENTRIES {
        match one(fd) {
            Ok(Some(entry)) if entry.errno != Errno::EMSGSIZE && entry.errno != Errno(0) => {
                found = found.or(Some(entry));
            }
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(_) => break,
        }
    }
    found
}

fn one(fd: &impl AsRawFd) -> nix::Result<Option<QueuedError>> {
    // The payload is the packet of ours that the error quotes; it is not needed.
    let mut payload = [0_u8; 64];
    let mut slices = [IoSliceMut::new(&mut payload)];
    let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
    let message = recvmsg::<()>(
        fd.as_raw_fd(),
        &mut slices,
        Some(&mut control),
        MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT,
    )?;
    let Ok(controls) = message.cmsgs() else { return Ok(None) };
    for control in controls {
        let (error, offender) = match control {
            ControlMessageOwned::Ipv4RecvErr(error, offender) => {
                (error, offender.map(|a| IpAddr::V4(Ipv4Addr::from(u32::from_be(a.sin_addr.s_addr)))))
            }
            ControlMessageOwned::Ipv6RecvErr(error, offender) => {
                (error, offender.map(|a| IpAddr::V6(Ipv6Addr::from(a.sin6_addr.s6_addr))))
            }
            _ => continue,
        };
        let is_icmp = matches!(error.ee_origin, libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6);
        return Ok(Some(QueuedError {
            errno: Errno(error.ee_errno as i32),
            icmp: is_icmp.then_some((error.ee_type, error.ee_code)),
            offender: offender.filter(|ip| is_icmp && !ip.is_unspecified()),
        }));
    }
    Ok(None)
}
