//! The socket tables of /proc/net, the way to see sockets where inet_diag is not there.
//!
//! /proc/net/tcp with a listener on 127.0.0.1:5432 that has three connections waiting, one of them with five bytes
//! unread (the file is padded with blanks on the right):
//! ```text
//!   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
//!    0: 0100007F:1538 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 14202 4 00000000b6908a32 100 0 0 10 0
//!    1: 0100007F:1538 0100007F:EBE8 01 00000000:00000005 00:00000000 00000000     0        0 0 1 0000000037a30489 20 4 30 10 -1
//! ```
//! /proc/net/udp6 with a socket on `[::1]:123`:
//! ```text
//!  7204: 00000000000000000000000001000000:007B 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 14209 2 00000000de1c8709 0
//! ```
//! /proc/net/unix, a path with a space and an abstract name:
//! ```text
//! Num       RefCount Protocol Flags    Type St Inode Path
//! 00000000c1b8c062: 00000002 00000000 00010000 0001 01 14211 /tmp/smp/a b.sock
//! 0000000049cc5f01: 00000002 00000000 00010000 0001 01 14212 @abs name
//! ```

use crate::lines;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use unrefuse_facts::{Family, Socket, SocketState, Transport};

/// The sockets of one table (/proc/net/tcp, tcp6, udp or udp6) that `want` takes, in the kernel's order.
///
/// Every line is read, so that `want` decides on the whole socket; only what it takes is kept. A line that is no
/// socket of that family (the heading, anything torn) is passed over.
///
/// What the table does not tell stays unknown: `v6only`, `device`, `md5` and `cgroup` are `None`. For a listener the
/// kernel shows the connections waiting for accept(2) (`sk_ack_backlog`) as `rx_queue`, and **not** how many may wait:
/// [`Socket::send_queue`] of a listener is not known here: the column is always 0 (net/ipv4/tcp_ipv4.c, `get_tcp4_sock`; inet_diag
/// gives it). An accepted connection that nobody has taken yet has inode 0.
///
/// Addresses are words as the CPU holds them (`%08X` of a big-endian word), so they read backwards on little-endian
/// machines; ports are plain (include/net/…, `inet_sk(sk)->inet_num`).
///
/// ```
/// use unrefuse_facts::{Family, SocketState, Transport};
/// let line = b"   0: 0100007F:1538 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 14202 4\n";
/// # if cfg!(target_endian = "big") { return; }
/// let found = unrefuse_parse::proc_net::sockets(Transport::Tcp, Family::V4, line, |s| s.state == SocketState::Listen);
/// assert_eq!(found[0].local.to_string(), "127.0.0.1:5432");
/// assert_eq!((found[0].recv_queue, found[0].inode), (3, 14202));
/// ```
pub fn sockets(
    transport: Transport,
    family: Family,
    bytes: &[u8],
    mut want: impl FnMut(&Socket) -> bool,
) -> Vec<Socket> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        if let Some(socket) = socket(transport, family, &rest[..end])
            && want(&socket)
        {
            found.push(socket);
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    found
}

fn socket(transport: Transport, family: Family, line: &[u8]) -> Option<Socket> {
    let mut words = Words { line };
    words.next()?.strip_suffix(b":")?;
    let local = endpoint(family, words.next()?)?;
    let remote = endpoint(family, words.next()?)?;
    let remote = (remote.port() != 0 || !remote.ip().is_unspecified()).then_some(remote);
    let state = state(transport, hex(words.next()?)? as u8, remote.is_some())?;
    let queues = words.next()?;
    let colon = queues.iter().position(|&b| b == b':')?;
    let send_queue = hex(&queues[..colon])?;
    let recv_queue = hex(&queues[colon + 1..])?;
    // The timer and the retransmissions stand between the queues and the user.
    let uid = lines::decimal(words.nth(2)?)?;
    let inode = lines::decimal(words.nth(1)?)?;
    Some(Socket {
        transport,
        state,
        local,
        remote,
        inode,
        uid,
        v6only: None,
        device: None,
        recv_queue,
        send_queue: (state != SocketState::Listen).then_some(send_queue),
        md5: None,
        cgroup: None,
    })
}

