//! TCP and UDP sockets from the kernel (inet_diag, include/uapi/linux/inet_diag.h, sock_diag(7)).

use super::netlink::{Attributes, Netlink, push_attribute, u16_at, u32_at, u64_at};
use crate::States;
use rustix::io::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use unrefuse_facts::{Socket, SocketState, Transport};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `INET_DIAG_REQ_BYTECODE`.
const BYTECODE: u16 = 1;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;

/// Bit of `INET_DIAG_INFO` in a request. Keys are told only along with it (seen on Linux 6.18), and it makes an answer
/// five times as long, so it is asked for where one port is looked at and not for the table of all.
const WITH_INFO: u8 = 1 << 1;

/// `INET_DIAG_SKV6ONLY`, `_MARK`, `_MD5SIG`, `_CGROUP_ID`: told without a bit of their own.
const SKV6ONLY: u16 = 11;
const MARK: u16 = 15;
const MD5SIG: u16 = 18;
const CGROUP_ID: u16 = 21;

/// Size of `struct inet_diag_msg`.
const MESSAGE: usize = 72;

/// TCP states by number (include/net/tcp_states.h).
const CLOSE: u32 = 7;
const LISTEN: u32 = 10;
/// The bits of all states.
const ANY_STATE: u32 = 0xffe;
/// Asks for TCP sockets that are bound and neither listen nor have a peer, too: Linux 6.8; older kernels overlook it.
const BOUND_INACTIVE: u32 = 1 << 13;

/// Listening TCP sockets, or UDP sockets without a peer, of this thread's network namespace; or all of its sockets.
///
/// States and port are filtered by the kernel. Both families are asked; a kernel without IPv6 gives none of it.
pub(super) fn listeners(
    netlink: &mut Netlink,
    transport: Transport,
    port: Option<u16>,
    wanted: States,
    list: &mut Vec<Socket>,
) -> Result<(), Errno> {
    let (protocol, state) = match transport {
        Transport::Tcp => (IPPROTO_TCP, LISTEN),
        Transport::Udp => (IPPROTO_UDP, CLOSE),
    };
    let states = match wanted {
        States::Listening => 1 << state,
        States::All => ANY_STATE | BOUND_INACTIVE,
    };
    let ask_keys = port.is_some() && transport == Transport::Tcp;
    for family in [AF_INET, AF_INET6] {
        let mut body = request(family, protocol, states, port.unwrap_or(0), 0);
        if ask_keys {
            body[2] = WITH_INFO;
        }
        let add = |message: &[u8]| list.extend(socket(transport, ask_keys, message));
        match netlink.dump(SOCK_DIAG_BY_FAMILY, &body, add) {
            // Without IPv6 there is no handler for its family.
            Err(Errno::NOENT | Errno::AFNOSUPPORT) if family == AF_INET6 => {}
            other => drop(other?),
        }
    }
    Ok(())
}

/// How many TCP sockets have `address` as their peer, TIME_WAIT included.
///
/// The port is compared by the dump itself, the address by a filter program: the kernel sends only what counts.
pub(super) fn connections_to(netlink: &mut Netlink, address: SocketAddr) -> Result<u32, Errno> {
    let canonical = address.ip().to_canonical();
    let mut count = 0;
    // All states but CLOSE and LISTEN, which have no peer.
    let states = ANY_STATE & !(1 << CLOSE) & !(1 << LISTEN);
    for family in [AF_INET, AF_INET6] {
        // An IPv6 socket may be connected to an IPv4 peer, never the reverse.
        if family == AF_INET && canonical.is_ipv6() {
            continue;
        }
        let mut body = request(family, IPPROTO_TCP, states, 0, address.port());
        push_attribute(&mut body, BYTECODE, &peer_filter(canonical));
        match netlink.dump(SOCK_DIAG_BY_FAMILY, &body, |_| count += 1) {
            Err(Errno::NOENT | Errno::AFNOSUPPORT) if family == AF_INET6 => {}
            other => drop(other?),
        }
    }
    Ok(count)
}

