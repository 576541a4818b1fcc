//! A plain connection attempt, independent of unrefuse: what an application would do.

use anyhow::{Context as _, Result, bail, ensure};
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long one address may take.
const LIMIT: Duration = Duration::from_secs(2);

/// What to connect to.
#[derive(Debug, clap::Args)]
pub(crate) struct Connect {
    /// `tcp`, `udp` or `unix`.
    protocol: String,
    /// `HOST:PORT`, or a path.
    endpoint: String,
}

/// Connects; for TCP to the first address that answers, as applications do. A UDP endpoint must answer a datagram.
///
/// # Errors
/// No address could be connected to; the message holds the last error.
pub(crate) fn connect(arguments: &Connect) -> Result<()> {
    match arguments.protocol.as_str() {
        "unix" => UnixStream::connect(&arguments.endpoint).map(drop).context("connect"),
        "tcp" => any_address(&arguments.endpoint, |address| {
            let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
            // A listener that closes at once is not open: silence or a greeting is fine, an end is not.
            stream.set_read_timeout(Some(Duration::from_millis(50)))?;
            match stream.read(&mut [0]) {
                Ok(0) => bail!("{address}: closed on accept"),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => bail!("{address}: {error}"),
                _ => Ok(()),
            }
        }),
        "udp" => any_address(&arguments.endpoint, |address| {
            let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
            socket.connect(address)?;
            socket.set_read_timeout(Some(LIMIT))?;
            socket.send(b"hello")?;
            socket.recv(&mut [0; 64]).with_context(|| format!("{address}"))?;
            Ok(())
        }),
        other => bail!("{other} is not a protocol"),
    }
}

fn any_address(endpoint: &str, attempt: impl Fn(SocketAddr) -> Result<()>) -> Result<()> {
    let addresses: Vec<_> = endpoint.to_socket_addrs().with_context(|| format!("resolve {endpoint}"))?.collect();
    ensure!(!addresses.is_empty(), "{endpoint} has no address");
    let mut last = Ok(());
    for address in addresses {
        last = attempt(address);
        if last.is_ok() {
            break;
        }
    }
    last
}
