//! Routes, links and neighbours in namespaces that the tests make.

mod common;

use common::{device, in_new_namespace, ip, is_root, wait_for};
use std::net::{IpAddr, UdpSocket};
use unrefuse_collect::{Host, live::Live};
use unrefuse_facts::{Errno, NeighbourState, Reason, Route, RouteDecision, RouteKind};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn route(destination: &str) -> RouteDecision {
    Live::new().route(address(destination), None).get().unwrap().clone()
}

fn no(destination: &str) -> (Errno, Option<Route>) {
    match route(destination) {
        RouteDecision::No { errno, entry } => (errno, entry),
        via => panic!("{destination} has a way: {via:?}"),
    }
}

fn via(destination: &str) -> Route {
    match route(destination) {
        RouteDecision::Via(route) => route,
        no => panic!("{destination} has no way: {no:?}"),
    }
}

fn link(name: &str) -> u32 {
    Live::new().links().get().unwrap().iter().find(|link| link.name == name).unwrap().index
}

#[test]
fn without_routes_there_is_no_way_and_no_entry() {
    if !is_root("without_routes_there_is_no_way_and_no_entry") {
        return;
    }
    in_new_namespace(|| {
        assert_eq!(no("10.9.9.9"), (Errno::ENETUNREACH, None));
        assert_eq!(no("fd09::9"), (Errno::ENETUNREACH, None));
    });
}

#[test]
fn routes_that_refuse_are_named_by_their_entry() {
    if !is_root("routes_that_refuse_are_named_by_their_entry") {
        return;
    }
    in_new_namespace(|| {
        for (kind, errno, name) in [
            (RouteKind::Blackhole, Errno::EINVAL, "blackhole"),
            (RouteKind::Unreachable, Errno::EHOSTUNREACH, "unreachable"),
            (RouteKind::Prohibit, Errno::EACCES, "prohibit"),
            (RouteKind::Throw, Errno::ENETUNREACH, "throw"),
        ] {
            for (network, prefix, inside) in [("10.7.0.0", 16, "10.7.1.2"), ("fd07::", 32, "fd07::1:2")] {
                ip(&format!("route add {name} {network}/{prefix} metric 77"));
                let (found, entry) = no(inside);
                let entry = entry.unwrap_or_else(|| panic!("no entry for {name} {network}"));
                assert_eq!(found, errno, "{name} {network}");
                assert_eq!((entry.kind, entry.destination, entry.prefix), (kind, address(network), prefix));
                assert_eq!((entry.metric, entry.table), (77, 254));
                ip(&format!("route del {name} {network}/{prefix} metric 77"));
            }
        }
    });
}

#[test]
fn the_entry_that_decides_and_what_would_carry_it_else() {
    if !is_root("the_entry_that_decides_and_what_would_carry_it_else") {
        return;
    }
    in_new_namespace(|| {
        ip("link add docker0 type bridge");
        device("d0");
        ip("addr add 172.17.0.1/16 dev docker0");
        ip("addr add 192.0.2.10/24 dev d0");
        ip("link set docker0 up");
        ip("route add default via 192.0.2.1 dev d0 metric 100");
        ip("route add 172.16.0.0/12 via 192.0.2.2 dev d0");
        let decision = via("172.17.5.5");
        assert_eq!((decision.destination, decision.prefix, decision.gateway), (address("172.17.0.0"), 16, None));
        assert_eq!((decision.link, decision.source), (Some(link("docker0")), Some(address("172.17.0.1"))));
        assert!(!decision.dead, "{decision:?}");
        let others = Live::new().alternatives(address("172.17.5.5"));
        let others: Vec<_> = others.get().unwrap().iter().map(|r| (r.prefix, r.gateway, r.metric)).collect();
        assert_eq!(others, [(12, Some(address("192.0.2.2")), 0), (0, Some(address("192.0.2.1")), 100)]);
        let links = Live::new().links();
        let bridge = links.get().unwrap().iter().find(|link| link.name == "docker0").unwrap();
        assert_eq!(bridge.kind.as_deref(), Some("bridge"));
        assert!(bridge.up && bridge.carrier && !bridge.loopback);
        let default = via("198.51.100.1");
        assert_eq!((default.prefix, default.gateway, default.metric), (0, Some(address("192.0.2.1")), 100));
        assert_eq!((default.destination, default.table, default.dead), (address("0.0.0.0"), 254, false));
    });
}

