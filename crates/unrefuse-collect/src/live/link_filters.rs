//! XDP programs, filters of tc(8) and lossy queueing disciplines: what may drop packets at an interface, where no rule of
//! the packet filter shows it.

use super::links::name;
use super::missing::missing;
use super::netlink::{Attributes, Netlink, u32_at};
use rustix::io::Errno;
use unrefuse_facts::{LinkFilter, LinkHook, Observed, Source};

const RTM_GETLINK: u16 = 18;
const RTM_GETQDISC: u16 = 38;
const RTM_GETTFILTER: u16 = 46;

/// `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)` and `TC_H_MIN_EGRESS` (include/uapi/linux/pkt_sched.h).
const INGRESS: u32 = 0xffff_fff2;
const EGRESS: u32 = 0xffff_fff3;

/// `BPF_TCX_INGRESS` and `BPF_TCX_EGRESS` (include/uapi/linux/bpf.h, since Linux 6.6).
const TCX_INGRESS: u32 = 46;
const TCX_EGRESS: u32 = 47;

/// So many interfaces are asked for their own; a router may have thousands.
const MOST_LINKS: usize = 64;

/// Actions that neither drop a packet nor hand it away (tc-skbedit(8), tc-connmark(8), …).
const HARMLESS: [&str; 7] = ["connmark", "csum", "ctinfo", "sample", "skbedit", "skbmod", "vlan"];

/// What is attached to the interfaces of this thread's network namespace.
pub(super) fn link_filters() -> Observed<Vec<LinkFilter>> {
    match all() {
        Ok(found) => Observed::known(found, Source::running("RTM_GETLINK, RTM_GETQDISC, RTM_GETTFILTER, bpf(2)")),
        Err(error) => Observed::Missing(missing("RTM_GETQDISC", error)),
    }
}

fn all() -> Result<Vec<LinkFilter>, Errno> {
    let mut netlink = Netlink::route()?;
    let stacked = netlink.list(RTM_GETLINK, &[0; 16], stacked)?;
    let mut found: Vec<LinkFilter> = Vec::new();
    let mut add = |index: u32, hook: LinkHook, what: String, source: &str| {
        let Some(own) = stacked.iter().find(|link| link.index == index) else { return };
        let (interface, links) = (own.name.clone(), above(&stacked, index));
        found.push(LinkFilter { interface, links, hook, what, source: source.to_owned() });
    };
    for link in &stacked {
        if let Some(program) = link.xdp {
            add(link.index, LinkHook::In, format!("XDP program {program}"), "RTM_GETLINK");
        }
    }
    for qdisc in netlink.list(RTM_GETQDISC, &[0; 20], qdisc)? {
        let hooks = match qdisc.kind.as_str() {
            // tc-netem(8): it is there to delay and lose packets.
            "netem" => {
                add(qdisc.link, LinkHook::Out, "queueing discipline netem".to_owned(), "RTM_GETQDISC");
                continue;
            }
            "clsact" => &[(INGRESS, LinkHook::In), (EGRESS, LinkHook::Out)][..],
            "ingress" => &[(INGRESS, LinkHook::In)][..],
            _ => continue,
        };
        for (parent, hook) in hooks {
            // struct tcmsg: family and padding, interface, handle, parent, info.
            let mut body = [0; 20];
            body[4..8].copy_from_slice(&qdisc.link.to_ne_bytes());
            body[12..16].copy_from_slice(&parent.to_ne_bytes());
            for what in netlink.list(RTM_GETTFILTER, &body, filter)? {
                add(qdisc.link, *hook, what, "RTM_GETTFILTER");
            }
        }
    }
    for link in stacked.iter().take(MOST_LINKS) {
        for (attached, hook) in [(TCX_INGRESS, LinkHook::In), (TCX_EGRESS, LinkHook::Out)] {
            if let Some(program) = first_program(link.index, attached) {
                add(link.index, hook, format!("tc program {program}"), "bpf(2)");
            }
        }
    }
    found.dedup();
    Ok(found)
}

