//! Proxy variables: `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`.
//!
//! Values as environments hold them:
//! ```text
//! https_proxy=http://user:secret@proxy.example:3128
//! no_proxy=localhost,127.0.0.1,.example.com,10.0.0.0/8
//! ```

use crate::target;
use std::net::IpAddr;

/// Host and port of a proxy, from the value of its variable, with a scheme or without.
///
/// Without a port it is the scheme's: 443 for https, 1080 for socks, socks4, socks4a, socks5 and socks5h, else 80. (curl
/// alone takes 1080 for http proxies too.) An IPv6 address comes without its brackets. `None` where there is no host,
/// or another scheme.
///
/// ```
/// use unrefuse_parse::proxy::endpoint;
/// assert_eq!(endpoint("http://user:secret@proxy.example:3128/"), Some(("proxy.example".to_owned(), 3128)));
/// assert_eq!(endpoint("[2001:db8::1]:8080"), Some(("2001:db8::1".to_owned(), 8080)));
/// ```
pub fn endpoint(value: &str) -> Option<(String, u16)> {
    let value = value.trim();
    let (scheme, rest) = match value.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => ("http".to_owned(), value),
    };
    let port = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        "socks" | "socks4" | "socks4a" | "socks5" | "socks5h" => 1080,
        _ => return None,
    };
    // Passwords in proxy variables are often not escaped: what counts is the last `@`.
    let server = rest.rsplit('@').next().unwrap_or_default();
    let server = server.split(['/', '?', '#']).next().unwrap_or_default();
    target::server(server, port)
}

/// The value of a proxy variable without user and password.
///
/// ```
/// assert_eq!(unrefuse_parse::proxy::redact("http://user:secret@proxy.example:3128"), "http://proxy.example:3128");
/// ```
pub fn redact(value: &str) -> String {
    let Some(at) = value.rfind('@') else { return value.to_owned() };
    let scheme = match value.find("://") {
        Some(end) if end < at && value[..end].bytes().all(|b| b.is_ascii_alphanumeric()) => &value[..end + 3],
        _ => "",
    };
    format!("{scheme}{}", &value[at + 1..])
}

/// Whether `no_proxy` keeps connections to `host` and `port` from the proxy, as curl has it
/// (<https://curl.se/libcurl/c/CURLOPT_NOPROXY.html>, lib/noproxy.c).
///
/// A list parted by commas or blanks. A name matches itself and everything below it, with a leading dot or without;
/// the dot at the end of a name does not count. `*` matches everything where it is the whole value. An address matches
/// itself however it is written, with brackets or without, and `10.0.0.0/8` its network. Beyond curl, an entry may have
/// a port, `example.com:8080`, which must then be the one asked for (Go's httpproxy and Python's urllib have that).
///
/// ```
/// use unrefuse_parse::proxy::bypassed;
/// assert!(bypassed("localhost,.example.com", "www.example.com", 443));
/// assert!(!bypassed("localhost,.example.com", "www.notexample.com", 443));
/// ```
pub fn bypassed(no_proxy: &str, host: &str, port: u16) -> bool {
    if no_proxy.trim() == "*" {
        return !host.is_empty();
    }
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let address: Option<IpAddr> = host.split('%').next().unwrap_or_default().parse().ok();
    no_proxy.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty()).any(|entry| match address
    {
        Some(address) => address_matches(entry, address, port),
        None => name_matches(entry, host, port),
    })
}

fn name_matches(entry: &str, host: &str, port: u16) -> bool {
    let entry = match entry.split_once(':') {
        Some((name, wanted)) if wanted.parse() == Ok(port) => name,
        Some(_) => return false,
        None => entry,
    };
    let entry = entry.strip_suffix('.').unwrap_or(entry);
    let entry = entry.strip_prefix('.').unwrap_or(entry).as_bytes();
    let host = host.strip_suffix('.').unwrap_or(host).as_bytes();
    if entry.is_empty() || entry.len() > host.len() {
        return false;
    }
    let (head, tail) = host.split_at(host.len() - entry.len());
    tail.eq_ignore_ascii_case(entry) && head.last().is_none_or(|&b| b == b'.')
}

