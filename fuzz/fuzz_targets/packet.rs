//! Packets: no packet is two things at once, and cutting its end off never makes it another one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_parse::packet::{echo_reply, icmp_error, tcp};

/// Real packets, captured on loopback: an IPv6 RST, an ICMP and an ICMPv6 error, an echo reply.
const REAL: [&[u8]; 4] = [
    b"\x64\x8a\xa2\xb7\x00\x14\x06\x40\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\
      \x00\x01\x87\xb0\x00\x00\x00\x00\x85\xd4\x82\x65\x50\x14\x00\x00\x00\x1c\x00\x00",
    b"\x45\xc0\x00\x39\xd4\xf7\x00\x00\x40\x01\xa7\x0a\x7f\0\0\x01\x7f\0\0\x01\x03\x03\xb6\x12\0\0\0\0\
      \x45\x00\x00\x1d\x2d\xc2\x40\x00\x40\x11\x0f\x0c\x7f\0\0\x01\x7f\0\0\x01\xd0\xba\x00\x09\x00\x09\xfe\x1c\x78",
    b"\x60\x01\xf7\x84\x00\x39\x3a\x40\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\
      \x01\x04\x39\xb2\0\0\0\0\x60\x05\x1b\x8e\x00\x09\x11\x40\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\
      \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\xbf\xc7\x00\x09\x00\x09\x00\x1c\x78",
    b"\x45\x00\x00\x20\xd5\x6a\x00\x00\x40\x01\xa7\x70\x7f\0\0\x01\x7f\0\0\x01\x00\x00\x28\xfe\x12\x34\x00\x07abcd",
];

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    for real in REAL {
        assert!(check(real), "a real packet is read");
        // The input laid over a real packet: most of it stays what it was, so that the deep parts are reached.
        let mut changed = real.to_vec();
        changed.extend(bytes.iter().skip(real.len()));
        for (old, new) in changed.iter_mut().zip(bytes) {
            *old ^= new;
        }
        check(&changed);
    }
});

fn check(bytes: &[u8]) -> bool {
    let kinds = [tcp(bytes).is_some(), icmp_error(bytes).is_some(), echo_reply(bytes).is_some()];
    assert!(kinds.iter().filter(|&&kind| kind).count() <= 1);
    if let Some(answer) = tcp(bytes) {
        assert_eq!(answer.src.is_ipv4(), answer.dst.is_ipv4());
        assert_eq!(answer.src.is_ipv4(), answer.ip_id.is_some());
        assert_eq!(answer.src.is_ipv6(), answer.flow_label.is_some());
        assert!(answer.flow_label.is_none_or(|label| label < 1 << 20));
    }
    if let Some(error) = icmp_error(bytes) {
        assert_eq!(error.quoted_src.is_ipv4(), error.quoted_dst.is_ipv4());
    }
    kinds.contains(&true)
}