/// An interface and what lies below it.
#[derive(Debug, PartialEq, Eq)]
struct Stacked {
    index: u32,
    name: String,
    /// The interface that it sends by, in this namespace.
    lower: Option<u32>,
    master: Option<u32>,
    /// The program's number.
    xdp: Option<u32>,
}

/// `struct ifinfomsg` and its attributes (include/uapi/linux/if_link.h).
fn stacked(message: &[u8]) -> Option<Stacked> {
    let index = u32_at(message, 4)?;
    let mut link = Stacked { index, name: String::new(), lower: None, master: None, xdp: None };
    // IFLA_LINK is of another namespace, or a veth's other end.
    let mut elsewhere = false;
    for (kind, value) in Attributes(message.get(16..)?) {
        match kind {
            3 => link.name = name(value),
            5 => link.lower = u32_at(value, 0).filter(|&lower| lower != 0 && lower != index),
            10 => link.master = u32_at(value, 0).filter(|&master| master != 0),
            // IFLA_LINKINFO with IFLA_INFO_KIND in it.
            18 => elsewhere |= Attributes(value).any(|(kind, value)| kind == 1 && name(value) == "veth"),
            // IFLA_LINK_NETNSID.
            37 => elsewhere = true,
            // IFLA_XDP with IFLA_XDP_PROG_ID in it, where one is attached.
            43 => link.xdp = Attributes(value).find(|(kind, _)| *kind == 4).and_then(|(_, value)| u32_at(value, 0)),
            _ => {}
        }
    }
    if elsewhere {
        link.lower = None;
    }
    Some(link)
}

/// The interface itself, those stacked on it, and the masters of all of them.
fn above(stacked: &[Stacked], index: u32) -> Vec<u32> {
    let mut found = vec![index];
    let mut next = 0;
    while let Some(&below) = found.get(next) {
        next += 1;
        let on_it = stacked.iter().filter(|link| link.lower == Some(below)).map(|link| link.index);
        let masters = stacked.iter().filter(|link| link.index == below).filter_map(|link| link.master);
        for link in on_it.chain(masters) {
            if !found.contains(&link) {
                found.push(link);
            }
        }
    }
    found
}

struct Qdisc {
    link: u32,
    kind: String,
}

/// `struct tcmsg` with TCA_KIND (include/uapi/linux/rtnetlink.h).
fn qdisc(message: &[u8]) -> Option<Qdisc> {
    let kind = Attributes(message.get(20..)?).find(|(kind, _)| *kind == 1).map(|(_, value)| name(value))?;
    Some(Qdisc { link: u32_at(message, 4)?, kind })
}

/// A filter that may drop a packet or hand it away: a program, or one with an action.
fn filter(message: &[u8]) -> Option<String> {
    let (mut kind, mut options) = (String::new(), None);
    for (number, value) in Attributes(message.get(20..)?) {
        match number {
            1 => kind = name(value),
            2 => options = Some(value),
            _ => {}
        }
    }
    // The kernel lists the filter's head first, without options.
    let options = options?;
    // TCA_…_ACT of each kind (include/uapi/linux/pkt_cls.h).
    let actions = match kind.as_str() {
        "bpf" => return Some("tc filter bpf".to_owned()),
        "u32" => 7,
        "basic" | "flower" => 3,
        "matchall" => 2,
        "fw" => 4,
        // Those of other kinds are not known.
        _ => return Some(format!("tc filter {kind}")),
    };
    let (_, actions) = Attributes(options).find(|(number, _)| *number == actions)?;
    let kind_of = |(_, action)| Attributes(action).find(|(number, _)| *number == 1).map(|(_, value)| name(value));
    let names: Vec<String> =
        Attributes(actions).filter_map(kind_of).filter(|name| !HARMLESS.contains(&name.as_str())).collect();
    (!names.is_empty()).then(|| format!("tc filter {kind} with {}", names.join(", ")))
}

