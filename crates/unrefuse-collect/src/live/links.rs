//! Links, addresses and neighbours over rtnetlink(7).

use super::missing::missing;
use super::netlink::{Attributes, Netlink, push_attribute, u16_at, u32_at};
use rustix::io::Errno;
use std::net::IpAddr;
use unrefuse_facts::{
    InterfaceAddress, Link, Missing, Neighbour, NeighbourState, Observed, Reason, Source, text::from_bytes,
};

const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const RTM_GETNEIGH: u16 = 30;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Interfaces of this thread's network namespace.
pub(super) fn links() -> Observed<Vec<Link>> {
    // struct ifinfomsg, then IFLA_EXT_MASK = RTEXT_FILTER_SKIP_STATS: without the statistics nobody asked for.
    let mut body = vec![0; 16];
    push_attribute(&mut body, 29, &8_u32.to_ne_bytes());
    observe("RTM_GETLINK", Netlink::route().and_then(|mut netlink| netlink.list(RTM_GETLINK, &body, link)))
}

/// Addresses of this thread's network namespace, both families.
pub(super) fn addresses() -> Observed<Vec<InterfaceAddress>> {
    let body = [0; 8];
    observe("RTM_GETADDR", Netlink::route().and_then(|mut netlink| netlink.list(RTM_GETADDR, &body, interface_address)))
}

/// The neighbour entry of `address` on `link`, looked up exactly; by a dump where the kernel cannot (before Linux 5.0).
pub(super) fn neighbour(address: IpAddr, link: u32) -> Observed<Neighbour> {
    const WHAT: &str = "RTM_GETNEIGH";
    let mut body = vec![family(address), 0, 0, 0];
    body.extend_from_slice(&link.to_ne_bytes());
    body.extend_from_slice(&[0; 4]);
    let dump = body.clone();
    push_attribute(&mut body, 1, &octets(address));
    let found = Netlink::route().and_then(|mut netlink| match netlink.ask(RTM_GETNEIGH, &body) {
        Ok(answer) => Ok(parse_neighbour(&answer)),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::OPNOTSUPP | Errno::INVAL) => {
            let all = netlink.list(RTM_GETNEIGH, &dump, parse_neighbour)?;
            Ok(all.into_iter().find(|n| n.address == address && n.link == link))
        }
        Err(e) => Err(e),
    });
    match found {
        Ok(Some(neighbour)) => Observed::known(neighbour, Source::running(WHAT)),
        Ok(None) => Observed::Missing(Missing::new(
            Reason::Absent,
            format!("{WHAT}: the kernel has no entry for {address} on interface {link}"),
        )),
        Err(e) => Observed::Missing(missing(WHAT, e)),
    }
}