/// `struct inet_diag_req_v2`; a port of 0 is any.
fn request(family: u8, protocol: u8, states: u32, local_port: u16, remote_port: u16) -> Vec<u8> {
    let mut body = vec![family, protocol, 0, 0];
    body.extend_from_slice(&states.to_ne_bytes());
    body.extend_from_slice(&local_port.to_be_bytes());
    body.extend_from_slice(&remote_port.to_be_bytes());
    body.resize(56, 0);
    body
}

/// A filter program of one condition: the peer's address is `address`, any port.
///
/// `struct inet_diag_bc_op`, then `struct inet_diag_hostcond`. A jump past the end by 4 bytes is "no".
fn peer_filter(address: IpAddr) -> Vec<u8> {
    const D_COND: u8 = 8;
    let (family, octets) = match address {
        IpAddr::V4(v4) => (AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (AF_INET6, v6.octets().to_vec()),
    };
    let length = 4 + 8 + octets.len();
    let bits = if octets.len() == 4 { 32 } else { 128 };
    let mut program = vec![D_COND, length as u8];
    program.extend_from_slice(&(length as u16 + 4).to_ne_bytes());
    program.extend_from_slice(&[family, bits, 0, 0]);
    program.extend_from_slice(&(-1_i32).to_ne_bytes());
    program.extend_from_slice(&octets);
    program
}

/// `struct inet_diag_msg` and its attributes.
fn socket(transport: Transport, ask_keys: bool, message: &[u8]) -> Option<Socket> {
    let fixed = message.get(..MESSAGE)?;
    let v6 = fixed[0] == AF_INET6;
    let interface = u32_at(fixed, 40)?;
    let local = address(v6, &fixed[4..6], &fixed[8..24], interface)?;
    let remote = address(v6, &fixed[6..8], &fixed[24..40], interface)?;
    let mut socket = Socket {
        transport,
        state: state(transport, fixed[1])?,
        local,
        remote: (remote.port() != 0).then_some(remote),
        recv_queue: u32_at(fixed, 56)?,
        send_queue: Some(u32_at(fixed, 60)?),
        uid: u32_at(fixed, 64)?,
        inode: u64::from(u32_at(fixed, 68)?),
        v6only: None,
        device: (interface != 0).then_some(interface),
        md5: None,
        cgroup: None,
    };
    let (mut may_see_keys, mut keys) = (false, false);
    for (kind, value) in Attributes(&message[MESSAGE..]) {
        match kind {
            SKV6ONLY if v6 => socket.v6only = value.first().map(|&flag| flag != 0),
            CGROUP_ID => socket.cgroup = u64_at(value, 0),
            // Told only to those who may see keys too (inet_diag_msg_attrs_fill), so it tells "no keys" from "hidden".
            MARK => may_see_keys = true,
            MD5SIG => keys = true,
            _ => {}
        }
    }
    if keys || (ask_keys && may_see_keys) {
        socket.md5 = Some(keys);
    }
    Some(socket)
}

fn address(v6: bool, port: &[u8], address: &[u8], interface: u32) -> Option<SocketAddr> {
    let port = u16::from_be(u16_at(port, 0)?);
    let octets: [u8; 16] = address.try_into().ok()?;
    if v6 {
        let ip = Ipv6Addr::from(octets);
        let scope = if ip.is_unicast_link_local() { interface } else { 0 };
        return Some(SocketAddrV6::new(ip, port, 0, scope).into());
    }
    let [a, b, c, d, ..] = octets;
    Some(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port).into())
}

fn state(transport: Transport, number: u8) -> Option<SocketState> {
    Some(match (number, transport) {
        (1, _) => SocketState::Established,
        (2, _) => SocketState::SynSent,
        (3 | 12, _) => SocketState::SynReceived,
        (4, _) => SocketState::FinWait1,
        (5, _) => SocketState::FinWait2,
        (6, _) => SocketState::TimeWait,
        (7, Transport::Udp) => SocketState::Unconnected,
        (7 | 13, Transport::Tcp) => SocketState::Closed,
        (8, _) => SocketState::CloseWait,
        (9, _) => SocketState::LastAck,
        (10, _) => SocketState::Listen,
        (11, _) => SocketState::Closing,
        _ => return None,
    })
}
