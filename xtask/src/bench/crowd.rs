//! Many listening sockets in many processes: the machine on which listing is hard.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A port that exactly one socket of every crowd listens on.
pub(super) const LONELY_PORT: u16 = 9_999;
/// The others' ports begin here, and there are so many of them before the next address is taken.
const FIRST_PORT: u16 = 10_000;
const PORTS: usize = 50_000;

/// One process of the crowd.
#[derive(clap::Args)]
pub(crate) struct Member {
    /// The number of its first socket.
    #[arg(long)]
    first: usize,
    /// How many it has.
    #[arg(long)]
    count: usize,
}

/// The address of the n-th socket; the first one is the lonely one.
fn address(number: usize) -> Result<SocketAddrV4> {
    let Some(number) = number.checked_sub(1) else { return Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, LONELY_PORT)) };
    let port = FIRST_PORT + u16::try_from(number % PORTS)?;
    Ok(SocketAddrV4::new(Ipv4Addr::new(127, 1, u8::try_from(number / PORTS)?, 1), port))
}

/// What the process does: listens, says so, and waits for the end of its input.
pub(crate) fn member(member: &Member) -> Result<()> {
    raise_file_limit(member.count)?;
    let mut sockets = Vec::with_capacity(member.count);
    for number in member.first..member.first + member.count {
        let address = address(number)?;
        sockets.push(TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?);
    }
    println!("ready");
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(sockets);
    Ok(())
}

/// Lets this process hold that many sockets.
fn raise_file_limit(sockets: usize) -> Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let wanted = sockets as u64 + 64;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).context("cannot raise the limit of open files")?;
    }
    Ok(())
}

/// The whole crowd. It ends with this value, or with the process that made it.
pub(super) struct Crowd(Vec<Child>);

impl Crowd {
    /// Starts it in the calling thread's network namespace, and returns when every socket listens.
    pub(super) fn start(sockets: usize, processes: usize) -> Result<Self> {
        let processes = processes.min(sockets);
        let xtask = std::env::current_exe()?;
        let mut crowd = Self(Vec::with_capacity(processes));
        for index in 0..processes {
            // Spread evenly: the first ones hold one more where it does not divide.
            let (first, end) = (index * sockets / processes, (index + 1) * sockets / processes);
            let child = Command::new(&xtask)
                .args(["crowd", "--first", &first.to_string(), "--count", &(end - first).to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .context("cannot start a process of the crowd")?;
            crowd.0.push(child);
        }
        for child in &mut crowd.0 {
            let mut line = String::new();
            BufReader::new(child.stdout.take().context("no pipe")?).read_line(&mut line)?;
            ensure!(line == "ready\n", "a process of the crowd could not listen: see above");
        }
        Ok(crowd)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for child in &mut self.0 {
            drop(child.stdin.take());
        }
        for child in &mut self.0 {
            // It ends by itself at the end of its input; there is nothing to do about one that does not.
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_socket_has_an_address_of_its_own() {
        let all: std::collections::HashSet<_> = (0..100_000).map(|number| address(number).unwrap()).collect();
        assert_eq!(all.len(), 100_000);
        assert!(all.iter().all(|address| address.ip().is_loopback()));
        assert_eq!(all.iter().filter(|address| address.port() == LONELY_PORT).count(), 1);
    }
}
