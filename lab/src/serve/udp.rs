//! A UDP socket.

use super::{bound, ready, set_command_name};
use anyhow::Result;
use std::net::{SocketAddr, UdpSocket};

/// A UDP socket that sends each datagram back.
#[derive(Debug, clap::Args)]
pub(crate) struct Udp {
    /// Address with port.
    address: SocketAddr,
    /// IPV6_V6ONLY.
    #[arg(long)]
    v6only: bool,
    /// SO_BINDTODEVICE.
    #[arg(long)]
    device: Option<String>,
    /// What /proc/PID/comm shows.
    #[arg(long)]
    comm: Option<String>,
    /// Take datagrams and never answer.
    #[arg(long)]
    silent: bool,
}

/// Answers until it is killed.
pub(crate) fn serve(arguments: &Udp) -> Result<()> {
    if let Some(name) = &arguments.comm {
        set_command_name(name)?;
    }
    let socket = bound(arguments.address, socket2::Type::DGRAM, arguments.v6only, arguments.device.as_deref())?;
    let socket = UdpSocket::from(socket);
    ready()?;
    let mut datagram = [0_u8; 2048];
    loop {
        let (length, peer) = socket.recv_from(&mut datagram)?;
        if !arguments.silent {
            // A reply that can't be sent is the peer's loss; the daemon lives on.
            let _ = socket.send_to(&datagram[..length.max(1)], peer);
        }
    }
}