#[test]
fn a_route_over_a_link_without_carrier_is_dead() {
    if !is_root("a_route_over_a_link_without_carrier_is_dead") {
        return;
    }
    in_new_namespace(|| {
        device("d0");
        ip("addr add 192.0.2.10/24 dev d0");
        ip("addr add fd02::10/64 dev d0 nodad");
        assert!(!via("192.0.2.1").dead && !via("fd02::1").dead);
        ip("link set d0-end down");
        // The routes learn of a lost carrier a moment later.
        wait_for("dead routes", || via("192.0.2.1").dead && via("fd02::1").dead);
        let links = Live::new().links();
        let d0 = links.get().unwrap().iter().find(|link| link.name == "d0").unwrap();
        assert_eq!((d0.up, d0.carrier, d0.kind.as_deref()), (true, false, Some("veth")));
        // A link that is down takes its routes along.
        ip("link set d0 down");
        assert_eq!(no("192.0.2.1"), (Errno::ENETUNREACH, None));
    });
}

#[test]
fn tables_of_rules_that_fit_are_looked_at_in_their_order() {
    if !is_root("tables_of_rules_that_fit_are_looked_at_in_their_order") {
        return;
    }
    in_new_namespace(|| {
        ip("rule add to 10.8.0.0/16 lookup 100 priority 50");
        ip("rule add fwmark 7 lookup 101 priority 40");
        ip("route add prohibit 10.8.0.0/16 table 100");
        ip("route add blackhole 10.8.0.0/24 table 101");
        ip("route add unreachable 10.0.0.0/8");
        let (errno, entry) = no("10.8.0.1");
        assert_eq!((errno, entry.unwrap().table), (Errno::EACCES, 100));
        let others = Live::new().alternatives(address("10.8.0.1"));
        let others: Vec<_> = others.get().unwrap().iter().map(|r| (r.kind, r.table)).collect();
        assert_eq!(others, [(RouteKind::Unreachable, 254)]);
        assert_eq!(no("10.9.0.1").1.unwrap().table, 254);
    });
}

#[test]
fn a_mark_and_a_source_choose_the_rule() {
    if !is_root("a_mark_and_a_source_choose_the_rule") {
        return;
    }
    in_new_namespace(|| {
        device("d0");
        ip("addr add 192.0.2.10/24 dev d0");
        ip("addr add fd07::10/64 dev d0 nodad");
        for (family, own, other) in [("-4", "192.0.2.10", "192.0.2.1"), ("-6", "fd07::10", "fd07::1")] {
            let (own, other) = (address(own), address(other));
            ip(&format!("{family} rule add fwmark 0x10/0xf0 prohibit priority 60"));
            ip(&format!("{family} rule add not fwmark 0/0xff00 to {other} unreachable priority 61"));
            ip(&format!("{family} rule add from {own} fwmark 5 blackhole priority 62"));
            let host = Live::new();
            let asked = |mark, source| {
                let decision = host.route_marked(mark, source, other);
                let errno = match decision.get().unwrap() {
                    RouteDecision::No { errno, entry: None } => Some(*errno),
                    RouteDecision::No { entry, .. } => panic!("{entry:?}"),
                    RouteDecision::Via(_) => None,
                };
                let rule = host.stopping_rule(mark, source, other);
                (errno, rule.get().unwrap().as_ref().map(|rule| (rule.priority, rule.selector.clone().unwrap())))
            };
            assert_eq!(asked(0x13, None), (Some(Errno::EACCES), Some((60, "fwmark 0x10/0xf0".to_owned()))));
            let (errno, rule) = asked(0x100, None);
            assert_eq!((errno, rule.map(|(priority, _)| priority)), (Some(Errno::ENETUNREACH), Some(61)));
            let bits = if other.is_ipv4() { 32 } else { 128 };
            let (errno, rule) = asked(5, Some(own));
            assert_eq!((errno, rule), (Some(Errno::EINVAL), Some((62, format!("from {own}/{bits} fwmark 0x5")))));
            assert_eq!(asked(5, None), (None, None));
            assert_eq!(asked(0, Some(own)), (None, None));
            // What is printed is what ip-rule(8) takes.
            for mark in [0x13, 0x100] {
                let rule = host.stopping_rule(mark, None, other).get().unwrap().clone().unwrap();
                let (selector, kind) = (rule.selector.unwrap(), rule.kind.name());
                ip(&format!("{family} rule del pref {} {selector} {kind}", rule.priority));
                assert_eq!(asked(mark, None), (None, None), "{selector}");
            }
        }
    });
}

