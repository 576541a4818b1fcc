use super::*;
use crate::samples;
use proptest::prelude::*;

const TCP: &[u8] = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     
   0: 0100007F:1538 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 14202 4 00000000b6908a32 100 0 0 10 0                     
   1: 0100007F:1538 0100007F:EBE8 01 00000000:00000005 00:00000000 00000000     0        0 0 1 0000000037a30489 20 4 30 10 -1                        
   2: 0100007F:EBE8 0100007F:1538 01 00000000:00000000 00:00000000 00000000     0        0 14203 2 0000000067295fd6 20 0 0 11 -1                     
";
const TCP6: &[u8] = b"  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000001 00:00000000 00000000     0        0 14206 2 000000006a034f18 100 0 0 10 0
   1: 00000000000000000000000001000000:D366 00000000000000000000000001000000:1F90 01 00000000:00000000 00:00000000 00000000     0        0 14207 2 000000002ee57a15 20 0 0 10 -1
";
const UDP: &[u8] = b"   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops            
 7134: 3500007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 14208 2 00000000b8575e72 0         
13189: 0100007F:97DC 0100007F:0009 01 00000000:00000000 00:00000000 00000000     0        0 14210 2 00000000d57430ec 0         
";
const UNIX: &[u8] = b"Num       RefCount Protocol Flags    Type St Inode Path
00000000c1b8c062: 00000002 00000000 00010000 0001 01 14211 /tmp/smp/a b.sock
0000000049cc5f01: 00000002 00000000 00010000 0001 01 14212 @abs name
000000001861fc71: 00000003 00000000 00000000 0001 03  1588
00000000974a3dca: 00000003 00000000 00000000 0001 03  1590 /run/connected.sock
";

#[cfg(target_endian = "little")]
#[test]
fn tcp_as_captured() {
    let all = sockets(Transport::Tcp, Family::V4, TCP, |_| true);
    assert_eq!(all.len(), 3);
    assert_eq!(all[0].local, "127.0.0.1:5432".parse().unwrap());
    assert_eq!((all[0].state, all[0].remote, all[0].recv_queue), (SocketState::Listen, None, 3));
    assert_eq!((all[1].state, all[1].recv_queue, all[1].inode), (SocketState::Established, 5, 0));
    assert_eq!(all[1].remote, Some("127.0.0.1:60392".parse().unwrap()));
}

#[cfg(target_endian = "little")]
#[test]
fn tcp6_as_captured() {
    let all = sockets(Transport::Tcp, Family::V6, TCP6, |_| true);
    assert_eq!(all[0].local, "[::]:8080".parse().unwrap());
    assert_eq!((all[0].v6only, all[0].inode), (None, 14206));
    assert_eq!(all[1].remote, Some("[::1]:8080".parse().unwrap()));
}

#[cfg(target_endian = "little")]
#[test]
fn udp_as_captured() {
    let all = sockets(Transport::Udp, Family::V4, UDP, |_| true);
    assert_eq!(all[0].local, "127.0.0.53:53".parse().unwrap());
    assert_eq!(all[0].state, SocketState::Unconnected);
    assert_eq!(all[1].state, SocketState::Established);
}

#[test]
fn a_table_of_the_other_family_has_no_line_to_read() {
    assert!(sockets(Transport::Tcp, Family::V6, TCP, |_| true).is_empty());
    assert!(sockets(Transport::Tcp, Family::V4, TCP6, |_| true).is_empty());
}

#[test]
fn torn_lines_are_passed_over() {
    let line = &TCP[TCP.iter().position(|&b| b == b'\n').unwrap() + 1..][..110];
    assert_eq!(sockets(Transport::Tcp, Family::V4, line, |_| true).len(), 1);
    for cut in 0..89 {
        assert!(sockets(Transport::Tcp, Family::V4, &line[..cut], |_| true).is_empty(), "{cut}");
    }
}

#[test]
fn nonsense_in_a_field_makes_no_socket() {
    for (old, new) in [
        ("0100007F", "+100007F"),
        ("0100007F", "\u{0660}00007F"),
        (":1538", ":11538"),
        (" 0A ", " 0F "),
        ("14202", "-1"),
        ("14202", "99999999999999999999"),
        ("   0:", "   0"),
    ] {
        let text = std::str::from_utf8(&TCP[..400]).unwrap().replacen(old, new, 1);
        let all = sockets(Transport::Tcp, Family::V4, text.as_bytes(), |s| s.state == SocketState::Listen);
        assert!(all.is_empty(), "{old} -> {new}");
    }
}

#[test]
fn want_decides_what_is_kept() {
    let mut seen = 0;
    let kept = sockets(Transport::Tcp, Family::V4, TCP, |socket| {
        seen += 1;
        socket.state == SocketState::Listen
    });
    assert_eq!((seen, kept.len()), (3, 1));
}

/// The machine's own table: whatever the kernel writes is read, line for line.
#[test]
fn the_tables_of_this_machine() {
    for (transport, family, path) in [
        (Transport::Tcp, Family::V4, "/proc/net/tcp"),
        (Transport::Tcp, Family::V6, "/proc/net/tcp6"),
        (Transport::Udp, Family::V4, "/proc/net/udp"),
        (Transport::Udp, Family::V6, "/proc/net/udp6"),
    ] {
        let Some(bytes) = samples::read(path) else { continue };
        let lines = bytes.iter().filter(|&&b| b == b'\n').count();
        assert_eq!(sockets(transport, family, &bytes, |_| true).len() + 1, lines, "{path}");
    }
}

#[test]
fn unix_paths_are_compared_whole() {
    assert!(unix_listens(UNIX, "/tmp/smp/a b.sock"));
    assert!(unix_listens(UNIX, "@abs name"));
    assert!(!unix_listens(UNIX, "b.sock"));
    assert!(!unix_listens(UNIX, "name"));
    assert!(!unix_listens(UNIX, ""));
    assert!(!unix_listens(UNIX, "Path"));
    assert!(!unix_listens(UNIX, "/run/connected.sock"), "a connected socket does not listen");
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), path in ".{0,20}") {
        let _ = sockets(Transport::Tcp, Family::V4, &bytes, |_| true);
        let _ = sockets(Transport::Udp, Family::V6, &bytes, |_| true);
        let _ = unix_listens(&bytes, &path);
    }

    #[test]
    fn any_socket_is_read_back(ip: [u8; 16], port: u16, inode: u64, uid: u32, queue: u32) {
        let word = |i: usize| u32::from_ne_bytes(ip[i * 4..i * 4 + 4].try_into().unwrap());
        let line = format!(
            "{:4}: {:08X}{:08X}{:08X}{:08X}:{port:04X} {:032}:0000 0A 00000000:{queue:08X} 00:00000000 00000000 {uid:5} {:8} {inode} 2 0",
            0, word(0), word(1), word(2), word(3), 0, 0
        );
        let all = sockets(Transport::Tcp, Family::V6, line.as_bytes(), |_| true);
        prop_assert_eq!(all[0].local, SocketAddr::new(IpAddr::from(ip), port));
        prop_assert_eq!((all[0].inode, all[0].uid, all[0].recv_queue), (inode, uid, queue));
    }
}
