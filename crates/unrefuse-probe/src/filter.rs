//! The classic BPF program of the sniffing sockets: only answers to our attempts get through.
//!
//! The program runs in the kernel on every packet that comes in while the socket is open, so it looks at the packet
//! type and the protocol first. Instruction set: Documentation/networking/filter.rst. Offsets are from the network header
//! as they stand for a `SOCK_DGRAM` packet socket and an IPv4 raw socket; an IPv6 raw socket counts from the transport
//! header, so the IPv6 part asks for the network header by name.

use std::net::IpAddr;

/// What of a matching packet is kept: the answer with an ICMP error's quoted packet fits.
const SNAP: u32 = 576;
/// Beyond this many different ports the port is not looked at in the kernel; the match in user space is exact anyway.
const MAX_PORTS: usize = 16;

const LD_W_ABS: u16 = 0x20;
const LD_H_ABS: u16 = 0x28;
const LD_B_ABS: u16 = 0x30;
const LD_H_IND: u16 = 0x48;
const LD_B_IND: u16 = 0x50;
/// X = 4 * (byte at k & 0xf): the length of an IPv4 header.
const LDX_B_MSH: u16 = 0xb1;
const AND_K: u16 = 0x54;
const JEQ_K: u16 = 0x15;
const JSET_K: u16 = 0x45;
const RET_K: u16 = 0x06;

/// `SKF_AD_OFF + SKF_AD_PROTOCOL`, linux/filter.h.
const PROTOCOL: u32 = (-0x1000_i32) as u32;
/// `SKF_AD_OFF + SKF_AD_PKTTYPE`.
const PACKET_TYPE: u32 = (-0x1000_i32 + 4) as u32;
/// `SKF_NET_OFF`: offsets from here on are from the network header.
const NETWORK: u32 = (-0x10_0000_i32) as u32;
/// `PACKET_HOST`, linux/if_packet.h. On loopback each packet is seen twice; the way out is `PACKET_OUTGOING`.
const TO_THIS_HOST: u32 = 0;

/// An instruction's place, counted from the program's end.
type Place = usize;

/// A program under construction, last instruction first: every jump in BPF goes forward, so each target is known when
/// the jump is written.
struct Backwards(Vec<libc::sock_filter>);

impl Backwards {
    fn put(&mut self, code: u16, k: u32) -> Place {
        self.0.push(libc::sock_filter { code, jt: 0, jf: 0, k });
        self.0.len() - 1
    }
    fn jump(&mut self, code: u16, k: u32, then: Place, otherwise: Place) -> Place {
        let here = self.0.len();
        let distance = |to: Place| u8::try_from(here - to - 1).expect("the program is shorter than 256 instructions");
        self.0.push(libc::sock_filter { code, jt: distance(then), jf: distance(otherwise), k });
        here
    }
    /// `then` if the accumulator is one of `values`, else `otherwise`.
    fn any_of(&mut self, values: &[u32], then: Place, mut otherwise: Place) -> Place {
        if values.is_empty() {
            // The load before this must not fall through into somebody else's code. "Always true" leads to `otherwise`.
            return self.jump(JEQ_K, 0, otherwise, otherwise);
        }
        for value in values {
            otherwise = self.jump(JEQ_K, *value, then, otherwise);
        }
        otherwise
    }
    /// RST, or SYN and ACK, in the flags byte that the accumulator holds.
    fn answering_flags(&mut self, then: Place, otherwise: Place) -> Place {
        let syn_ack = self.jump(JEQ_K, 0x12, then, otherwise);
        let masked = self.put(AND_K, 0x12);
        debug_assert_eq!(masked, syn_ack + 1);
        self.jump(JSET_K, 0x04, then, masked)
    }
}

/// The part of an address that the kernel compares: all of an IPv4 address, the last 32 bits of an IPv6 address.
fn words(addresses: &[IpAddr], v6: bool) -> Vec<u32> {
    let mut words: Vec<u32> = addresses
        .iter()
        .filter_map(|address| match address {
            IpAddr::V4(v4) if !v6 => Some(u32::from(*v4)),
            IpAddr::V6(a) if v6 => Some(u128::from(*a) as u32),
            _ => None,
        })
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// The program for answers of `addresses` (at most 64) and `ports`: TCP segments from there with RST or SYN-ACK, and any
/// ICMP or ICMPv6 error (a router may send it).
pub(crate) fn program(addresses: &[IpAddr], ports: &[u16]) -> Vec<libc::sock_filter> {
    let mut ports: Vec<u32> = ports.iter().map(|port| u32::from(*port)).collect();
    ports.sort_unstable();
    ports.dedup();
    if ports.len() > MAX_PORTS {
        ports.clear();
    }
    let any_port = ports.is_empty();

    let mut p = Backwards(Vec::new());
    let keep = p.put(RET_K, SNAP);
    let drop = p.put(RET_K, 0);

    // IPv6; an answer carries no extension headers.
    p.any_of(&words(addresses, true), keep, drop);
    let address = p.put(LD_W_ABS, NETWORK + 20);
    p.any_of(&ports, address, if any_port { address } else { drop });
    let port = p.put(LD_H_ABS, NETWORK + 40);
    p.answering_flags(port, drop);
    let tcp = p.put(LD_B_ABS, NETWORK + 40 + 13);
    p.any_of(&[1, 3, 4], keep, drop);
    let icmp = p.put(LD_B_ABS, NETWORK + 40);
    let next = p.jump(JEQ_K, 6, tcp, drop);
    p.jump(JEQ_K, 58, icmp, next);
    let v6 = p.put(LD_B_ABS, NETWORK + 6);

    // IPv4, with options allowed, fragments not.
    p.any_of(&words(addresses, false), keep, drop);
    let address = p.put(LD_W_ABS, 12);
    p.any_of(&ports, address, if any_port { address } else { drop });
    let port = p.put(LD_H_IND, 0);
    p.answering_flags(port, drop);
    p.put(LD_B_IND, 13);
    let tcp = p.put(LDX_B_MSH, 0);
    p.any_of(&[3, 11, 12], keep, drop);
    p.put(LD_B_IND, 0);
    let icmp = p.put(LDX_B_MSH, 0);
    let next = p.jump(JEQ_K, 6, tcp, drop);
    p.jump(JEQ_K, 1, icmp, next);
    let protocol = p.put(LD_B_ABS, 9);
    p.jump(JSET_K, 0x1fff, drop, protocol);
    let v4 = p.put(LD_H_ABS, 6);

    let next = p.jump(JEQ_K, libc::ETH_P_IPV6 as u32, v6, drop);
    p.jump(JEQ_K, libc::ETH_P_IP as u32, v4, next);
    let family = p.put(LD_W_ABS, PROTOCOL);
    p.jump(JEQ_K, TO_THIS_HOST, family, drop);
    p.put(LD_W_ABS, PACKET_TYPE);

    p.0.reverse();
    p.0
}
