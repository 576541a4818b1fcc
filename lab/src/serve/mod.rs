//! The lab's own test daemon, so that scenarios need no other program: listeners in every state a listener can be in.

mod conntrack;
mod dns;
mod ports;
mod tcp;
mod udp;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use std::io::Write as _;
use std::net::SocketAddr;

/// What to serve. Each writes `ready` to standard output once it stands.
#[derive(Debug, Subcommand)]
pub(crate) enum Serve {
    /// A TCP listener.
    Tcp(tcp::Tcp),
    /// A UDP socket that sends each datagram back.
    Udp(udp::Udp),
    /// A small DNS server.
    Dns(dns::Dns),
    /// Open connections that use up ephemeral ports.
    Ports(ports::Ports),
    /// A full table of tracked connections.
    Conntrack(conntrack::Conntrack),
    /// A unix socket.
    Unix(tcp::Unix),
}

/// Runs until it is killed.
pub(crate) fn serve(what: &Serve) -> Result<()> {
    match what {
        Serve::Tcp(tcp) => tcp::serve(tcp),
        Serve::Udp(udp) => udp::serve(udp),
        Serve::Dns(dns) => dns::serve(dns),
        Serve::Ports(ports) => ports::serve(ports),
        Serve::Conntrack(conntrack) => conntrack::serve(conntrack),
        Serve::Unix(unix) => tcp::serve_unix(unix),
    }
}

/// Tells the lab that everything is in place.
fn ready() -> Result<()> {
    let mut out = std::io::stdout();
    out.write_all(b"ready\n").and_then(|()| out.flush()).context("say ready")
}

/// Sets the name that /proc/PID/comm shows; `\xNN` stands for a byte, so that hostile names can be written.
fn set_command_name(name: &str) -> Result<()> {
    let mut bytes = unescape(name);
    bytes.retain(|byte| *byte != 0);
    let name = std::ffi::CString::new(bytes)?;
    nix::sys::prctl::set_name(&name).context("set the command name")
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("\\x") {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        match rest.get(at + 2..at + 4).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &rest[at + 4..];
            }
            None => {
                out.extend_from_slice(b"\\x");
                rest = &rest[at + 2..];
            }
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// A socket bound to `address`, with what the daemons have in common.
fn bound(address: SocketAddr, kind: socket2::Type, v6only: bool, device: Option<&str>) -> Result<socket2::Socket> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), kind, None)?;
    socket.set_reuse_address(kind == socket2::Type::STREAM)?;
    if address.is_ipv6() {
        socket.set_only_v6(v6only)?;
    }
    if let Some(device) = device {
        socket.bind_device(Some(device.as_bytes())).with_context(|| format!("bind to {device}"))?;
    }
    socket.bind(&address.into()).with_context(|| format!("bind {address}"))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_can_be_written() {
        assert_eq!(super::unescape("a\\x1b[31m\\xff\\xzz"), b"a\x1b[31m\xff\\xzz");
    }
}
