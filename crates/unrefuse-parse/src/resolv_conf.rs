//! resolv.conf(5): which name servers libc asks, and how.
//!
//! A real one (a virtual machine whose host fills it in):
//! ```text
//! nameserver 10.255.255.53
//! ```

use crate::{ipv4, lines};
use std::net::IpAddr;
use unrefuse_facts::{Location, NameServer, ResolvConf, text};

/// Name servers asked (`MAXNS` in resolv.h).
const MAX_SERVERS: usize = 3;
/// Search domains and ignored servers kept; libc knows no limit, a reader does.
const MAX_KEPT: usize = 1000;

/// Parses resolv.conf as glibc reads it (resolv/res_init.c; checked against the questions that getent(1) of glibc 2.36
/// sends).
///
/// A keyword counts only in lower case, at the very start of its line, and with a space or tab after it. The address
/// ends at the first blank, and a carriage return is no blank: **with `\r\n` line ends glibc takes no name server from
/// the file at all** and asks 127.0.0.1. IPv4 addresses have the forms of inet_aton(3), and IPv6 ones may have a scope.
/// Of `domain` and `search` the last one wins. Of the options only `ndots` (at most 15), `timeout` (at most 30) and
/// `attempts` (at most 5) are kept. Without a `nameserver` line there is one at 127.0.0.1, without a location.
/// [`ResolvConf::link_target`] is left to whoever reads the file.
///
/// ```
/// let conf = unrefuse_parse::resolv_conf::parse("/etc/resolv.conf", b"nameserver 10.255.255.53\n");
/// assert_eq!(conf.servers[0].address.to_string(), "10.255.255.53");
/// assert_eq!(conf.timeout_s, 5);
/// ```
pub fn parse(path: &str, bytes: &[u8]) -> ResolvConf {
    let mut conf = ResolvConf { ndots: 1, timeout_s: 5, attempts: 2, ..ResolvConf::default() };
    for (number, line) in lines::numbered(bytes) {
        let line = lines::c_string(line);
        if let Some(value) = keyword(line, b"nameserver") {
            let word = value.split(|&b| b == b' ' || b == b'\t').next().unwrap_or_default();
            if let Some((address, scope)) = server(word) {
                let location = Some(Location { path: path.to_owned(), line: number });
                let list = if conf.servers.len() < MAX_SERVERS { &mut conf.servers } else { &mut conf.ignored_servers };
                if list.len() < MAX_KEPT {
                    list.push(NameServer { address, scope, location });
                }
            }
        } else if let Some(value) = keyword(line, b"domain") {
            let domain = blank_parted(value).next();
            conf.search = domain.map_or(conf.search, |domain| vec![text::from_bytes(domain)]);
        } else if let Some(value) = keyword(line, b"search") {
            let list: Vec<String> = blank_parted(value).take(MAX_KEPT).map(text::from_bytes).collect();
            if !list.is_empty() {
                conf.search = list;
            }
        } else if let Some(value) = keyword(line, b"options") {
            options(value, &mut conf);
        }
    }
    if conf.servers.is_empty() {
        conf.servers.push(NameServer { address: IpAddr::from([127, 0, 0, 1]), scope: None, location: None });
    }
    conf
}

/// The value of `line` where it starts with that keyword and a blank.
fn keyword<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(name)?;
    let start = rest.iter().position(|&b| b != b' ' && b != b'\t').unwrap_or(rest.len());
    (start > 0).then(|| &rest[start..])
}

fn blank_parted(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b' ' || b == b'\t').filter(|word| !word.is_empty())
}

fn server(word: &[u8]) -> Option<(IpAddr, Option<String>)> {
    let word = std::str::from_utf8(word).ok()?;
    if let Some(address) = ipv4::inet_aton(word) {
        return Some((IpAddr::V4(address), None));
    }
    let (address, scope) = match word.split_once('%') {
        Some((address, scope)) => (address, Some(scope.to_owned())),
        None => (word, None),
    };
    Some((IpAddr::V6(address.parse().ok()?), scope))
}

