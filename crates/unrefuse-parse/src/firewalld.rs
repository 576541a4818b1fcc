//! firewalld's files: the default zone, zones and services.
//!
//! A zone (firewalld.zone(5)) and a service (firewalld.service(5)), as firewalld writes them:
//! ```text
//! <?xml version="1.0" encoding="utf-8"?>
//! <zone target="DROP">
//!   <short>Shop</short>
//!   <interface name="eth1"/>
//!   <source address="10.0.0.0/8"/>
//!   <service name="ssh"/>
//!   <port port="8000-8010" protocol="tcp"/>
//!   <rule family="ipv4" priority="-5">
//!     <source address="203.0.113.0/24"/>
//!     <port port="22" protocol="tcp"/>
//!     <reject type="tcp-reset"/>
//!   </rule>
//! </zone>
//!
//! <service>
//!   <short>Secure WWW (HTTPS)</short>
//!   <port protocol="tcp" port="443"/>
//! </service>
//! ```

use crate::lines;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use unrefuse_facts::text::from_bytes;

/// Elements of one file that are kept, of all kinds together.
const MAX_ELEMENTS: usize = 50_000;

/// A zone, or as much of a service as it shares with one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Zone {
    /// What happens to packets that nothing here names: `ACCEPT`, `DROP`, `%%REJECT%%`; `None` for the default, which
    /// rejects.
    pub target: Option<String>,
    /// Interfaces that belong to it; a name may end in `+`.
    pub interfaces: Vec<String>,
    /// Source addresses and networks that belong to it; MAC addresses and ipsets are left out.
    pub sources: Vec<String>,
    /// Services that are let in.
    pub services: Vec<String>,
    /// Ports that are let in.
    pub ports: Vec<Ports>,
    /// Rich rules as firewalld.richlanguage(5) writes them.
    pub rich_rules: Vec<String>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Service {
    /// Its ports.
    pub ports: Vec<Ports>,
    /// Other services that are part of it.
    pub includes: Vec<String>,
    /// It has protocols, source ports, helpers or destinations, too: it is more than its ports.
    pub more: bool,
}

/// Ports of one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    /// First.
    pub first: u16,
    /// Last.
    pub last: u16,
    /// `tcp`, `udp`, `sctp`, `dccp`.
    pub protocol: String,
}

impl Ports {
    /// One of them is `port` of `protocol`.
    pub fn holds(&self, port: u16, protocol: &str) -> bool {
        self.protocol == protocol && (self.first..=self.last).contains(&port)
    }
}

impl std::fmt::Display for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { first, last, protocol } = self;
        if first == last { write!(f, "{first}/{protocol}") } else { write!(f, "{first}-{last}/{protocol}") }
    }
}

/// The value of `DefaultZone` in firewalld.conf(5).
///
/// ```
/// let conf = b"# default zone\nDefaultZone=shop\nLogDenied=off\n";
/// assert_eq!(unrefuse_parse::firewalld::default_zone(conf).unwrap(), "shop");
/// ```
pub fn default_zone(bytes: &[u8]) -> Option<String> {
    let value = |line: &[u8]| {
        let (key, value) = line.split_at_checked(line.iter().position(|&b| b == b'=')?)?;
        (key.trim_ascii() == b"DefaultZone").then(|| from_bytes(value[1..].trim_ascii()))
    };
    lines::numbered(bytes).filter_map(|(_, line)| value(line)).last().filter(|zone| !zone.is_empty())
}

/// A zone's file.
///
/// # Errors
/// It is no well-formed XML, or its root is no zone; the text says why and at which byte. firewalld does not load it then.
///
/// ```
/// let zone = unrefuse_parse::firewalld::zone(b"<zone><port port=\"8000-8010\" protocol=\"tcp\"/></zone>").unwrap();
/// assert_eq!(zone.ports[0].to_string(), "8000-8010/tcp");
/// ```
pub fn zone(bytes: &[u8]) -> Result<Zone, String> {
    let mut zone = Zone::default();
    let mut rule: Option<Rich> = None;
    walk(bytes, "zone", |depth, start, name, attribute| {
        let named = || attribute("name");
        match (depth, name) {
            (0, "zone") => zone.target = attribute("target"),
            (1, "rule") if start => rule = Some(Rich::new(&attribute)),
            (1, "/rule") => zone.rich_rules.extend(rule.take().map(Rich::text)),
            (1, "interface") => zone.interfaces.extend(named()),
            (1, "source") => zone.sources.extend(attribute("address")),
            (1, "service") => zone.services.extend(named()),
            (1, "port") => zone.ports.extend(ports(&attribute)),
            (2, name) if !name.starts_with('/') => {
                if let Some(rule) = &mut rule {
                    rule.part(name, &attribute);
                }
            }
            (3, "limit") => {
                if let Some(rule) = &mut rule {
                    rule.limit(&attribute);
                }
            }
            _ => {}
        }
    })?;
    Ok(zone)
}

/// A service's file.
///
/// # Errors
/// As [`zone`].
///
/// ```
/// let service = b"<service><port protocol=\"tcp\" port=\"443\"/></service>";
/// assert!(unrefuse_parse::firewalld::service(service).unwrap().ports[0].holds(443, "tcp"));
/// ```
pub fn service(bytes: &[u8]) -> Result<Service, String> {
    let mut service = Service::default();
    walk(bytes, "service", |depth, _, name, attribute| match (depth, name) {
        // An empty port stands for a protocol of its own.
        (1, "port") => match ports(&attribute) {
            Some(ports) => service.ports.push(ports),
            None => service.more = true,
        },
        (1, "include") => service.includes.extend(attribute("service")),
        (1, "protocol" | "source-port" | "module" | "helper" | "destination") => service.more = true,
        _ => {}
    })?;
    Ok(service)
}

