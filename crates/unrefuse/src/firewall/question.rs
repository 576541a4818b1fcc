//! From the call to the packet that is judged.

use super::places::Ground;
use crate::cli::FirewallArgs;
use std::net::IpAddr;
use std::sync::Arc;
use unrefuse_collect::Host;
use unrefuse_facts::{Family, Protocol, Target, text};
use unrefuse_firewall::judge;
use unrefuse_firewall::spec::{L4, PacketSpec};
use unrefuse_report::firewall::Question;

/// A question, for the judge and for the reader.
pub(super) struct Asked {
    pub(super) question: judge::Question,
    pub(super) shown: Question,
    pub(super) family: Family,
}

impl Asked {
    /// Addresses that are other hosts' as long as nothing else is known: the client of a packet that arrives, the target
    /// of one that leaves.
    pub(super) fn others(&self) -> Vec<IpAddr> {
        let others = match self.question.way {
            judge::Way::In { .. } => self.question.packet.src,
            judge::Way::Out => Some(self.question.packet.dst),
        };
        others.into_iter().filter(|address| !address.is_loopback()).collect()
    }
}

/// What the call asks. An error is a sentence for a person.
pub(super) fn ask(arguments: &FirewallArgs, ground: &dyn Ground, host: &Arc<dyn Host>) -> Result<Asked, String> {
    let (from, scope) = match arguments.from.as_deref().map(|from| client(from, host)).transpose()? {
        Some((from, scope)) => (Some(from), scope),
        None => (None, None),
    };
    let iface = match (scope, arguments.iface.clone()) {
        (Some(one), Some(other)) if one != other => {
            return Err(format!(
                "--from names the interface {}, --iface {}: give one of them",
                shown(&one),
                shown(&other)
            ));
        }
        (one, other) => one.or(other),
    };
    let target = unrefuse_parse::target::parse(&[&arguments.to], arguments.udp).map_err(|e| format!("--to: {e}"))?;
    if target.protocol == Protocol::Unix {
        return Err("--to: a unix socket meets no packet filter".to_owned());
    }
    let to = destination(arguments, &target, from, iface.as_deref(), ground, host)?;
    if let Some(name) = iface.as_deref().filter(|name| ground.has_interface(name) == Some(false)) {
        return Err(format!("--iface: there is no interface {} here", shown(name)));
    }
    let packet = packet(from, to, &target, arguments.sport);
    // A packet of this machine to itself never arrives by a wire.
    let own = from.is_some_and(|from| ground.is_own(from) == Some(true));
    let (question, way) = match from {
        Some(_) if !own || iface.is_some() => (judge::Question::incoming(iface.as_deref(), packet), "in"),
        _ => (judge::Question::outgoing(packet), "out"),
    };
    let arrives = match (&question.way, from) {
        (judge::Way::In { iif }, Some(from)) => iif.clone().or_else(|| ground.towards(from)),
        (judge::Way::Out, _) if iface.is_some() => {
            if arguments.rules.is_empty() {
                return Err("--iface: what this machine sends leaves as its routes say: leave --iface away".to_owned());
            }
            iface.clone()
        }
        _ => None,
    };
    let shown = Question {
        from,
        to,
        port: target.port,
        protocol: if target.protocol == Protocol::Udp { "udp" } else { "tcp" },
        source_port: arguments.sport,
        way,
        iface: arrives,
        rules: Vec::new(),
    };
    let family = if to.is_ipv4() { Family::V4 } else { Family::V6 };
    Ok(Asked { question, shown, family })
}

fn shown(text: &str) -> String {
    text::visible(text)
}

fn packet(from: Option<IpAddr>, to: IpAddr, target: &Target, sport: Option<u16>) -> PacketSpec {
    let mut packet = match target.protocol {
        Protocol::Udp => PacketSpec::udp(from, to, target.port),
        _ => PacketSpec::tcp(from, to, target.port),
    };
    match &mut packet.l4 {
        L4::Tcp { sport: port, .. } | L4::Udp { sport: port, .. } => *port = sport,
        _ => {}
    }
    packet
}

/// The client: `ADDR[%IFACE]`, IPv6 also in brackets, or a name.
fn client(from: &str, host: &Arc<dyn Host>) -> Result<(IpAddr, Option<String>), String> {
    let bare = from.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(from);
    let (address, scope) = match bare.split_once('%') {
        Some((address, scope)) if !scope.is_empty() => (address, Some(scope.to_owned())),
        Some(_) => return Err(format!("--from {}: no interface behind the %", shown(from))),
        None => (bare, None),
    };
    if let Ok(address) = address.parse::<IpAddr>() {
        return Ok((address.to_canonical(), scope));
    }
    // The port is of no interest: it only makes the word one that names a host and nothing else.
    let target = unrefuse_parse::target::parse(&[address, "1"], false)
        .ok()
        .filter(|target| target.protocol == Protocol::Tcp)
        .ok_or_else(|| format!("--from {}: neither an address nor the name of a host", shown(from)))?;
    Ok((resolve(&target, None, "--from", host)?, scope))
}

fn resolve(target: &Target, family: Option<Family>, option: &str, host: &Arc<dyn Host>) -> Result<IpAddr, String> {
    if let Some(address) = target.literal() {
        return Ok(address.to_canonical());
    }
    let resolution = host.resolve(target, family);
    let found = resolution.result.ok().and_then(|found| found.first().map(std::net::SocketAddr::ip));
    found.ok_or_else(|| {
        let family = match family {
            Some(Family::V4) => " to an IPv4 address",
            Some(Family::V6) => " to an IPv6 address",
            None => "",
        };
        format!("{option}: {} does not resolve{family}: write the address", shown(&target.host))
    })
}

fn destination(
    arguments: &FirewallArgs,
    target: &Target,
    from: Option<IpAddr>,
    iface: Option<&str>,
    ground: &dyn Ground,
    host: &Arc<dyn Host>,
) -> Result<IpAddr, String> {
    let here = arguments.to.starts_with(':');
    if let (true, Some(from)) = (here, from.filter(|from| !from.is_loopback())) {
        return ground.own_towards(from, iface).ok_or_else(|| {
            format!("--to {}: no own address towards {from} is known: {}", shown(&arguments.to), ground.remedy())
        });
    }
    let family = from.map(|from| if from.is_ipv4() { Family::V4 } else { Family::V6 });
    if let (true, None | Some(Family::V4)) = (here, family) {
        return Ok(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let to = resolve(target, family, "--to", host)?;
    match from {
        Some(from) if from.is_ipv4() != to.is_ipv4() => {
            Err(format!("--from {from} and --to {to} are not of the same family: no packet goes from one to the other"))
        }
        _ => Ok(to),
    }
}
