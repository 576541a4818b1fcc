//! Names as they are inside of a container that is stood in: by its own files and name servers.
//!
//! getaddrinfo(3) reads the files of its own mount namespace. Entering the container's would make libc load whatever
//! library the container's nsswitch.conf names, with our rights: so the files are read from outside, within the
//! container's root, and the order `files`, `dns` is followed by ourselves. What else nsswitch.conf names is not asked.

use super::names::Files;
use super::{dns, links, names};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use unrefuse_facts::{DnsAnswer, Family, HostsFile, NameError, NsSwitch, Resolution, Target};

/// As long as name servers are asked beside a slow resolver.
const WAIT: Duration = Duration::from_millis(1500);

type Answer = Result<Vec<IpAddr>, NameError>;

/// Resolves the target's name, which is no address.
pub(super) fn resolve(target: &Target, family: Option<Family>, files: &Files) -> Resolution {
    let start = Instant::now();
    let switch = names::nsswitch(files);
    let (order, skipped) = order(switch.value());
    let mut result = Err(NameError::NotFound);
    let mut details = Vec::new();
    for source in order {
        let (answer, detail) = match source {
            Source::Files => (in_hosts(names::hosts_file(files).value(), &target.host), None),
            Source::Dns => by_dns(target, files),
        };
        details.extend(detail);
        result = answer;
        if result.is_ok() {
            break;
        }
    }
    details.extend(
        skipped.map(|other| format!("{} names {other}, which was not asked", files.path("/etc/nsswitch.conf"))),
    );
    let result = result.and_then(|addresses| {
        let mut wanted: Vec<SocketAddr> = Vec::new();
        for ip in addresses.into_iter().filter(|ip| family.is_none_or(|family| Family::of(ip) == family)) {
            let address = SocketAddr::new(ip.to_canonical(), target.port);
            if !wanted.contains(&address) {
                wanted.push(address);
            }
        }
        // Engines write `::1 localhost` also where the container has no IPv6. Its programs ask for families that have an
        // address only (AI_ADDRCONFIG; musl always does).
        let no_ipv6 = links::addresses().value().is_some_and(|own| own.iter().all(|a| a.address.is_ipv4()));
        if no_ipv6 && wanted.iter().any(SocketAddr::is_ipv4) {
            wanted.retain(SocketAddr::is_ipv4);
        }
        // What has no way from here goes last, IPv6 comes first (RFC 6724, 6, rules 1 and 6).
        wanted.sort_by_key(|address| (!has_way(*address), address.is_ipv4()));
        if wanted.is_empty() { Err(NameError::NoAddress) } else { Ok(wanted) }
    });
    let detail = (!details.is_empty() && result.is_err()).then(|| details.join("; "));
    Resolution { result, detail, elapsed: start.elapsed() }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Files,
    Dns,
}

/// The sources in their order, and the first that cannot be asked. Without the line glibc asks `files dns`, as musl always
/// does.
fn order(switch: Option<&NsSwitch>) -> (Vec<Source>, Option<String>) {
    let Some(switch) = switch else { return (vec![Source::Files, Source::Dns], None) };
    let words: Vec<&str> = switch.services.iter().filter_map(|service| service.split_whitespace().next()).collect();
    let sources = words.iter().filter_map(|word| match *word {
        "files" => Some(Source::Files),
        "dns" | "resolve" => Some(Source::Dns),
        _ => None,
    });
    let other = words.iter().find(|word| !matches!(**word, "files" | "dns" | "resolve" | "myhostname"));
    (sources.collect(), other.map(|word| (*word).to_owned()))
}

fn in_hosts(hosts: Option<&HostsFile>, host: &str) -> Answer {
    let host = host.trim_end_matches('.');
    let entries = hosts.into_iter().flat_map(|hosts| &hosts.entries);
    let named = entries.filter(|entry| entry.names.iter().any(|name| name.eq_ignore_ascii_case(host)));
    let found: Vec<IpAddr> = named.map(|entry| entry.address).collect();
    if found.is_empty() { Err(NameError::NotFound) } else { Ok(found) }
}