fn ports(attribute: &dyn Fn(&str) -> Option<String>) -> Option<Ports> {
    let text = attribute("port")?;
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    let number = |text: &str| lines::decimal::<u16>(text.as_bytes());
    Some(Ports { first: number(first)?, last: number(last)?, protocol: attribute("protocol")? })
}

/// Called for each element with its depth (0: the root), whether it has content, its name (`/name` at its end) and its
/// attributes.
type Visit<'a> = &'a mut dyn FnMut(usize, bool, &str, &dyn Fn(&str) -> Option<String>);

fn walk(
    bytes: &[u8],
    root: &str,
    mut visit: impl FnMut(usize, bool, &str, &dyn Fn(&str) -> Option<String>),
) -> Result<(), String> {
    let mut reader = Reader::from_reader(bytes);
    let (mut depth, mut seen) = (0_usize, 0);
    loop {
        let place = reader.buffer_position();
        let event = reader.read_event().map_err(|error| format!("byte {place}: {error}"))?;
        match &event {
            Event::Start(tag) | Event::Empty(tag) => {
                if depth == 0 && (seen > 0 || tag.name().as_ref() != root.as_bytes()) {
                    return Err(format!("byte {place}: expected one element <{root}>"));
                }
                seen += 1;
                if seen > MAX_ELEMENTS {
                    return Err(format!("byte {place}: more than {MAX_ELEMENTS} elements"));
                }
                let start = matches!(event, Event::Start(_));
                element(depth, start, tag, &mut visit);
                if start {
                    depth += 1;
                }
            }
            Event::End(tag) => {
                // quick-xml checks that it closes what is open.
                depth = depth.saturating_sub(1);
                visit(depth, false, &format!("/{}", from_bytes(tag.name().as_ref())), &|_| None);
            }
            Event::Eof if depth == 0 && seen > 0 => return Ok(()),
            Event::Eof => return Err(format!("byte {place}: it ends too early")),
            _ => {}
        }
    }
}

fn element(depth: usize, start: bool, tag: &BytesStart<'_>, visit: Visit<'_>) {
    let attribute = |wanted: &str| {
        let found = tag.attributes().flatten().find(|attribute| attribute.key.as_ref() == wanted.as_bytes())?;
        // A reference that XML does not know stays as it stands.
        let raw = from_bytes(&found.value);
        let text = quick_xml::escape::unescape(&raw).map_or_else(|_| raw.clone(), |text| text.into_owned());
        Some(text.trim().to_owned())
    };
    let name = from_bytes(tag.name().as_ref());
    visit(depth, start, &name, &attribute);
    if !start {
        visit(depth, false, &format!("/{name}"), &|_| None);
    }
}

/// A rich rule that is being read. Its parts are written in the order of firewalld.richlanguage(5), whatever their order
/// in the file.
struct Rich {
    head: String,
    parts: Vec<(u8, String)>,
}

impl Rich {
    fn new(attribute: &dyn Fn(&str) -> Option<String>) -> Self {
        Self { head: words("rule", &["priority", "family"], attribute), parts: Vec::new() }
    }

    fn part(&mut self, name: &str, attribute: &dyn Fn(&str) -> Option<String>) {
        let (rank, known): (u8, &[&str]) = match name {
            "source" => (0, &["address", "mac", "ipset"]),
            "destination" => (1, &["address", "ipset"]),
            "log" => (3, &["prefix", "level"]),
            "nflog" => (4, &["group", "prefix", "queue-size"]),
            "audit" => (5, &[]),
            "accept" | "drop" => (6, &[]),
            "reject" => (6, &["type"]),
            "mark" => (6, &["set"]),
            "port" | "source-port" => (2, &["port", "protocol"]),
            "forward-port" => (2, &["port", "protocol", "to-port", "to-addr"]),
            "protocol" => (2, &["value"]),
            _ => (2, &["name", "value"]),
        };
        let inverted = attribute("invert").is_some_and(|word| matches!(word.to_lowercase().as_str(), "yes" | "true"));
        let head = if inverted { format!("{name} NOT") } else { name.to_owned() };
        self.parts.push((rank, words(&head, known, attribute)));
    }

    fn limit(&mut self, attribute: &dyn Fn(&str) -> Option<String>) {
        if let Some((_, part)) = self.parts.last_mut() {
            part.push_str(&words(" limit", &["value", "burst"], attribute));
        }
    }

    fn text(mut self) -> String {
        self.parts.sort_by_key(|(rank, _)| *rank);
        std::iter::once(self.head).chain(self.parts.into_iter().map(|(_, text)| text)).collect::<Vec<_>>().join(" ")
    }
}

/// `port port="22" protocol="tcp"`: a word with those of its attributes that are there.
fn words(head: &str, known: &[&str], attribute: &dyn Fn(&str) -> Option<String>) -> String {
    let mut text = head.to_owned();
    for name in known {
        if let Some(value) = attribute(name) {
            text.push_str(&format!(" {name}=\"{value}\""));
        }
    }
    text
}

#[cfg(test)]
mod tests;
