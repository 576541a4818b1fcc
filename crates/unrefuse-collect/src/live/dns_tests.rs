//! Name servers on loopback that behave well and badly.

use super::*;
use std::thread::JoinHandle;

/// A server on loopback: `reply` makes the answer to each question that comes in, until the test ends.
fn server(reply: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let thread = std::thread::spawn(move || {
        let mut buffer = [0; 512];
        // An empty datagram ends it.
        while let Ok((length @ 1.., peer)) = socket.recv_from(&mut buffer) {
            if let Some(bytes) = reply(&buffer[..length]) {
                socket.send_to(&bytes, peer).unwrap();
            }
        }
    });
    (address, thread)
}

fn stop((address, thread): (SocketAddr, JoinHandle<()>)) {
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[], address).unwrap();
    thread.join().unwrap();
}

fn conf(search: &[&str], ndots: u32) -> ResolvConf {
    ResolvConf {
        servers: vec![NameServer { address: [127, 0, 0, 1].into(), scope: None, location: None }],
        search: search.iter().map(|s| (*s).to_owned()).collect(),
        ndots,
        ..ResolvConf::default()
    }
}

/// The question as it came, made an answer with a response code and, for A, an address.
fn respond(query: &[u8], rcode: u8, address: Option<[u8; 4]>) -> Vec<u8> {
    let end = 12 + query[12..].iter().position(|&byte| byte == 0).unwrap() + 5;
    let mut bytes = query[..end].to_vec();
    bytes[2] |= 0x80;
    bytes[3] = rcode;
    let is_a = query[end - 3] == 1;
    let answer = address.filter(|_| is_a);
    bytes[6..12].copy_from_slice(&[0, u8::from(answer.is_some()), 0, 0, 0, 0]);
    if let Some(octets) = answer {
        bytes.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        bytes.extend_from_slice(&octets);
    }
    bytes
}

fn name_of(query: &[u8]) -> String {
    let (mut name, mut at) = (String::new(), 12);
    while query[at] != 0 {
        let length = usize::from(query[at]);
        name += &format!("{}.", std::str::from_utf8(&query[at + 1..at + 1 + length]).unwrap());
        at += 1 + length;
    }
    name
}

const WAIT: Duration = Duration::from_secs(3);

#[test]
fn the_search_list_is_followed_until_there_are_addresses() {
    let server = server(|query| {
        let known = name_of(query) == "db1.two.example.";
        Some(respond(query, if known { 0 } else { 3 }, known.then_some([10, 0, 0, 5])))
    });
    let answers = ask(&conf(&["one.example", "two.example", "three.example"], 1), "db1", Some(server.0.port()), WAIT);
    stop(server);
    let said: Vec<_> = answers.get().unwrap().iter().map(|a| (a.name.as_str(), a.answer.clone())).collect();
    let address = DnsAnswer::Addresses(vec![[10, 0, 0, 5].into()]);
    assert_eq!(said, [("db1.one.example.", DnsAnswer::NoSuchName), ("db1.two.example.", address)]);
}

#[test]
fn a_server_without_edns_is_asked_again_without() {
    let server = server(|query| {
        let edns = query[11] == 1;
        Some(respond(query, if edns { 1 } else { 0 }, (!edns).then_some([10, 0, 0, 6])))
    });
    let answers = ask(&conf(&[], 1), "old.example", Some(server.0.port()), WAIT);
    stop(server);
    assert_eq!(answers.get().unwrap()[0].answer, DnsAnswer::Addresses(vec![[10, 0, 0, 6].into()]));
}

#[test]
fn failures_are_named() {
    let server = server(|query| Some(respond(query, if name_of(query).starts_with('s') { 2 } else { 5 }, None)));
    let port = Some(server.0.port());
    let servfail = ask(&conf(&[], 1), "s.example", port, WAIT);
    let refused = ask(&conf(&[], 1), "r.example", port, WAIT);
    stop(server);
    assert_eq!(servfail.get().unwrap()[0].answer, DnsAnswer::Failure("SERVFAIL".into()));
    assert_eq!(refused.get().unwrap()[0].answer, DnsAnswer::Failure("REFUSED".into()));
}

#[test]
fn a_silent_server_costs_the_wait_and_no_more() {
    let server = server(|_| None);
    let start = Instant::now();
    let answers = ask(&conf(&["one.example"], 1), "db1", Some(server.0.port()), Duration::from_millis(200));
    let elapsed = start.elapsed();
    stop(server);
    assert_eq!(answers.get().unwrap().len(), 1);
    assert_eq!(answers.get().unwrap()[0].answer, DnsAnswer::Silent);
    assert!(elapsed >= Duration::from_millis(200) && elapsed < Duration::from_millis(1500), "{elapsed:?}");
}

#[test]
fn a_closed_port_is_refused() {
    // Bound, so that nobody else takes the port, then closed.
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let answers = ask(&conf(&[], 1), "db1.example", Some(port), WAIT);
    assert_eq!(answers.get().unwrap()[0].answer, DnsAnswer::Refused);
}

#[test]
fn forged_and_broken_answers_are_no_answers() {
    let server = server(|query| {
        let mut bytes = respond(query, 0, Some([6, 6, 6, 6]));
        bytes[0] ^= 0xff;
        Some(bytes)
    });
    let answers = ask(&conf(&[], 1), "db1.example", Some(server.0.port()), Duration::from_millis(200));
    stop(server);
    assert_eq!(answers.get().unwrap()[0].answer, DnsAnswer::Silent);
}

#[test]
fn a_cut_answer_is_fetched_over_tcp() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(address).unwrap();
    let udp = std::thread::spawn(move || {
        let mut buffer = [0; 512];
        for _ in 0..2 {
            let (length, peer) = socket.recv_from(&mut buffer).unwrap();
            let mut bytes = respond(&buffer[..length], 0, None);
            bytes[2] |= 0x02;
            socket.send_to(&bytes, peer).unwrap();
        }
    });
    let tcp = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut query).unwrap();
            let answer = respond(&query, 0, Some([10, 0, 0, 7]));
            // In two pieces: a stream has no message borders.
            stream.write_all(&(answer.len() as u16).to_be_bytes()).unwrap();
            stream.write_all(&answer).unwrap();
        }
    });
    let answers = ask(&conf(&[], 1), "big.example", Some(address.port()), WAIT);
    udp.join().unwrap();
    tcp.join().unwrap();
    assert_eq!(answers.get().unwrap()[0].answer, DnsAnswer::Addresses(vec![[10, 0, 0, 7].into()]));
}

#[test]
fn names_in_the_order_of_libc() {
    let names = |host, search: &[&str], ndots| candidates(host, &conf(search, ndots));
    assert_eq!(names("db1", &["a.example", "b.example"], 1), ["db1.a.example.", "db1.b.example.", "db1."]);
    assert_eq!(names("db1.lan", &["a.example"], 1), ["db1.lan.", "db1.lan.a.example."]);
    assert_eq!(names("db1.lan", &["a.example"], 5), ["db1.lan.a.example.", "db1.lan."]);
    assert_eq!(names("db1.", &["a.example"], 1), ["db1."]);
    assert_eq!(names("db1", &["."], 1), ["db1."]);
}

#[test]
fn a_name_that_is_none_is_not_sent() {
    let answers = ask(&conf(&[], 1), &"x".repeat(64), Some(9), WAIT);
    assert!(matches!(answers.get().unwrap()[0].answer, DnsAnswer::NotSent(_)));
}