fn address_matches(entry: &str, address: IpAddr, port: u16) -> bool {
    if let Some((network, bits)) = entry.split_once('/') {
        let (Ok(network), Ok(bits)) = (network.parse(), bits.parse()) else { return false };
        return in_network(address, network, bits);
    }
    let (entry, wanted) = match entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((entry, "")) => (entry, None),
        Some((entry, rest)) => (entry, Some(rest.strip_prefix(':').unwrap_or(rest))),
        None => match entry.split_once(':') {
            Some((entry, wanted)) if !wanted.contains(':') => (entry, Some(wanted)),
            _ => (entry, None),
        },
    };
    entry.parse() == Ok(address) && wanted.is_none_or(|wanted| wanted.parse() == Ok(port))
}

fn in_network(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let (differing, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => (u128::from(a.to_bits() ^ n.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(n)) => (a.to_bits() ^ n.to_bits(), 128),
        _ => return false,
    };
    bits <= width && differing.checked_shr(width - bits).is_none_or(|rest| rest == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn endpoints() {
        for (value, host, port) in [
            ("http://proxy:3128", "proxy", 3128),
            ("proxy:3128", "proxy", 3128),
            ("proxy", "proxy", 80),
            ("https://proxy", "proxy", 443),
            ("SOCKS5H://proxy/", "proxy", 1080),
            ("http://u:p@[::1]:8080/", "::1", 8080),
            ("http://u:p/@#w@proxy:1/?x", "proxy", 1),
            (" http://10.0.0.1:8080 ", "10.0.0.1", 8080),
        ] {
            assert_eq!(endpoint(value), Some((host.to_owned(), port)), "{value}");
        }
        for bad in ["", "http://", "http://:3128", "direct://", "http://h:0", "http://h:99999", "http://h:x", "h\nx:1"]
        {
            assert_eq!(endpoint(bad), None, "{bad}");
        }
    }

    #[test]
    fn users_and_passwords_go() {
        for (value, shown) in [
            ("http://u:p@h:1/", "http://h:1/"),
            ("u:p@h:1", "h:1"),
            ("http://u:p/@w@h", "http://h"),
            ("http://h:1", "http://h:1"),
            ("u:p://x@h", "h"),
            ("localhost,.example.com", "localhost,.example.com"),
        ] {
            assert_eq!(redact(value), shown);
        }
    }

    #[test]
    fn names_match_from_the_right() {
        for (list, host, yes) in [
            ("example.com", "example.com", true),
            ("example.com", "www.Example.COM", true),
            (".example.com", "example.com", true),
            ("example.com.", "www.example.com", true),
            ("example.com", "example.com.", true),
            ("example.com", "notexample.com", false),
            ("www.example.com", "example.com", false),
            ("a, example.com", "example.com", true),
            ("a example.com", "example.com", true),
            ("*", "anything", true),
            ("*,a", "anything", false),
            (".", "a.", false),
            ("", "a", false),
            ("example.com:8080", "example.com", true),
            ("example.com:80", "example.com", false),
            ("käse.de", "se.de", false),
        ] {
            assert_eq!(bypassed(list, host, 8080), yes, "{list} {host}");
        }
    }

    #[test]
    fn addresses_match_as_addresses() {
        for (list, host, yes) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("0.0.1", "127.0.0.1", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.0.0.0/33", "10.0.0.0", false),
            ("0.0.0.0/0", "10.1.2.3", true),
            ("::1", "::1", true),
            ("[::1]", "0:0:0:0:0:0:0:1", true),
            ("[::1]:443", "[::1]", true),
            ("[::1]:80", "::1", false),
            ("2001:db8::/32", "2001:db8:1::5", true),
            ("::/0", "::5", true),
            ("fe80::/10", "fe80::1%eth0", true),
            ("10.0.0.1:443", "10.0.0.1", true),
            ("10.0.0.1:80", "10.0.0.1", false),
        ] {
            assert_eq!(bypassed(list, host, 443), yes, "{list} {host}");
        }
    }

    proptest! {
        #[test]
        fn any_text(list in ".{0,40}", host in ".{0,20}", port: u16) {
            let _ = bypassed(&list, &host, port);
            let _ = endpoint(&list);
            prop_assert!(!redact(&list).contains('@'));
        }

        #[test]
        fn the_password_is_never_shown(password in "[a-z/:@#?]{4,12}Q") {
            let shown = redact(&format!("http://user:{password}@proxy:3128"));
            prop_assert_eq!(shown, "http://proxy:3128");
        }
    }
}
