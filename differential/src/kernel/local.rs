//! Packets that the host itself sends.

use super::{Host, Sees, Watch, sys};
use crate::probe::{Probe, proto};
use anyhow::{Context as _, Result};
use nix::errno::Errno;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// First byte of a datagram that the host sends.
pub(crate) const MARKER: u8 = 0xd7;

impl Host {
    /// The socket is given back open: what closing it sends must not be counted.
    pub(super) fn leave(&mut self, probe: &Probe, watch: &mut Watch) -> Result<(Sees, Option<Socket>)> {
        sys::set_file_ids(probe.uid, probe.gid);
        let socket = socket(probe);
        sys::set_file_ids(0, 0);
        let socket = socket.context("a client's socket cannot be made")?;
        let to = SockAddr::from(SocketAddr::new(probe.dst, probe.dport));
        let sees = if probe.proto == proto::TCP {
            socket.set_linger(Some(std::time::Duration::ZERO))?;
            self.connect(probe, &socket, &to, watch)?
        } else {
            self.datagram(probe, &socket, &to, watch)?
        };
        Ok((sees, Some(socket)))
    }

    fn connect(&mut self, probe: &Probe, socket: &Socket, to: &SockAddr, watch: &mut Watch) -> Result<Sees> {
        if let Err(e) = socket.connect(to)
            && e.raw_os_error() != Some(libc::EINPROGRESS)
        {
            return Ok(self.told(probe).unwrap_or_else(|| errno(&e)));
        }
        watch.all.extend(self.frames()?);
        self.answer(probe, watch)?;
        // Connected, whatever became of the ACK then.
        if socket.peer_addr().is_ok() {
            return Ok(Sees::Answer);
        }
        if let Some(told) = self.told(probe) {
            return Ok(told);
        }
        Ok(match socket.take_error()? {
            Some(e) if e.raw_os_error() == Some(libc::ECONNREFUSED) => Sees::Reset,
            Some(e) if e.raw_os_error() == Some(libc::ECONNRESET) => Sees::Answer,
            Some(e) => errno(&e),
            None => Sees::Nothing,
        })
    }

    fn datagram(&mut self, probe: &Probe, socket: &Socket, to: &SockAddr, watch: &mut Watch) -> Result<Sees> {
        let mut bytes = vec![0; usize::from(probe.payload.max(1))];
        bytes[0] = MARKER;
        let sent = socket.connect(to).and_then(|()| socket.send(&bytes));
        watch.all.extend(self.frames()?);
        if let Some(here) = self.services.echo(self.proxied) {
            watch.here = Some(here);
        }
        self.answer(probe, watch)?;
        if let Some(told) = self.told(probe) {
            return Ok(told);
        }
        if let Err(e) = sent {
            return Ok(errno(&e));
        }
        let mut buffer = [0; 2048];
        Ok(match io::Read::read(&mut &*socket, &mut buffer) {
            Ok(_) => Sees::Answer,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Sees::Nothing,
            Err(e) => errno(&e),
        })
    }

    /// The ICMP error that came back to the host.
    fn told(&self, probe: &Probe) -> Option<Sees> {
        let (icmp, code) = self.services.error(probe)?;
        Some(Sees::Icmp { v6: probe.v6(), icmp, code })
    }
}

fn socket(probe: &Probe) -> Result<Socket> {
    let v6 = probe.v6();
    let kind = if probe.proto == proto::TCP { Type::STREAM } else { Type::DGRAM };
    let socket = Socket::new(if v6 { Domain::IPV6 } else { Domain::IPV4 }, kind, None)?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_mark(probe.mark)?;
    if v6 {
        socket.set_tclass_v6(probe.tos.into())?;
    } else {
        socket.set_tos_v4(probe.tos.into())?;
    }
    let any: IpAddr = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    socket.bind(&SocketAddr::new(probe.src.unwrap_or(any), probe.sport).into())?;
    Ok(socket)
}

fn errno(error: &io::Error) -> Sees {
    let name = error.raw_os_error().map_or_else(|| error.to_string(), |n| format!("{:?}", Errno::from_raw(n)));
    Sees::Errno { name }
}
