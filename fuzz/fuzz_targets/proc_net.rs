//! /proc/net: what is found is of the table's family and protocol, and the number of lines bounds it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_facts::{Family, SocketState, Transport};
use unrefuse_parse::proc_net::{sockets, unix_listens};

/// A real line of /proc/net/tcp6.
const REAL: &[u8] = b"   1: 00000000000000000000000001000000:D366 00000000000000000000000001000000:1F90 01 00000000:00000000 00:00000000 00000000     0        0 14207 2 000000002ee57a15 20 0 0 10 -1\n";

fuzz_target!(|input: (u8, &[u8])| {
    let (at, bytes) = input;
    check(bytes);
    // The input put into a real line, in place of as much of it, so that the later fields are reached.
    let at = usize::from(at) % REAL.len();
    let after = REAL.get(at + bytes.len()..).unwrap_or_default();
    check(&[&REAL[..at], bytes, after].concat());
});

fn check(bytes: &[u8]) {
    let lines = bytes.split(|&b| b == b'\n').count();
    for transport in [Transport::Tcp, Transport::Udp] {
        for family in [Family::V4, Family::V6] {
            let all = sockets(transport, family, bytes, |_| true);
            assert!(all.len() <= lines);
            for socket in &all {
                assert_eq!((socket.transport, socket.family()), (transport, family));
                assert!(socket.state != SocketState::Listen || socket.send_queue.is_none());
                assert!(socket.remote.is_none_or(|remote| remote.is_ipv4() == (family == Family::V4)));
            }
            let listeners = sockets(transport, family, bytes, |socket| socket.state == SocketState::Listen);
            assert_eq!(listeners.len(), all.iter().filter(|socket| socket.state == SocketState::Listen).count());
        }
    }
    // The path is taken from the input too, so that it has a chance to be in it.
    if let Some(path) = bytes.rsplit(|&b| b == b' ').next().and_then(|word| std::str::from_utf8(word).ok()) {
        let _ = unix_listens(bytes, path.trim_end_matches('\n'));
    }
    let _ = unix_listens(bytes, "/run/x.sock");
}
