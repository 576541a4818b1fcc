//! Fills the table of tracked connections.

use anyhow::{Context as _, Result, ensure};
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, sendto, socket};
use std::os::fd::AsRawFd as _;

/// Entries of one message to the kernel.
const BATCH: u32 = 500;
/// IPS_SEEN_REPLY, IPS_ASSURED and IPS_CONFIRMED of include/uapi/linux/netfilter/nf_conntrack_common.h.
const STATUS: u32 = 1 << 1 | 1 << 2 | 1 << 3;

/// Puts connections into the table until it holds as many as it may, and ends. They stay for an hour.
///
/// They count as assured, as most of a busy machine's: for a new connection the kernel throws out others
/// (`early_drop`, net/netfilter/nf_conntrack_core.c).
#[derive(Debug, clap::Args)]
pub(crate) struct Conntrack {}

fn number(name: &str) -> Result<u32> {
    let path = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    text.trim().parse().with_context(|| path)
}

/// Fills it.
pub(crate) fn serve(_: &Conntrack) -> Result<()> {
    let max = number("max")?;
    let netlink =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkNetFilter)?;
    bind(netlink.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    let mut next = 0;
    while number("count")? < max {
        ensure!(next <= max * 2, "the table stays at {} of {max}", number("count")?);
        let batch: Vec<u8> = (next..next + BATCH).flat_map(new_connection).collect();
        // What no longer fits comes back as an error that nobody reads.
        sendto(netlink.as_raw_fd(), &batch, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        next += BATCH;
    }
    super::ready()
}

/// IPCTNL_MSG_CT_NEW of include/uapi/linux/netfilter/nfnetlink_conntrack.h: a UDP connection, numbered.
fn new_connection(number: u32) -> Vec<u8> {
    // 198.18.0.0/15 is for tests of networks (RFC 2544).
    let (client, server) = ([198, 18, 0, 1], (0xc613_0000 | number >> 14).to_be_bytes());
    let (from, to) = ((1024 + (number & 0x3fff) as u16).to_be_bytes(), 53_u16.to_be_bytes());
    let tuple = |source: [u8; 4], destination: [u8; 4], sport: [u8; 2], dport: [u8; 2]| {
        let addresses = [attribute(1, &source), attribute(2, &destination)].concat();
        let ports = [attribute(1, &[17]), attribute(2, &sport), attribute(3, &dport)].concat();
        [nested(1, &addresses), nested(2, &ports)].concat()
    };
    let attributes = [
        nested(1, &tuple(client, server, from, to)),
        nested(2, &tuple(server, client, to, from)),
        attribute(3, &STATUS.to_be_bytes()),
        attribute(7, &3600_u32.to_be_bytes()),
    ]
    .concat();
    let mut message = Vec::new();
    message.extend((20 + attributes.len() as u32).to_ne_bytes());
    // NFNL_SUBSYS_CTNETLINK; NLM_F_REQUEST, NLM_F_EXCL and NLM_F_CREATE.
    message.extend((1_u16 << 8).to_ne_bytes());
    message.extend(0x601_u16.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([libc::AF_INET as u8, 0, 0, 0]);
    message.extend(attributes);
    message
}

fn nested(kind: u16, value: &[u8]) -> Vec<u8> {
    attribute(kind | 1 << 15, value)
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len() + 7);
    bytes.extend((4 + value.len() as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
