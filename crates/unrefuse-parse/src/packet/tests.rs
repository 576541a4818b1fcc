use super::*;
use proptest::prelude::*;

// Captured on loopback with a packet socket (SOCK_DGRAM) on Linux 6.18; the SYNs carried TOS or traffic class 0x48.
const RST4: &str = "454800280000400040063c867f0000017f0000010001e24000000000ed99f48c50140000ed650000";
const RST6: &str = "648aa2b7001406400000000000000000000000000000000100000000000000000000000000000001000187b00000000085d4826650140000001c0000";
const SYN_ACK4: &str = "4500003c0000400040063cba7f0000017f0000011538ec0c43f5529821b138daa012ffcbfe3000000204ffd70402080ac1cff47ee44a8e8b0103030a";
const PORT_UNREACHABLE4: &str = "45c00039d4f700004001a70a7f0000017f0000010303b612000000004500001d2dc2400040110f0c7f0000017f000001d0ba00090009fe1c78";
const PORT_UNREACHABLE6: &str = "6001f78400393a400000000000000000000000000000000100000000000000000000000000000001010439b20000000060051b8e000911400000000000000000000000000000000100000000000000000000000000000001bfc700090009001c78";
const ECHO_REPLY4: &str = "45000020d56a00004001a7707f0000017f000001000028fe1234000761626364";
const ECHO_REPLY6: &str =
    "600c9338000c3a40000000000000000000000000000000010000000000000000000000000000000181 00a7b51234000761626364";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b' ').collect();
    digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

/// An IPv6 packet with `chain` (each: next header's number of the *following* part, bytes) before `last`.
fn with_extensions(packet: &[u8], chain: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let (header, payload) = packet.split_at(40);
    let mut out = header.to_vec();
    let last = header[6];
    let mut body = Vec::new();
    for (i, (_, bytes)) in chain.iter().enumerate() {
        let mut bytes = bytes.clone();
        bytes[0] = chain.get(i + 1).map_or(last, |next| next.0);
        body.extend(bytes);
    }
    body.extend(payload);
    out[6] = chain.first().map_or(last, |first| first.0);
    out[4..6].copy_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
    out.extend(body);
    out
}

#[test]
fn a_rst_over_ipv4() {
    let answer = tcp(&hex(RST4)).unwrap();
    assert_eq!(answer.src, "127.0.0.1:1".parse().unwrap());
    assert_eq!(answer.dst, "127.0.0.1:57920".parse().unwrap());
    assert_eq!(answer.flags, TcpFlags { rst: true, ack: true, ..TcpFlags::default() });
    assert_eq!((answer.ttl, answer.tos, answer.ip_id, answer.flow_label), (64, 0x48, Some(0), None));
    assert_eq!((answer.seq, answer.ack_no), (0, 0xed99_f48c));
}

#[test]
fn a_rst_over_ipv6() {
    let answer = tcp(&hex(RST6)).unwrap();
    assert_eq!(answer.src, "[::1]:1".parse().unwrap());
    // The first word is 648aa2b7: version 6, traffic class 0x48, flow label 0xaa2b7.
    assert_eq!((answer.ttl, answer.tos, answer.flow_label, answer.ip_id), (64, 0x48, Some(0xaa2b7), None));
    assert!(answer.flags.rst && !answer.flags.syn);
}

#[test]
fn a_syn_ack_with_options() {
    let answer = tcp(&hex(SYN_ACK4)).unwrap();
    assert_eq!(answer.src.port(), 5432);
    assert_eq!(answer.flags, TcpFlags { syn: true, ack: true, ..TcpFlags::default() });
}

#[test]
fn icmp_errors_name_the_packet_they_are_about() {
    let error = icmp_error(&hex(PORT_UNREACHABLE4)).unwrap();
    assert_eq!((error.icmp_type, error.icmp_code, error.ttl, error.tos), (3, 3, 64, 0xc0));
    assert_eq!(error.quoted_transport, Transport::Udp);
    assert_eq!(error.quoted_src, "127.0.0.1:53434".parse().unwrap());
    assert_eq!(error.quoted_dst, "127.0.0.1:9".parse().unwrap());

    let error = icmp_error(&hex(PORT_UNREACHABLE6)).unwrap();
    assert_eq!((error.icmp_type, error.icmp_code, error.from), (1, 4, "::1".parse().unwrap()));
    assert_eq!(error.quoted_dst, "[::1]:9".parse().unwrap());
}

#[test]
fn a_quote_of_eight_bytes_of_tcp_is_enough() {
    // A router that quotes no more than RFC 792 asks for: a SYN cut after its sequence number.
    let syn = hex("4548003cb128400040068b497f0000017f000001e2400001ed99f48b");
    let error = [&hex(PORT_UNREACHABLE4)[..28], syn.as_slice()].concat();
    let error = icmp_error(&error).unwrap();
    assert_eq!((error.quoted_transport, error.quoted_dst.port()), (Transport::Tcp, 1));
}