/// The number of the first program at that hook of the interface; `None` also where the kernel has no such hook, or this
/// user may not ask (bpf(2), `BPF_PROG_QUERY`, which wants CAP_NET_ADMIN).
fn first_program(link: u32, attached: u32) -> Option<u32> {
    const BPF_PROG_QUERY: libc::c_int = 16;
    /// The part of `union bpf_attr` for this command; what follows is zero.
    #[repr(C)]
    struct Query {
        target: u32,
        attach_type: u32,
        query_flags: u32,
        attach_flags: u32,
        programs: u64,
        count: u32,
        rest: [u32; 11],
    }
    let mut programs = [0_u32; 64];
    let mut query = Query {
        target: link,
        attach_type: attached,
        query_flags: 0,
        attach_flags: 0,
        programs: programs.as_mut_ptr() as u64,
        count: 64,
        rest: [0; 11],
    };
    // SAFETY: the kernel reads and writes `query`, which lives across the call and is as long as said, and writes at most
    // `count` numbers to `programs`, which has room for them.
    let status =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_QUERY, std::ptr::from_mut(&mut query), size_of::<Query>()) };
    (status == 0 && query.count > 0).then_some(programs[0])
}

#[cfg(test)]
mod tests {
    use super::super::netlink::push_attribute;
    use super::*;

    fn nested(parts: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, value) in parts {
            push_attribute(&mut bytes, *kind, value);
        }
        bytes
    }

    fn message(kind: &str, options: Option<&[u8]>) -> Vec<u8> {
        let mut bytes = vec![0; 20];
        push_attribute(&mut bytes, 1, kind.as_bytes());
        if let Some(options) = options {
            push_attribute(&mut bytes, 2, options);
        }
        bytes
    }

    #[test]
    fn filters_that_may_drop_are_told_from_those_that_sort() {
        let acts = |name: &str| nested(&[(1, &nested(&[(1, name.as_bytes())]))]);
        let u32_with = |name: &str| filter(&message("u32", Some(&nested(&[(1, &[1, 0, 0, 0]), (7, &acts(name))]))));
        assert_eq!(u32_with("gact").as_deref(), Some("tc filter u32 with gact"));
        assert_eq!(u32_with("skbedit"), None);
        assert_eq!(filter(&message("u32", Some(&nested(&[(1, &[1, 0, 0, 0])])))), None, "it only sorts");
        assert_eq!(filter(&message("bpf", Some(&[]))).as_deref(), Some("tc filter bpf"));
        assert_eq!(filter(&message("bpf", None)), None, "the head of a list of filters");
        assert_eq!(filter(&message("route", Some(&[]))).as_deref(), Some("tc filter route"));
        assert_eq!(filter(&[0; 7]), None);
    }

    #[test]
    fn what_lies_on_an_interface_meets_its_filters() {
        let link = |index, lower, master| Stacked { index, name: String::new(), lower, master, xdp: None };
        // eth0 (2) is a port of br0 (4) and has the VLANs 3 and 5, of which 5 belongs to a VRF (6).
        let all = [
            link(1, None, None),
            link(2, None, Some(4)),
            link(3, Some(2), None),
            link(4, None, None),
            link(5, Some(2), Some(6)),
            link(6, None, None),
        ];
        assert_eq!(above(&all, 2), [2, 3, 5, 4, 6]);
        assert_eq!(above(&all, 1), [1]);
    }

    #[test]
    fn what_lies_below_in_another_namespace_or_beyond_a_cable_does_not_count() {
        let with = |more: &[(u16, &[u8])]| {
            let mut bytes = vec![0; 16];
            bytes[4..8].copy_from_slice(&7_u32.to_ne_bytes());
            let base: [(u16, &[u8]); 2] = [(3, b"eth0.7\0"), (5, &2_u32.to_ne_bytes())];
            bytes.extend(nested(&base));
            bytes.extend(nested(more));
            stacked(&bytes).unwrap()
        };
        assert_eq!(with(&[]).lower, Some(2));
        assert_eq!(with(&[(37, &[0, 0, 0, 0])]).lower, None);
        assert_eq!(with(&[(18, &nested(&[(1, b"veth\0")]))]).lower, None);
        let xdp = with(&[(43, &nested(&[(2, &[1]), (4, &9_u32.to_ne_bytes())]))]);
        assert_eq!((xdp.xdp, xdp.name.as_str()), (Some(9), "eth0.7"));
    }
}
