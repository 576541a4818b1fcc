//! What listens on the host under test.

use super::Arrived;
use crate::probe::Probe;
use crate::world::{TCP_OPEN, UDP_OPEN};
use anyhow::{Context as _, Result};
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

/// Answers are short: the judge takes those that it knows nothing of to be less than 128 bytes.
pub(crate) const LONGEST: usize = 56;

/// A listener's SYN-ACK says by its MSS which one it is.
const FIRST_MSS: u16 = 500;

/// The port that a SYN-ACK with this MSS comes from.
pub(crate) fn port_of(mss: Option<u16>) -> Option<u16> {
    TCP_OPEN.get(usize::from(mss?.checked_sub(FIRST_MSS)?)).copied()
}

#[derive(Debug)]
pub(crate) struct Services {
    tcp: Vec<Socket>,
    /// When the listeners began.
    since: Instant,
    udp: Vec<(Socket, u16)>,
    icmp: [Socket; 2],
}

fn wildcard(v6: bool, port: u16) -> SockAddr {
    let any: IpAddr = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    SocketAddr::new(any, port).into()
}

fn socket(v6: bool, kind: Type) -> Result<Socket> {
    let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, kind, None)?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    // TPROXY gives a packet to transparent sockets only.
    if v6 {
        socket.set_only_v6(true)?;
        super::sys::set_option(&socket.try_clone()?.into(), libc::SOL_IPV6, libc::IPV6_TRANSPARENT, 1)?;
    } else {
        socket.set_ip_transparent_v4(true)?;
    }
    Ok(socket)
}

