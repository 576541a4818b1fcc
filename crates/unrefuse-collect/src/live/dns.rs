//! What each configured name server says, asked directly.
//!
//! Every server is asked on a thread of its own, A and AAAA at once, over UDP with EDNS (RFC 6891) and over TCP where
//! the answer was cut (RFC 7766). The names asked are those that libc would ask, in its order (resolver(3)).

use super::dns_message::{Kind, Outcome, query, read};
use super::routes::index;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream, UdpSocket};
use std::time::{Duration, Instant};
use unrefuse_facts::{DnsAnswer, Errno, Missing, NameServer, Observed, Reason, ResolvConf, ServerAnswer, Source};

const PORT: u16 = 53;
/// Larger than any UDP answer we allow, so that nothing is cut unseen.
const DATAGRAM: usize = 4096;

/// Asks every server of `conf` for `host`. All answers are there after `wait`; what came too late is silent.
///
/// For each server in order: one answer per name that was asked of it. A server is asked for the next name of the
/// search list after "no such name", "no address" and a failure code, as libc does, not after silence.
pub(super) fn ask(conf: &ResolvConf, host: &str, port: Option<u16>, wait: Duration) -> Observed<Vec<ServerAnswer>> {
    if conf.servers.is_empty() {
        return Observed::Missing(Missing::new(Reason::Absent, "resolv.conf names no name server"));
    }
    let names = candidates(host, conf);
    let deadline = Instant::now() + wait;
    let port = port.unwrap_or(PORT);
    let answers = std::thread::scope(|scope| {
        let names = &names;
        let asked: Vec<_> = conf
            .servers
            .iter()
            .map(|server| {
                std::thread::Builder::new().spawn_scoped(scope, move || ask_server(server, port, names, deadline))
            })
            .collect();
        let answers = asked.into_iter().zip(&conf.servers);
        answers
            .flat_map(|(thread, server)| match thread.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(answers)) => answers,
                _ => vec![answer(
                    SocketAddr::new(server.address, port),
                    host,
                    DnsAnswer::NotSent("no thread".to_owned()),
                )],
            })
            .collect()
    });
    Observed::known(answers, Source::probed("name servers of resolv.conf"))
}

/// The names that libc asks for `host`, in its order: with enough dots (`ndots`) as it is first, else last
/// (`__res_context_search`, resolv/res_query.c of glibc). A final dot ends the search.
fn candidates(host: &str, conf: &ResolvConf) -> Vec<String> {
    if host.ends_with('.') {
        return vec![host.to_owned()];
    }
    let absolute = format!("{host}.");
    let searched = conf.search.iter().map(|domain| match domain.trim_matches('.') {
        "" => absolute.clone(),
        domain => format!("{host}.{domain}."),
    });
    let dots = host.bytes().filter(|&byte| byte == b'.').count();
    let mut names = Vec::new();
    if dots >= conf.ndots as usize {
        names.push(absolute.clone());
    }
    names.extend(searched);
    names.push(absolute);
    let mut seen = Vec::new();
    names.retain(|name| {
        let new = !seen.contains(name);
        seen.push(name.clone());
        new
    });
    names
}

fn answer(server: SocketAddr, name: &str, answer: DnsAnswer) -> ServerAnswer {
    ServerAnswer { server, name: name.to_owned(), answer, elapsed: Duration::ZERO }
}

fn ask_server(server: &NameServer, port: u16, names: &[String], deadline: Instant) -> Vec<ServerAnswer> {
    let address = match socket_address(server, port) {
        Ok(address) => address,
        Err(missing) => {
            let address = SocketAddr::new(server.address, port);
            return vec![answer(address, &names[0], DnsAnswer::NotSent(missing.detail))];
        }
    };
    let mut answers = Vec::new();
    for name in names {
        let start = Instant::now();
        let said = ask_name(address, name, deadline).unwrap_or_else(|error| failed(&error));
        let go_on = matches!(said, DnsAnswer::NoSuchName | DnsAnswer::NoAddress | DnsAnswer::Failure(_));
        answers.push(ServerAnswer { elapsed: start.elapsed(), ..answer(address, name, said) });
        if !go_on || Instant::now() >= deadline {
            break;
        }
    }
    answers
}

fn socket_address(server: &NameServer, port: u16) -> Result<SocketAddr, Missing> {
    match (server.address, &server.scope) {
        (IpAddr::V6(v6), Some(scope)) => Ok(SocketAddrV6::new(v6, port, 0, index(scope)?).into()),
        (address, _) => Ok(SocketAddr::new(address, port)),
    }
}

/// An error of sending or receiving: what an ICMP error became, or why nothing was sent.
fn failed(error: &std::io::Error) -> DnsAnswer {
    match error.kind() {
        ErrorKind::ConnectionRefused => DnsAnswer::Refused,
        ErrorKind::WouldBlock | ErrorKind::TimedOut => DnsAnswer::Silent,
        _ => DnsAnswer::NotSent(error.raw_os_error().map_or_else(|| error.to_string(), |n| Errno(n).to_string())),
    }
}

