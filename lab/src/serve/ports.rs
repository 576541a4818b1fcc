//! Connections that use up the ephemeral ports.

use super::{ready, tcp::park};
use anyhow::{Context as _, Result};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Connects again and again and holds, until the kernel has no port left for that destination.
#[derive(Debug, clap::Args)]
pub(crate) struct Ports {
    /// Where to connect to.
    address: SocketAddr,
}

/// Holds all connections until it is killed.
pub(crate) fn serve(arguments: &Ports) -> Result<()> {
    let mut held = Vec::new();
    loop {
        match TcpStream::connect_timeout(&arguments.address, Duration::from_secs(2)) {
            Ok(stream) => held.push(stream),
            Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => break,
            Err(error) => {
                return Err(error).with_context(|| format!("connection {} to {}", held.len(), arguments.address));
            }
        }
    }
    ready()?;
    park(&held)
}