#[test]
fn several_next_hops_are_one_entry() {
    if !is_root("several_next_hops_are_one_entry") {
        return;
    }
    in_new_namespace(|| {
        device("d0");
        ip("addr add 192.0.2.10/24 dev d0");
        ip("route add 10.0.0.0/8 nexthop via 192.0.2.1 dev d0 nexthop via 192.0.2.2 dev d0");
        let decision = via("10.1.1.1");
        assert!([address("192.0.2.1"), address("192.0.2.2")].contains(&decision.gateway.unwrap()));
        assert_eq!((decision.prefix, decision.link), (8, Some(link("d0"))));
    });
}

#[test]
fn a_scoped_address_leaves_by_its_interface() {
    if !is_root("a_scoped_address_leaves_by_its_interface") {
        return;
    }
    in_new_namespace(|| {
        for name in ["d0", "d1"] {
            device(name);
            ip(&format!("addr add fe80::{} dev {name} nodad", if name == "d0" { "10/64" } else { "11/64" }));
        }
        for name in ["d0", "d1"] {
            let decision = Live::new().route(address("fe80::1"), Some(name));
            assert_eq!(decision.get().unwrap().via().unwrap().link, Some(link(name)));
        }
        let missing = Live::new().route(address("fe80::1"), Some("nosuchif0"));
        assert_eq!(missing.missing().unwrap().reason, Reason::Absent);
    });
}

#[test]
fn neighbours() {
    if !is_root("neighbours") {
        return;
    }
    in_new_namespace(|| {
        device("v0");
        ip("addr add 192.0.2.10/24 dev v0");
        ip("addr add fd02::10/64 dev v0 nodad");
        // One question without an answer is enough to fail.
        std::fs::write("/proc/sys/net/ipv4/neigh/v0/mcast_solicit", "1").unwrap();
        std::fs::write("/proc/sys/net/ipv4/neigh/v0/retrans_time_ms", "50").unwrap();
        ip("neigh add 192.0.2.20 lladdr 02:00:00:00:00:20 dev v0");
        ip("neigh add fd02::20 lladdr 02:00:00:00:00:21 dev v0");
        let index = link("v0");
        let look = |text: &str| Live::new().neighbour(address(text), index);
        for (text, lladdr) in [("192.0.2.20", "02:00:00:00:00:20"), ("fd02::20", "02:00:00:00:00:21")] {
            let found = look(text);
            let found = found.get().unwrap();
            assert_eq!((found.state, found.lladdr.as_deref()), (NeighbourState::Permanent, Some(lladdr)));
            assert_eq!((found.address, found.link), (address(text), index));
        }
        assert_eq!(look("192.0.2.99").missing().unwrap().reason, Reason::Absent);
        assert_eq!(look("fd02::99").missing().unwrap().reason, Reason::Absent);
        let socket = UdpSocket::bind("192.0.2.10:0").unwrap();
        socket.send_to(b"x", "192.0.2.30:9").unwrap();
        wait_for("failed neighbour", || look("192.0.2.30").value().is_some_and(|n| n.state == NeighbourState::Failed));
    });
}

#[test]
fn an_address_that_is_still_tentative_is_told() {
    if !is_root("an_address_that_is_still_tentative_is_told") {
        return;
    }
    in_new_namespace(|| {
        // Without carrier duplicate address detection does not start.
        ip("link add v0 type veth peer name v1");
        ip("link set v0 up");
        ip("addr add fd03::1/64 dev v0");
        ip("addr add 192.0.2.1/32 peer 192.0.2.2 dev v0");
        let addresses = Live::new().addresses();
        let find = |text: &str| addresses.get().unwrap().iter().find(|a| a.address == address(text)).cloned();
        assert!(find("fd03::1").unwrap().tentative);
        // Of a point-to-point link our own end counts.
        assert!(find("192.0.2.1").is_some() && find("192.0.2.2").is_none());
    });
}