/// A question in flight.
struct Question {
    kind: Kind,
    id: u16,
    /// Some old servers answer EDNS with FORMERR; then it is asked again without (RFC 6891, 7).
    edns: bool,
    answer: Option<DnsAnswer>,
}

fn ask_name(server: SocketAddr, name: &str, deadline: Instant) -> std::io::Result<DnsAnswer> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    // Connected: only this server's datagrams come in, and its ICMP port unreachable becomes ECONNREFUSED (udp(7)).
    socket.connect(server)?;
    let mut questions = Vec::new();
    for kind in [Kind::A, Kind::Aaaa] {
        questions.push(Question { kind, id: id()?, edns: true, answer: None });
    }
    // A datagram may get lost: asked again once, at half time.
    let again = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
    for until in [again, deadline] {
        for question in questions.iter().filter(|question| question.answer.is_none()) {
            match query(question.id, name, question.kind, question.edns) {
                Some(bytes) => drop(socket.send(&bytes)?),
                None => return Ok(DnsAnswer::NotSent(format!("`{name}` cannot be asked for: it is no domain name"))),
            }
        }
        receive(&socket, server, name, &mut questions, until, deadline)?;
        if questions.iter().all(|question| question.answer.is_some()) {
            break;
        }
    }
    Ok(join(questions.into_iter().map(|question| question.answer.unwrap_or(DnsAnswer::Silent)).collect()))
}

fn receive(
    socket: &UdpSocket,
    server: SocketAddr,
    name: &str,
    questions: &mut [Question],
    until: Instant,
    deadline: Instant,
) -> std::io::Result<()> {
    let mut buffer = [0; DATAGRAM];
    while questions.iter().any(|question| question.answer.is_none()) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left))?;
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        for question in questions.iter_mut().filter(|question| question.answer.is_none()) {
            match read(&buffer[..length], question.id, name, question.kind) {
                // Not ours: a late answer, or forged.
                None => continue,
                Some(Outcome::NoEdns) if question.edns => {
                    question.edns = false;
                    question.id = id()?;
                    if let Some(bytes) = query(question.id, name, question.kind, false) {
                        socket.send(&bytes)?;
                    }
                }
                Some(Outcome::NoEdns) => question.answer = Some(DnsAnswer::Failure("FORMERR".to_owned())),
                Some(Outcome::Truncated) => {
                    let whole = over_tcp(server, name, question, deadline);
                    question.answer = Some(whole.unwrap_or_else(|e| {
                        DnsAnswer::Failure(format!("the answer does not fit a datagram, and over TCP: {e}"))
                    }));
                }
                Some(Outcome::Answer(answer)) => question.answer = Some(answer),
            }
            break;
        }
    }
    Ok(())
}

fn over_tcp(server: SocketAddr, name: &str, question: &Question, deadline: Instant) -> std::io::Result<DnsAnswer> {
    let left = || match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(std::io::Error::from(ErrorKind::TimedOut)),
        left => Ok(left),
    };
    let mut stream = TcpStream::connect_timeout(&server, left()?)?;
    let bytes = query(question.id, name, question.kind, question.edns).ok_or(ErrorKind::InvalidInput)?;
    let length = u16::try_from(bytes.len()).map_err(|_| ErrorKind::InvalidInput)?;
    stream.set_write_timeout(Some(left()?))?;
    stream.write_all(&[&length.to_be_bytes()[..], &bytes].concat())?;
    let mut answer = Vec::new();
    // A byte at a time must not stretch the deadline: it is looked at before each read.
    while answer.len() < 2 || answer.len() < 2 + usize::from(u16::from_be_bytes([answer[0], answer[1]])) {
        stream.set_read_timeout(Some(left()?))?;
        let mut piece = [0; DATAGRAM];
        match stream.read(&mut piece)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => answer.extend_from_slice(&piece[..read]),
        }
    }
    match read(&answer[2..], question.id, name, question.kind) {
        Some(Outcome::Answer(answer)) => Ok(answer),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

/// One answer out of those to A and AAAA: addresses of either, else the one that says most.
fn join(answers: Vec<DnsAnswer>) -> DnsAnswer {
    let addresses: Vec<IpAddr> = answers
        .iter()
        .flat_map(|answer| match answer {
            DnsAnswer::Addresses(addresses) => addresses.as_slice(),
            _ => &[],
        })
        .copied()
        .collect();
    if !addresses.is_empty() {
        return DnsAnswer::Addresses(addresses);
    }
    let weight = |answer: &DnsAnswer| match answer {
        DnsAnswer::NoSuchName => 0,
        DnsAnswer::Failure(_) => 1,
        DnsAnswer::Refused | DnsAnswer::NotSent(_) => 2,
        DnsAnswer::Silent => 3,
        DnsAnswer::NoAddress | DnsAnswer::Addresses(_) => 4,
    };
    answers.into_iter().min_by_key(weight).unwrap_or(DnsAnswer::Silent)
}

/// A number that nobody on the way can guess.
fn id() -> std::io::Result<u16> {
    let mut bytes = [0; 2];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u16::from_ne_bytes(bytes))
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