impl Services {
    pub(crate) fn start() -> Result<Self> {
        let mut udp = Vec::new();
        for v6 in [false, true] {
            for port in UDP_OPEN {
                let socket = socket(v6, Type::DGRAM)?;
                if v6 {
                    setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
                } else {
                    setsockopt(&socket, Ipv4PacketInfo, &true)?;
                }
                socket.bind(&wildcard(v6, *port))?;
                udp.push((socket, *port));
            }
        }
        let icmp = |domain, protocol| -> Result<Socket> {
            let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let icmp = [icmp(Domain::IPV4, Protocol::ICMPV4)?, icmp(Domain::IPV6, Protocol::ICMPV6)?];
        let mut services = Self { tcp: Vec::new(), since: Instant::now(), udp, icmp };
        services.listen_anew()?;
        Ok(services)
    }

    /// Closes the TCP listeners and opens them again: with them go the connections that were asked for and never
    /// finished, whose SYN-ACKs would be sent again, in the midst of a later probe.
    pub(crate) fn listen_anew(&mut self) -> Result<()> {
        self.tcp.clear();
        for v6 in [false, true] {
            for (n, port) in TCP_OPEN.iter().enumerate() {
                let socket = socket(v6, Type::STREAM)?;
                socket.set_tcp_mss(u32::from(FIRST_MSS) + n as u32)?;
                // A process that is being started by another thread holds the closed listener until it runs its program.
                let deadline = Instant::now() + Duration::from_secs(5);
                while let Err(e) = socket.bind(&wildcard(v6, *port)).and_then(|()| socket.listen(1024)) {
                    anyhow::ensure!(Instant::now() < deadline, "port {port} cannot be listened on: {e}");
                    std::thread::yield_now();
                }
                self.tcp.push(socket);
            }
        }
        self.since = Instant::now();
        Ok(())
    }

    /// Forgets what is left over from an earlier probe.
    pub(crate) fn drain(&mut self) -> Result<()> {
        // A SYN-ACK is sent again after one second.
        if self.since.elapsed() > Duration::from_millis(500) {
            self.listen_anew()?;
        }
        for socket in &self.tcp {
            // Reset, not closed in order: a FIN that a rule drops would be sent again, in the midst of a later probe.
            while let Ok((connection, _)) = socket.accept() {
                connection.set_linger(Some(Duration::ZERO))?;
            }
        }
        let mut buffer = [std::mem::MaybeUninit::uninit(); 64];
        for socket in self.udp.iter().map(|(s, _)| s).chain(&self.icmp) {
            // A socket error that is waiting (EHOSTUNREACH for an earlier answer) is taken off, too.
            while !matches!(socket.recv(&mut buffer), Err(e) if e.kind() == std::io::ErrorKind::WouldBlock) {}
        }
        Ok(())
    }

    /// Sends a datagram that arrived back to its sender; what arrived. `proxied`: it may have been for another port than
    /// that of the socket that got it.
    pub(crate) fn echo(&self, proxied: bool) -> Option<Arrived> {
        self.udp.iter().find_map(|(socket, port)| echo(socket, Some(*port).filter(|_| !proxied)).ok().flatten())
    }

    /// The ICMP error for this packet that the host got: what its own programs are told.
    pub(crate) fn error(&self, probe: &Probe) -> Option<(u8, u8)> {
        let v6 = probe.v6();
        let mut found = None;
        let mut buffer = [0; 256];
        let mut socket = &self.icmp[usize::from(v6)];
        while let Ok(n) = std::io::Read::read(&mut socket, &mut buffer) {
            // IPv4 raw sockets give the IP header, too.
            let at = if v6 { 0 } else { usize::from(buffer[0] & 15) * 4 };
            // Behind its own 8 bytes: the beginning of the packet that it is about, whose ports follow its IP header.
            let inner = at + 8;
            let ports = inner + if v6 { 40 } else { usize::from(buffer[inner.min(255)] & 15) * 4 };
            if n < ports + 4 {
                continue;
            }
            let (kind, code) = (buffer[at], buffer[at + 1]);
            let is_error = if v6 { kind < 128 } else { matches!(kind, 3 | 11 | 12) };
            let port = |at: usize| u16::from_be_bytes([buffer[at], buffer[at + 1]]);
            // Not for its answer, which has them the other way round.
            let own = port(ports) == probe.sport && port(ports + 2) == probe.dport;
            if is_error && own && found.is_none() {
                found = Some((kind, code));
            }
        }
        found
    }
}

fn echo(socket: &Socket, dport: Option<u16>) -> Result<Option<Arrived>> {
    let fd = socket.as_raw_fd();
    let mut bytes = [0; 2048];
    let mut space = nix::cmsg_space!(libc::in6_pktinfo, libc::in_pktinfo);
    let (n, peer, destination) = {
        let mut buffers = [IoSliceMut::new(&mut bytes)];
        let Ok(got) = recvmsg::<SockaddrStorage>(fd, &mut buffers, Some(&mut space), MsgFlags::MSG_DONTWAIT) else {
            return Ok(None);
        };
        let mut destination: Option<IpAddr> = None;
        for message in got.cmsgs()? {
            match message {
                ControlMessageOwned::Ipv4PacketInfo(i) => {
                    destination = Some(Ipv4Addr::from(u32::from_be(i.ipi_addr.s_addr)).into());
                }
                ControlMessageOwned::Ipv6PacketInfo(i) => {
                    destination = Some(Ipv6Addr::from(i.ipi6_addr.s6_addr).into());
                }
                _ => {}
            }
        }
        (got.bytes, got.address.context("no sender")?, destination)
    };
    let buffers = [IoSlice::new(&bytes[..n.min(LONGEST)])];
    let sender: Option<SocketAddr> = peer
        .as_sockaddr_in()
        .map(|a| SocketAddr::new(a.ip().into(), a.port()))
        .or_else(|| peer.as_sockaddr_in6().map(|a| SocketAddr::new(a.ip().into(), a.port())));
    // Refused by a rule (EPERM) or without a route: the sender sees nothing then.
    let _ = match destination {
        Some(IpAddr::V4(a)) => {
            let source = libc::in_addr { s_addr: u32::from(a).to_be() };
            let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: libc::in_addr { s_addr: 0 } };
            sendmsg(fd, &buffers, &[ControlMessage::Ipv4PacketInfo(&info)], MsgFlags::empty(), Some(&peer))
        }
        Some(IpAddr::V6(a)) => {
            let info = libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: a.octets() }, ipi6_ifindex: 0 };
            sendmsg(fd, &buffers, &[ControlMessage::Ipv6PacketInfo(&info)], MsgFlags::empty(), Some(&peer))
        }
        None => sendmsg(fd, &buffers, &[], MsgFlags::empty(), Some(&peer)),
    };
    Ok(Some(Arrived::Here { src: sender.map(|s| s.ip()), sport: sender.map(|s| s.port()), dst: destination, dport }))
}