/// `res_setoptions`: a value is what atoi(3) makes of it, cut to the largest allowed.
fn options(value: &[u8], conf: &mut ResolvConf) {
    for word in blank_parted(value) {
        for (name, field, most) in [
            (&b"ndots:"[..], &mut conf.ndots, 15),
            (b"timeout:", &mut conf.timeout_s, 30),
            (b"attempts:", &mut conf.attempts, 5),
        ] {
            if let Some(number) = word.strip_prefix(name) {
                let digits = number.iter().take_while(|b| b.is_ascii_digit());
                let value = digits.fold(0_u32, |n, &d| n.saturating_mul(10).saturating_add(u32::from(d - b'0')));
                *field = value.min(most);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn servers(bytes: &[u8]) -> Vec<String> {
        parse("r", bytes).servers.iter().map(|s| s.address.to_string()).collect()
    }

    /// Each line was given to getent(1) of glibc 2.36, and the servers it asked were noted.
    #[test]
    fn name_servers_as_glibc_takes_them() {
        for (line, asked) in [
            (&b"nameserver 127.0.0.2\n"[..], "127.0.0.2"),
            (b"nameserver\t127.2 trailing\n", "127.0.0.2"),
            (b"nameserver 0x7f.2\n", "127.0.0.2"),
            (b"nameserver 127.0.0.2\r\n", "127.0.0.1"),
            (b" nameserver 127.0.0.2\n", "127.0.0.1"),
            (b"nameserver 127.0.0.2#c\n", "127.0.0.1"),
            (b"nameserver 127.0.0.2;c\n", "127.0.0.1"),
            (b"NAMESERVER 127.0.0.2\n", "127.0.0.1"),
        ] {
            assert_eq!(servers(line), [asked], "{}", text::from_bytes(line));
        }
    }

    /// The names that getent(1) of glibc 2.36 asked for with each of these.
    #[test]
    fn the_last_of_domain_and_search_wins() {
        let search = |bytes: &[u8]| parse("r", bytes).search;
        assert_eq!(search(b"search a.x b.x # c\ndomain d.x\n"), ["d.x"]);
        assert_eq!(search(b"domain d.x e.x\nsearch a.x b.x # c\n"), ["a.x", "b.x", "#", "c"]);
        assert_eq!(search(b"search a.x\r\n"), ["a.x\r"]);
        assert!(search(b"search\n search s.x\n").is_empty());
        assert_eq!(search(b"search a.x\nsearch \n"), ["a.x"]);
    }

    #[test]
    fn the_fourth_server_is_ignored() {
        let conf =
            parse("/r", b"; c\nnameserver 1.1.1.1\nnameserver ::1\nnameserver fe80::1%eth0\nnameserver 9.9.9.9\n");
        assert_eq!(conf.servers.len(), 3);
        assert_eq!(conf.servers[2].scope.as_deref(), Some("eth0"));
        assert_eq!(conf.ignored_servers[0].location.as_ref().unwrap().to_string(), "/r:5");
    }

    #[test]
    fn without_a_server_it_is_this_machine() {
        let conf = parse("/r", b"");
        assert_eq!(conf.servers[0].address, IpAddr::from([127, 0, 0, 1]));
        assert_eq!(conf.servers[0].location, None);
        assert_eq!((conf.ndots, conf.timeout_s, conf.attempts), (1, 5, 2));
    }

    #[test]
    fn options_are_capped() {
        let conf = parse("r", b"options ndots:99 timeout:31 attempts:9 edns0\n");
        assert_eq!((conf.ndots, conf.timeout_s, conf.attempts), (15, 30, 5));
        let conf = parse("r", b"options ndots:2 timeout:x\noptions attempts:99999999999999\n");
        assert_eq!((conf.ndots, conf.timeout_s, conf.attempts), (2, 0, 5));
    }

    #[test]
    fn hostile_lines() {
        let long = [&b"search "[..], &b"a ".repeat(32 * 1024), b"\nnameserver \xff\nnameserver 1.2.3.4\0x\n"].concat();
        let conf = parse("r", &long);
        assert_eq!(conf.search.len(), MAX_KEPT);
        assert_eq!(conf.servers[0].address, IpAddr::from([1, 2, 3, 4]));
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let conf = parse("r", &bytes);
            prop_assert!((1..=MAX_SERVERS).contains(&conf.servers.len()));
        }
    }
}