#[test]
fn echo_replies() {
    let reply = echo_reply(&hex(ECHO_REPLY4)).unwrap();
    assert_eq!((reply.id, reply.seq, reply.from), (0x1234, 7, "127.0.0.1".parse().unwrap()));
    let reply = echo_reply(&hex(ECHO_REPLY6)).unwrap();
    assert_eq!((reply.id, reply.seq, reply.ttl), (0x1234, 7, 64));
    // A request is no reply, and an ICMPv6 type in an IPv4 packet is nothing.
    assert_eq!(echo_reply(&hex("45000020d5694000400167717f0000017f000001080020fe1234000761626364")), None);
    let mut odd = hex(ECHO_REPLY4);
    odd[9] = 58;
    odd[20] = 129;
    assert_eq!(echo_reply(&odd), None);
}

#[test]
fn extension_headers_are_passed_over() {
    let rst = hex(RST6);
    let plain = tcp(&rst);
    let options = |length: u8| [&[0, length, 1, 4, 0, 0, 0, 0][..], &vec![0; usize::from(length) * 8]].concat();
    let routing = vec![0, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let first = vec![0, 0, 0, 1, 0, 0, 0, 9];
    let later = vec![0, 0, 0, 9, 0, 0, 0, 9];
    // Hop-by-hop 0, routing 43, fragment 44, destination options 60 (RFC 8200, section 4).
    assert_eq!(tcp(&with_extensions(&rst, &[(0, options(0)), (60, options(3)), (43, routing)])), plain);
    assert_eq!(tcp(&with_extensions(&rst, &[(44, first.clone())])), plain);
    assert_eq!(tcp(&with_extensions(&rst, &[(44, first), (60, options(1))])), plain);
    assert_eq!(tcp(&with_extensions(&rst, &[(44, later)])), None, "a later fragment has no TCP header");
    // No next header (59) and an unknown one end the chain.
    assert_eq!(tcp(&with_extensions(&rst, &[(59, options(0))])), None);
    assert_eq!(tcp(&with_extensions(&rst, &[(253, options(0))])), None);
}

/// Found by fuzzing in a library tried before: the TCP header, taken for destination options, names a hop-by-hop
/// header next, which begins behind the packet's end.
#[test]
fn a_chain_that_breaks_off_gives_nothing() {
    let mut rst = hex(RST6);
    rst[6] = 60;
    assert_eq!(tcp(&rst), None);
    for length in 0..=255 {
        rst[41] = length;
        assert_eq!((tcp(&rst), icmp_error(&rst), echo_reply(&rst)), (None, None, None));
    }
}

#[test]
fn lengths_in_headers_bound_what_is_read() {
    // Padding behind the packet is not part of it.
    let mut padded = hex(RST4);
    padded[2..4].copy_from_slice(&39_u16.to_be_bytes());
    padded.extend([0; 6]);
    assert_eq!(tcp(&padded), None);
    // A data offset that points behind the end, or into the header itself.
    for offset in [0x40, 0xf0] {
        let mut rst = hex(RST4);
        rst[32] = offset;
        assert_eq!(tcp(&rst), None);
    }
    // IPv4 options are passed over: a header of 24 bytes.
    let rst = hex(RST4);
    let mut with_options = [&rst[..20], &[1, 1, 1, 0], &rst[20..]].concat();
    with_options[0] = 0x46;
    with_options[3] += 4;
    assert_eq!(tcp(&with_options), tcp(&rst));
    with_options[0] = 0x44;
    assert_eq!(tcp(&with_options), None);
}

#[test]
fn later_fragments_of_ipv4_give_nothing() {
    let mut rst = hex(RST4);
    rst[6..8].copy_from_slice(&[0x20, 0]);
    assert!(tcp(&rst).is_some(), "the first fragment has the header");
    rst[6..8].copy_from_slice(&[0, 1]);
    assert_eq!(tcp(&rst), None);
}

#[test]
fn cut_off_packets_give_nothing() {
    for packet in [RST4, RST6, SYN_ACK4] {
        let packet = hex(packet);
        let header = if packet[0] >> 4 == 4 { 40 } else { 60 };
        for cut in 0..header {
            assert_eq!(tcp(&packet[..cut]), None);
        }
    }
    let error = hex(PORT_UNREACHABLE4);
    for cut in 0..28 + 20 + 4 {
        assert_eq!(icmp_error(&error[..cut]), None);
    }
    for cut in 0..28 {
        assert_eq!(echo_reply(&hex(ECHO_REPLY4)[..cut]), None);
    }
}

#[test]
fn each_reader_takes_its_own_kind_only() {
    assert_eq!(tcp(&hex(PORT_UNREACHABLE4)), None);
    assert_eq!(icmp_error(&hex(RST4)), None);
    assert_eq!(icmp_error(&hex(ECHO_REPLY4)), None);
    assert_eq!(echo_reply(&hex(PORT_UNREACHABLE6)), None);
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = (tcp(&bytes), icmp_error(&bytes), echo_reply(&bytes));
    }

    #[test]
    fn any_change_of_a_real_packet(which in 0..4_usize, at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut packet = hex([RST6, PORT_UNREACHABLE6, PORT_UNREACHABLE4, ECHO_REPLY6][which]);
        let index = at.index(packet.len());
        packet[index] = byte;
        packet.truncate(cut.index(packet.len()) + 1);
        let _ = (tcp(&packet), icmp_error(&packet), echo_reply(&packet));
    }
}