/// The words of a line, parted by spaces.
struct Words<'a> {
    line: &'a [u8],
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.line.iter().position(|&b| b != b' ')?;
        let line = &self.line[start..];
        let end = line.iter().position(|&b| b == b' ').unwrap_or(line.len());
        let (word, rest) = line.split_at(end);
        self.line = rest;
        Some(word)
    }
}

/// `0100007F:1538` in the table's own family.
fn endpoint(family: Family, word: &[u8]) -> Option<SocketAddr> {
    let digits = match family {
        Family::V4 => 8,
        Family::V6 => 32,
    };
    let (address, port) = word.split_at_checked(digits)?;
    let port = u16::try_from(hex(port.strip_prefix(b":")?)?).ok()?;
    let ip = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from(hex(address)?.to_ne_bytes())),
        Family::V6 => {
            let mut octets = [0; 16];
            for (to, word) in octets.chunks_exact_mut(4).zip(address.chunks_exact(8)) {
                to.copy_from_slice(&hex(word)?.to_ne_bytes());
            }
            IpAddr::V6(Ipv6Addr::from(octets))
        }
    };
    Some(SocketAddr::new(ip, port))
}

/// One to eight hexadecimal digits.
fn hex(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let mut number = 0;
    let mut bad = 0;
    for &digit in digits {
        let value = HEX_DIGITS[usize::from(digit)];
        bad |= value;
        number = number << 4 | u32::from(value & 0xf);
    }
    (bad <= 0xf).then_some(number)
}

/// The value of each hexadecimal digit; 0xff for every other byte.
const HEX_DIGITS: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value] as usize] = value as u8;
        table[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    table
};

/// include/net/tcp_states.h. UDP uses two of them: ESTABLISHED with a peer, CLOSE without.
fn state(transport: Transport, number: u8, connected: bool) -> Option<SocketState> {
    if transport == Transport::Udp {
        return Some(if connected { SocketState::Established } else { SocketState::Unconnected });
    }
    Some(match number {
        1 => SocketState::Established,
        2 => SocketState::SynSent,
        // TCP_NEW_SYN_RECV is a request that has no full socket yet.
        3 | 12 => SocketState::SynReceived,
        4 => SocketState::FinWait1,
        5 => SocketState::FinWait2,
        6 => SocketState::TimeWait,
        7 => SocketState::Closed,
        8 => SocketState::CloseWait,
        9 => SocketState::LastAck,
        10 => SocketState::Listen,
        11 => SocketState::Closing,
        _ => return None,
    })
}

/// `__SO_ACCEPTCON` (include/uapi/linux/net.h): the socket has called listen(2).
const SO_ACCEPTCON: u32 = 1 << 16;

/// Whether /proc/net/unix has a listening socket bound to exactly `path`.
///
/// The table shows the path as it was given to bind(2): a socket bound by a relative path, or through a symbolic link
/// or another mount, is not found by its absolute path. Abstract names have an `@` before them. A path with a line
/// feed in it cannot be told apart in this table (net/unix/af_unix.c, `unix_seq_show`).
///
/// ```
/// let line = b"00000000c1b8c062: 00000002 00000000 00010000 0001 01 14211 /tmp/smp/a b.sock\n";
/// assert!(unrefuse_parse::proc_net::unix_listens(line, "/tmp/smp/a b.sock"));
/// ```
pub fn unix_listens(bytes: &[u8], path: &str) -> bool {
    unix_listener(bytes, path).is_some()
}

/// The inode of that socket, as in /proc/PID/fd.
///
/// ```
/// let line = b"00000000c1b8c062: 00000002 00000000 00010000 0001 01 14211 /run/docker.sock\n";
/// assert_eq!(unrefuse_parse::proc_net::unix_listener(line, "/run/docker.sock"), Some(14211));
/// ```
pub fn unix_listener(bytes: &[u8], path: &str) -> Option<u64> {
    bytes.split(|&b| b == b'\n').filter(|_| !path.is_empty()).find_map(|line| {
        let head = line.strip_suffix(path.as_bytes()).and_then(|head| head.strip_suffix(b" "))?;
        let words: Vec<&[u8]> = lines::words(head).take(8).collect();
        // Exactly seven fields stand before the path: a longer path with this one at its end has more.
        let listens = words.len() == 7 && hex(words[3]).is_some_and(|flags| flags & SO_ACCEPTCON != 0);
        listens.then(|| lines::decimal(words[6]))?
    })
}

#[cfg(test)]
mod tests;