/// The port of a bridge behind which a link address was last seen (`rtnl_fdb_get`, net/core/rtnetlink.c, since Linux 5.0);
/// absent where the bridge does not know it.
pub(super) fn bridge_port(bridge: u32, lladdr: &str) -> Observed<u32> {
    const WHAT: &str = "RTM_GETNEIGH (AF_BRIDGE)";
    const AF_BRIDGE: u8 = 7;
    let octets: Result<Vec<u8>, _> = lladdr.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect();
    let Ok(octets) = octets else { return Observed::not_looked("the link address has no octets") };
    let mut body = vec![AF_BRIDGE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    push_attribute(&mut body, 9, &bridge.to_ne_bytes());
    push_attribute(&mut body, 2, &octets);
    match Netlink::route().and_then(|mut netlink| netlink.ask(RTM_GETNEIGH, &body)) {
        Ok(answer) => match u32_at(&answer, 4) {
            Some(port) => Observed::known(port, Source::running(WHAT)),
            None => Observed::Missing(missing(WHAT, Errno::BADMSG)),
        },
        Err(e) => Observed::Missing(missing(WHAT, e)),
    }
}

fn observe<T>(what: &str, result: Result<T, Errno>) -> Observed<T> {
    match result {
        Ok(value) => Observed::known(value, Source::running(what)),
        Err(e) => Observed::Missing(missing(what, e)),
    }
}

/// `struct ifinfomsg` and its attributes (include/uapi/linux/if_link.h).
fn link(message: &[u8]) -> Option<Link> {
    const IFF_UP: u32 = 1;
    const IFF_LOOPBACK: u32 = 8;
    const IFF_LOWER_UP: u32 = 0x10000;
    const OPERSTATES: [&str; 7] = ["UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP"];
    let flags = u32_at(message, 8)?;
    let mut link = Link {
        index: u32_at(message, 4)?,
        name: String::new(),
        up: flags & IFF_UP != 0,
        carrier: flags & IFF_LOWER_UP != 0,
        loopback: flags & IFF_LOOPBACK != 0,
        operstate: OPERSTATES[0].to_owned(),
        kind: None,
        master: None,
        mtu: 0,
    };
    for (kind, value) in Attributes(message.get(16..)?) {
        match kind {
            3 => link.name = name(value),
            4 => link.mtu = u32_at(value, 0)?,
            10 => link.master = u32_at(value, 0).filter(|&index| index != 0),
            16 => {
                let state = value.first().and_then(|&state| OPERSTATES.get(usize::from(state)));
                link.operstate = state.unwrap_or(&OPERSTATES[0]).to_string();
            }
            // IFLA_LINKINFO with IFLA_INFO_KIND in it.
            18 => link.kind = Attributes(value).find(|(kind, _)| *kind == 1).map(|(_, value)| name(value)),
            _ => {}
        }
    }
    Some(link)
}

/// A string attribute, which ends at its first NUL.
pub(super) fn name(value: &[u8]) -> String {
    from_bytes(value.split(|&byte| byte == 0).next().unwrap_or_default())
}

/// `struct ifaddrmsg` and its attributes (include/uapi/linux/if_addr.h).
fn interface_address(message: &[u8]) -> Option<InterfaceAddress> {
    const IFA_F_DADFAILED: u32 = 0x08;
    const IFA_F_TENTATIVE: u32 = 0x40;
    let prefix = *message.get(1)?;
    let mut flags = u32::from(*message.get(2)?);
    let link = u32_at(message, 4)?;
    let (mut address, mut local) = (None, None);
    for (kind, value) in Attributes(message.get(8..)?) {
        match kind {
            1 => address = ip(value),
            // On a point-to-point link IFA_ADDRESS is the other end, IFA_LOCAL our own.
            2 => local = ip(value),
            8 => flags = u32_at(value, 0)?,
            _ => {}
        }
    }
    let address = local.or(address)?;
    let tentative = address.is_ipv6() && flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) != 0;
    Some(InterfaceAddress { link, address, prefix, tentative })
}

/// `struct ndmsg` and its attributes (include/uapi/linux/neighbour.h).
fn parse_neighbour(message: &[u8]) -> Option<Neighbour> {
    let state = match u16_at(message, 8)? {
        state if state & 0xc0 != 0 => NeighbourState::Permanent,
        state if state & 0x20 != 0 => NeighbourState::Failed,
        state if state & 0x01 != 0 => NeighbourState::Incomplete,
        state if state & 0x02 != 0 => NeighbourState::Reachable,
        state if state & 0x1c != 0 => NeighbourState::Stale,
        // NUD_NONE: the entry is made, nothing was asked.
        _ => return None,
    };
    let (mut address, mut lladdr, mut probes) = (None, None, 0);
    for (kind, value) in Attributes(message.get(12..)?) {
        match kind {
            1 => address = ip(value),
            2 => lladdr = Some(value.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")),
            4 => probes = u32_at(value, 0)?,
            _ => {}
        }
    }
    Some(Neighbour { address: address?, link: u32_at(message, 4)?, state, lladdr, probes })
}

/// An address attribute, by its length.
pub(super) fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(value).ok()?)),
        _ => None,
    }
}

/// `AF_INET` or `AF_INET6`.
pub(super) fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

/// The bytes of an address.
pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
