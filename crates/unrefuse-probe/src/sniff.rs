//! The packet socket that sees the answers themselves: TTL, TOS, flow label, interface.

use crate::filter;
use crate::packet;
use crate::sys::{answering, uninterrupted};
use nix::sys::socket::{AddressFamily, LinkAddr, SockFlag, SockType, recvfrom, socket};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Instant;

/// Packets taken per wake-up; more stay in the socket's buffer for the next one.
const MAX_PACKETS: usize = 256;

/// What a packet seen on the way in says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeenKind {
    /// A TCP segment with RST.
    Rst,
    /// A TCP segment with SYN and ACK.
    SynAck,
    /// An ICMP or ICMPv6 error: type and code.
    Icmp(u8, u8),
}

/// An answer on its way in, before this machine's own packet filter has seen it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) kind: SeenKind,
    /// Who sent it.
    pub(crate) from: IpAddr,
    /// The far end of the connection it belongs to (of an ICMP error: of the quoted packet).
    pub(crate) remote: SocketAddr,
    /// Our end.
    pub(crate) local: SocketAddr,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    pub(crate) flow_label: Option<u32>,
    pub(crate) interface: u32,
}

/// A packet socket with a filter for the answers of some addresses.
#[derive(Debug)]
pub(crate) struct Sniffer {
    fd: Option<OwnedFd>,
}

impl Sniffer {
    /// Opens one, where the user may (`CAP_NET_RAW`, packet(7)) and the kernel has packet sockets already.
    ///
    /// Asking for a protocol family that is not there makes the kernel load its module (`__sock_create`), and a
    /// diagnosis loads nothing: /proc/net/packet is there exactly when the family is.
    pub(crate) fn open(targets: &[SocketAddr]) -> Option<Self> {
        std::fs::metadata("/proc/net/packet").ok()?;
        // Protocol 0 receives nothing until bind(2): no packet gets in ahead of the filter.
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Packet, SockType::Datagram, flags, None).ok()?;
        let addresses: Vec<IpAddr> = targets.iter().map(|target| answering(target.ip())).collect();
        let ports: Vec<u16> = targets.iter().map(SocketAddr::port).collect();
        attach(&fd, &filter::program(&addresses, &ports))?;
        bind_to_everything(&fd)?;
        Some(Self { fd: Some(fd) })
    }

    /// The socket, readable when an answer came.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// Hands over what came since the last call. The kernel gives a packet to packet sockets before it gives it to the
    /// protocol (`__netif_receive_skb_core`), so once a TCP socket shows a result its answer is in here.
    pub(crate) fn drain(&self, mut each: impl FnMut(Seen)) {
        let Some(fd) = &self.fd else { return };
        let mut buffer = [0_u8; 640];
        for _ in 0..MAX_PACKETS {
            let received = uninterrupted(|| recvfrom::<LinkAddr>(fd.as_raw_fd(), &mut buffer));
            let Ok((length, from)) = received else { return };
            let interface = from.map_or(0, |link| u32::try_from(link.ifindex()).unwrap_or(0));
            let bytes = buffer.get(..length).unwrap_or_default();
            if let Some(seen) = read(bytes, interface) {
                each(seen);
            }
        }
    }
}

impl Drop for Sniffer {
    /// Closing a packet socket waits for an RCU grace period (`packet_release` calls `synchronize_net`): 8 to 16 ms
    /// were measured. Nobody needs to stand by.
    fn drop(&mut self) {
        if let Some(fd) = self.fd.take() {
            let closing = std::thread::Builder::new().name("close".to_owned()).stack_size(64 << 10);
            // Without a thread the closure is dropped here, and the socket with it.
            let _ = closing.spawn(move || drop(fd));
        }
    }
}

/// The name of an interface, as text.
pub(crate) fn interface_name(index: u32) -> Option<String> {
    let name = nix::net::if_::if_indextoname(index).ok()?;
    Some(unrefuse_facts::text::from_bytes(name.as_bytes()))
}

fn attach(fd: &OwnedFd, program: &[libc::sock_filter]) -> Option<()> {
    let program = libc::sock_fprog { len: u16::try_from(program.len()).ok()?, filter: program.as_ptr().cast_mut() };
    // SAFETY: `program` points to `len` instructions that live until the call returns; the kernel copies them
    // (sk_attach_filter) and writes to neither. `fd` is an open socket.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    (result == 0).then_some(())
}

/// All protocols on all interfaces.
fn bind_to_everything(fd: &OwnedFd) -> Option<()> {
    // SAFETY: sockaddr_ll is plain integers and an array of them, for which all zeroes is a valid value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: the address is a complete sockaddr_ll of the length given, and `fd` is an open packet socket.
    let result = unsafe {
        libc::bind(fd.as_raw_fd(), (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as libc::socklen_t)
    };
    (result == 0).then_some(())
}

/// The packet as an answer, if it is one.
fn read(bytes: &[u8], interface: u32) -> Option<Seen> {
    let at = Instant::now();
    if let Some(tcp) = packet::tcp(bytes) {
        let kind = match tcp.flags {
            flags if flags & 0x04 != 0 => SeenKind::Rst,
            flags if flags & 0x12 == 0x12 => SeenKind::SynAck,
            _ => return None,
        };
        return Some(Seen {
            at,
            kind,
            from: tcp.src.ip(),
            remote: tcp.src,
            local: tcp.dst,
            ttl: tcp.ttl,
            tos: tcp.tos,
            flow_label: tcp.flow_label,
            interface,
        });
    }
    let icmp = packet::icmp_error(bytes)?;
    Some(Seen {
        at,
        kind: SeenKind::Icmp(icmp.icmp_type, icmp.icmp_code),
        from: icmp.from,
        remote: icmp.quoted_dst,
        local: icmp.quoted_src,
        ttl: icmp.ttl,
        tos: icmp.tos,
        flow_label: icmp.flow_label,
        interface,
    })
}
