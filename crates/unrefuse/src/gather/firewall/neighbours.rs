//! Neighbour discovery of IPv6: without its messages, which meet the filters as ICMPv6 (RFC 4861), no packet is sent at all.

use super::super::machine::LiveMachine;
use super::convert;
use super::imagined::Imagined;
use std::net::{IpAddr, Ipv6Addr};
use unrefuse_facts::Judgement;
use unrefuse_firewall::answer::Decider;
use unrefuse_firewall::judge::{Question, judge};
use unrefuse_firewall::machine::{Machine, RouteKind, RouteQuery};
use unrefuse_firewall::spec::{L4, PacketSpec};

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// The client, or the router that it comes by, asks for this machine's address: its question as it arrives, and the answer
/// as it leaves.
pub(super) fn asked(
    machine: &LiveMachine,
    client: IpAddr,
    interface: Option<&str>,
    server: IpAddr,
) -> [Option<Judgement>; 2] {
    let (IpAddr::V6(_), IpAddr::V6(server)) = (client, server) else { return [None, None] };
    let Some((gateway, interface)) = towards(machine, client, interface) else { return [None, None] };
    // A router asks by its link-local address.
    let asker = match gateway {
        None => Some(client),
        Some(gateway) => Some(gateway).filter(|gateway| link_local(*gateway)),
    };
    let question = message(SOLICITATION, asker, solicited_node(server).into());
    let port = machine.port_towards(Some(client), Some(&interface));
    let question = Question { reply: false, bridge_port: port, ..Question::incoming(Some(&interface), question) };
    let answer = message(ADVERTISEMENT, Some(server.into()), gateway.unwrap_or(client));
    let answer = Question { reply: false, ..Question::outgoing(answer) };
    [judged(machine, &question, &interface), judged(machine, &answer, &interface)]
}

/// This machine asks for the server's address, or its router's: the answer as it arrives, and the question as it leaves.
pub(super) fn asking(machine: &LiveMachine, server: IpAddr) -> [Option<Judgement>; 2] {
    let Some((gateway, interface)) = towards(machine, server, None) else { return [None, None] };
    let next = gateway.unwrap_or(server);
    let (IpAddr::V6(wanted), Some(own)) = (next, machine.route(&RouteQuery::to(server)).and_then(|r| r.source)) else {
        return [None, None];
    };
    let question = message(SOLICITATION, Some(own), solicited_node(wanted).into());
    let question = Question { reply: false, ..Question::outgoing(question) };
    let answer = message(ADVERTISEMENT, Some(next), own);
    let port = machine.port_towards(Some(server), Some(&interface));
    let answer = Question { reply: false, bridge_port: port, ..Question::incoming(Some(&interface), answer) };
    [judged(machine, &answer, &interface), judged(machine, &question, &interface)]
}

/// The gateway and the interface towards an address that is reached over Ethernet.
fn towards(machine: &LiveMachine, address: IpAddr, interface: Option<&str>) -> Option<(Option<IpAddr>, String)> {
    let query = RouteQuery { oif: interface, ..RouteQuery::to(address) };
    let route = machine.route(&query).filter(|route| address.is_ipv6() && route.kind == RouteKind::Unicast)?;
    let interface = route.oif?;
    // Tunnels have no neighbours.
    const WITH: [&str; 10] =
        ["veth", "vlan", "bridge", "bond", "team", "macvlan", "ipvlan", "vxlan", "dummy", "ipvtap"];
    let has_neighbours = machine.interface(&interface)?.link.is_none_or(|kind| WITH.contains(&kind.as_str()));
    has_neighbours.then_some((route.gateway, interface))
}

fn judged(machine: &LiveMachine, question: &Question, interface: &str) -> Option<Judgement> {
    let sends = Imagined { groups_by: Some(interface), ..Imagined::of(machine) };
    let answer = judge(machine.ruleset(), &sends, question);
    // What the stack says is of other packets: these are its own.
    let by_stack = matches!(answer.decided_by, Some(Decider::Stack(_)));
    (!by_stack).then(|| convert::judgement(machine, question, &answer))
}

fn message(kind: u8, from: Option<IpAddr>, to: IpAddr) -> PacketSpec {
    // The hop limit proves that no router passed it on.
    PacketSpec { ttl: Some(255), ..PacketSpec::other(from, to, L4::Icmp { kind, code: 0 }) }
}

/// The group that an address' holder listens to (RFC 4291, 2.7.1).
fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

fn link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_an_address() {
        let group = solicited_node("2001:db8::1:2ab:cdef".parse().unwrap());
        assert_eq!(group, "ff02::1:ffab:cdef".parse::<Ipv6Addr>().unwrap());
    }
}
