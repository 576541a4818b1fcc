//! Who can reach a listener, as far as its own address says.

use std::borrow::Cow;
use unrefuse_facts::{Link, Socket};

/// From where a listener can be reached by its bind address and device alone; filters are another matter.
///
/// `links` names the device of a bound socket, where they are known.
pub fn reachable_from(socket: &Socket, links: &[Link]) -> Cow<'static, str> {
    let ip = socket.local.ip();
    let canonical = ip.to_canonical();
    let device = socket.device.map(|index| {
        links
            .iter()
            .find(|link| link.index == index)
            .map_or_else(|| format!("interface {index}"), |link| link.name.clone())
    });
    let only_this_machine = canonical.is_loopback() || device.as_deref() == Some("lo");
    let from = if only_this_machine {
        Cow::from("this machine only")
    } else if is_link_local(canonical) {
        Cow::from("its link only")
    } else if canonical.is_unspecified() {
        match (ip.is_ipv6(), socket.v6only) {
            (true, Some(true)) => Cow::from("anywhere, IPv6 only"),
            (true, None) => Cow::from("anywhere, IPv6 and perhaps IPv4"),
            (true, Some(false)) => Cow::from("anywhere"),
            (false, _) => Cow::from("anywhere, IPv4 only"),
        }
    } else if canonical.is_multicast() {
        Cow::from("its multicast group")
    } else {
        Cow::from(format!("anywhere, at {canonical}"))
    };
    match device {
        Some(device) if !only_this_machine => format!("{from}, by {device}").into(),
        _ => from,
    }
}

fn is_link_local(ip: std::net::IpAddr) -> bool {
    match ip {
        std::net::IpAddr::V4(v4) => v4.is_link_local(),
        std::net::IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unrefuse_facts::{SocketState, Transport};

    fn reach(local: &str, v6only: Option<bool>) -> Cow<'static, str> {
        let socket = Socket {
            transport: Transport::Tcp,
            state: SocketState::Listen,
            local: local.parse().unwrap(),
            remote: None,
            inode: 0,
            uid: 0,
            v6only,
            device: None,
            recv_queue: 0,
            send_queue: Some(0),
            md5: None,
            cgroup: None,
        };
        reachable_from(&socket, &[])
    }

    #[test]
    fn by_bind_address() {
        assert_eq!(reach("127.0.0.1:80", None), "this machine only");
        assert_eq!(reach("[::1]:80", Some(false)), "this machine only");
        assert_eq!(reach("[::ffff:127.0.0.1]:80", Some(false)), "this machine only");
        assert_eq!(reach("0.0.0.0:80", None), "anywhere, IPv4 only");
        assert_eq!(reach("[::]:80", Some(false)), "anywhere");
        assert_eq!(reach("[::]:80", Some(true)), "anywhere, IPv6 only");
        assert_eq!(reach("10.0.0.5:80", None), "anywhere, at 10.0.0.5");
        assert_eq!(reach("[fe80::1]:80", Some(false)), "its link only");
    }
}