/// The first server's answer that is one (resolver(3)).
fn by_dns(target: &Target, files: &Files) -> (Answer, Option<String>) {
    let conf = names::resolv_conf(files);
    let answers =
        match conf.get().map_err(Clone::clone).and_then(|conf| dns::ask(conf, &target.host, None, WAIT).into_value()) {
            Ok(answers) => answers,
            Err(missing) => return (Err(NameError::TryAgain), Some(missing.detail)),
        };
    // All that was asked of the first server that answered.
    let silent = |answer: &DnsAnswer| matches!(answer, DnsAnswer::Silent | DnsAnswer::Refused | DnsAnswer::NotSent(_));
    let Some(server) = answers.iter().find(|answer| !silent(&answer.answer)).map(|answer| answer.server) else {
        return (
            Err(NameError::TryAgain),
            Some(format!("no name server of {} answers", files.path("/etc/resolv.conf"))),
        );
    };
    let mut result = Err(NameError::NotFound);
    for answer in answers.into_iter().filter(|answer| answer.server == server) {
        result = match answer.answer {
            DnsAnswer::Addresses(addresses) => return (Ok(addresses), None),
            DnsAnswer::NoAddress => Err(NameError::NoAddress),
            DnsAnswer::Failure(_) => Err(NameError::TryAgain),
            _ => result,
        };
    }
    (result, Some(format!("{} was asked", server.ip())))
}

/// The kernel knows a way: connect(2) of a datagram socket looks it up and sends nothing.
fn has_way(address: SocketAddr) -> bool {
    let any: SocketAddr = if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    UdpSocket::bind(any).and_then(|socket| socket.connect(address)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;
    use unrefuse_facts::Protocol;

    fn asked(host: &str, root: &Root, family: Option<Family>) -> Result<Vec<SocketAddr>, NameError> {
        let target = unrefuse_parse::target::parse(&[&format!("{host}:80")], false).unwrap();
        assert_eq!(target.protocol, Protocol::Tcp);
        resolve(&target, family, &Files::below(root.path()).unwrap()).result
    }

    #[test]
    fn by_the_files_within_the_root() {
        let root = Root::new("inner-names");
        root.file("/data/hosts", "127.0.0.1 localhost\n::1 localhost\n172.17.0.1 host.docker.internal\n");
        // Absolute links stay within the root, and do not lead to the machine's own files.
        root.link("/etc/hosts", "/data/hosts");
        root.link("/etc/resolv.conf", "/../../../etc/hostname");
        root.file("/etc/nsswitch.conf", "hosts: files mdns4_minimal [NOTFOUND=return]\n");
        let v4: SocketAddr = "127.0.0.1:80".parse().unwrap();
        assert!(asked("localhost", &root, None).unwrap().contains(&v4));
        assert_eq!(asked("LOCALHOST", &root, Some(Family::V4)), Ok(vec![v4]));
        assert_eq!(asked("host.docker.internal", &root, None).unwrap().len(), 1);
        assert_eq!(asked("host.docker.internal", &root, Some(Family::V6)), Err(NameError::NoAddress));
        assert_eq!(asked("db", &root, None), Err(NameError::NotFound));
    }

    #[test]
    fn without_name_servers_a_name_is_no_proof_of_absence() {
        let root = Root::new("inner-names-bare");
        root.file("/etc/hosts", "");
        assert_eq!(asked("db", &root, None), Err(NameError::TryAgain));
    }

    #[test]
    fn the_order_of_nsswitch() {
        let switch =
            |line: &[&str]| NsSwitch { services: line.iter().map(|s| (*s).to_owned()).collect(), location: None };
        assert_eq!(order(None), (vec![Source::Files, Source::Dns], None));
        let (sources, other) = order(Some(&switch(&["dns", "sss", "files"])));
        assert_eq!((sources, other.as_deref()), (vec![Source::Dns, Source::Files], Some("sss")));
    }
}
