//! Values that several places say: which one wins, what is beaten, and addresses and ports as configurations write them.

use super::Parsed;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use unrefuse_facts::{Beaten, ConfiguredListen, ListenAddress, Origin, Protocol, Setting};

/// A value with the place that says it.
#[derive(Debug, Clone)]
pub(crate) struct Said<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

/// Addresses that one place says, with what it says of `IPV6_V6ONLY`.
pub(crate) type Addresses = Vec<(ListenAddress, Option<bool>)>;

impl<T> Said<T> {
    pub(crate) fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }
}

fn beaten_addresses(said: Said<Addresses>) -> Beaten {
    let addresses = said.value.into_iter().map(|(address, _)| address).collect();
    Beaten { origin: said.origin, addresses, port: None }
}

/// The last of `said` and the setting that it is; the default where nothing says it.
pub(crate) fn last_addresses(mut said: Vec<Said<Addresses>>, default: Said<Addresses>) -> (Addresses, Setting) {
    let winner = said.pop().unwrap_or(default);
    (winner.value, Setting { origin: winner.origin, beats: said.into_iter().map(beaten_addresses).collect() })
}

/// The same of ports.
pub(crate) fn last_port(mut said: Vec<Said<u16>>, default: Said<u16>) -> (u16, Setting) {
    let winner = said.pop().unwrap_or(default);
    let beats = said
        .into_iter()
        .map(|one| Beaten { origin: one.origin, addresses: Vec::new(), port: Some(one.value) })
        .collect();
    (winner.value, Setting { origin: winner.origin, beats })
}

/// Every address at that port.
pub(crate) fn listen_on(
    out: &mut Parsed,
    (addresses, address_from): &(Addresses, Setting),
    (port, port_from): &(u16, Setting),
    protocol: Protocol,
) {
    for (address, v6only) in addresses {
        out.listens.push(ConfiguredListen {
            address: address.clone(),
            port: *port,
            protocol,
            v6only: *v6only,
            address_from: address_from.clone(),
            port_from: port_from.clone(),
        });
    }
}

/// One address and port that one place says.
pub(crate) fn one(
    address: ListenAddress,
    v6only: Option<bool>,
    port: u16,
    protocol: Protocol,
    origin: Origin,
) -> ConfiguredListen {
    let setting = Setting::from(origin);
    let address_from = setting.clone();
    ConfiguredListen { address, port, protocol, v6only, address_from, port_from: setting }
}

/// Every IPv4 address.
pub(crate) const ANY_V4: ListenAddress = ListenAddress::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
/// Every IPv6 address; IPv4 too where it is not IPv6 only.
pub(crate) const ANY_V6: ListenAddress = ListenAddress::Ip(IpAddr::V6(Ipv6Addr::UNSPECIFIED));

/// `*`, an address with or without brackets, a path, a name.
pub(crate) fn address(text: &str) -> ListenAddress {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let unscoped = bare.split('%').next().unwrap_or(bare);
    match unscoped.parse::<IpAddr>() {
        Ok(ip) => ListenAddress::Ip(ip),
        Err(_) if text == "*" => ListenAddress::Any,
        Err(_) if text.starts_with('/') => ListenAddress::Unix(text.to_owned()),
        Err(_) => ListenAddress::Name(text.to_owned()),
    }
}

/// A port of digits only; `None` for 0 and what is none.
pub(crate) fn port(text: &str) -> Option<u16> {
    crate::lines::decimal::<u16>(text.as_bytes()).filter(|port| *port != 0)
}

/// `80`, `1.2.3.4:80`, `[::1]:80`, `*:80`, `:80`, `name:80`, `name`, `[::1]`: the address and the port, each where given.
pub(crate) fn endpoint(text: &str) -> (Option<&str>, Option<&str>) {
    if let Some(end) = text.strip_prefix('[').and_then(|rest| rest.find(']')).map(|at| at + 2) {
        return (Some(&text[..end]), text[end..].strip_prefix(':'));
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return (None, Some(text));
    }
    match text.rsplit_once(':') {
        // More than one colon without brackets is an address alone.
        Some((host, _)) if host.contains(':') => (Some(text), None),
        Some(("", port)) => (None, Some(port)),
        Some((host, port)) => (Some(host), Some(port)),
        None => (Some(text), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        for (text, parts) in [
            ("80", (None, Some("80"))),
            ("1.2.3.4:80", (Some("1.2.3.4"), Some("80"))),
            ("[::1]:80", (Some("[::1]"), Some("80"))),
            ("[::1]", (Some("[::1]"), None)),
            (":80", (None, Some("80"))),
            ("name", (Some("name"), None)),
            ("::1", (Some("::1"), None)),
            ("*:80", (Some("*"), Some("80"))),
        ] {
            assert_eq!(endpoint(text), parts, "{text}");
        }
    }

    #[test]
    fn addresses() {
        assert_eq!(address("[::1]"), ListenAddress::Ip("::1".parse().unwrap()));
        assert_eq!(address("*"), ListenAddress::Any);
        assert_eq!(address("fe80::1%eth0"), ListenAddress::Ip("fe80::1".parse().unwrap()));
        assert_eq!(address("db1"), ListenAddress::Name("db1".into()));
        assert_eq!((port("80"), port("0"), port("65536"), port("+1")), (Some(80), None, None, None));
    }
}
