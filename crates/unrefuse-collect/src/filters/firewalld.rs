//! firewalld's permanent configuration.

use crate::live::files;
use crate::live::folders::names;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use unrefuse_facts::{FirewalldFacts, Missing, Observed, Reason, Source};
use unrefuse_parse::firewalld::{Service, Zone, default_zone, service, zone};

/// Where zones and services are; the administrator's hide those of the same name (firewalld.dirs(5)).
const FOLDERS: [&str; 2] = ["/etc/firewalld", "/usr/lib/firewalld"];

/// The zone that takes packets of `client` that come in by `interface`, by firewalld's permanent configuration, and what it
/// lets in; missing as absent where firewalld is not installed or does not run.
///
/// Interfaces that were put into a zone at run time only, or by NetworkManager, are not seen: where the kernel's rules
/// tell the zone, `running` names it.
pub fn firewalld(
    client: Option<IpAddr>,
    interface: Option<&str>,
    running: Option<&str>,
    port: u16,
    udp: bool,
) -> Observed<FirewalldFacts> {
    if !FOLDERS.iter().any(|folder| rustix::fs::stat(*folder).is_ok()) {
        return Observed::Missing(Missing::new(Reason::Absent, "firewalld is not installed"));
    }
    if !runs() {
        return Observed::Missing(Missing::new(Reason::Absent, "firewalld does not run"));
    }
    let packets = Packets { client, interface, running, port, protocol: if udp { "udp" } else { "tcp" } };
    read("", &packets)
}

/// The packets that are asked about.
struct Packets<'a> {
    client: Option<IpAddr>,
    interface: Option<&'a str>,
    /// Their zone in the kernel.
    running: Option<&'a str>,
    port: u16,
    protocol: &'a str,
}

/// A process of its name. The script's name is the process's: the kernel names it after the file that was executed
/// (`bprm_execve`, fs/exec.c), not after its interpreter.
fn runs() -> bool {
    let Ok(entries) = std::fs::read_dir("/proc") else { return false };
    entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit)).any(|entry| {
        let path = format!("/proc/{}/comm", entry.file_name().to_string_lossy());
        files::read(&path).is_ok_and(|name| name.trim_ascii() == b"firewalld")
    })
}

fn read(root: &str, packets: &Packets<'_>) -> Observed<FirewalldFacts> {
    match Config::read(root) {
        Ok(config) => {
            let facts = config.facts(root, packets);
            Observed::known(facts, Source::configured(format!("{root}{}/zones", FOLDERS[0])))
        }
        Err(missing) => Observed::Missing(missing),
    }
}

/// All zones and services by name.
struct Config {
    default: String,
    zones: BTreeMap<String, Zone>,
    /// Zones that are not those of the package.
    own: BTreeSet<String>,
    services: BTreeMap<String, Service>,
}

impl Config {
    fn read(root: &str) -> Result<Self, Missing> {
        let default = match files::read(&format!("{root}{}/firewalld.conf", FOLDERS[0])) {
            Ok(conf) => default_zone(&conf),
            Err(missing) if missing.reason == Reason::Absent => None,
            Err(missing) => return Err(missing),
        };
        let own = names(&format!("{root}{}/zones", FOLDERS[0]))?;
        Ok(Self {
            // FALLBACK_ZONE of src/firewall/config/__init__.py.
            default: default.unwrap_or_else(|| "public".to_owned()),
            own: own.iter().filter_map(|name| name.strip_suffix(".xml")).map(str::to_owned).collect(),
            zones: load(root, "zones", zone)?,
            services: load(root, "services", service)?,
        })
    }

    fn facts(&self, root: &str, packets: &Packets<'_>) -> FirewalldFacts {
        let Packets { client, interface, running, port, protocol } = *packets;
        let name = running.unwrap_or_else(|| self.zone_of(client, interface));
        let zone = self.zones.get(name).cloned().unwrap_or_default();
        let service = zone.services.iter().find(|service| self.serves(service, port, protocol));
        let ports = zone.ports.iter().find(|ports| ports.holds(port, protocol));
        let folder = FOLDERS[usize::from(!self.own.contains(name))];
        FirewalldFacts {
            opened_by: service.map(|s| format!("service {s}")).or_else(|| ports.map(|p| format!("port {p}"))),
            zone_file: self.zones.contains_key(name).then(|| format!("{root}{folder}/zones/{name}.xml")),
            zone: Some(name.to_owned()),
            interface: interface.map(str::to_owned),
            target: Some(zone.target.unwrap_or_else(|| "default".to_owned())),
            services: zone.services,
            ports: zone.ports.iter().map(ToString::to_string).collect(),
            rich_rules: zone.rich_rules,
            service_of_port: self.service_of(port, protocol),
            open_in_zone: self.open_in(name, port, protocol),
        }
    }

    /// By source, else by interface, else the default (firewalld.zones(5)).
    fn zone_of(&self, client: Option<IpAddr>, interface: Option<&str>) -> &str {
        let takes = |pick: &dyn Fn(&Zone) -> bool| self.zones.iter().find(|(_, zone)| pick(zone)).map(|(name, _)| name);
        client
            .and_then(|client| takes(&|zone| zone.sources.iter().any(|network| holds(network, client))))
            .or_else(|| interface.and_then(|own| takes(&|zone| zone.interfaces.iter().any(|name| is(name, own)))))
            .unwrap_or(&self.default)
    }

    /// The only service that is this port and nothing else.
    fn service_of(&self, port: u16, protocol: &str) -> Option<String> {
        let alone = |service: &Service| {
            let [ports] = &service.ports[..] else { return false };
            ports.first == ports.last && ports.holds(port, protocol) && service.includes.is_empty() && !service.more
        };
        let mut found = self.services.iter().filter(|(_, service)| alone(service)).map(|(name, _)| name);
        let first = found.next()?;
        found.next().is_none().then(|| first.clone())
    }

    /// Another zone that lets the port in: one that somebody changed, rather than one of the package.
    fn open_in(&self, except: &str, port: u16, protocol: &str) -> Option<String> {
        let lets_in = |zone: &Zone| {
            zone.ports.iter().any(|ports| ports.holds(port, protocol))
                || zone.services.iter().any(|name| self.serves(name, port, protocol))
        };
        let mut open: Vec<&String> =
            self.zones.iter().filter(|(name, zone)| *name != except && lets_in(zone)).map(|(name, _)| name).collect();
        open.sort_by_key(|name| (**name != self.default, !self.own.contains(*name)));
        open.first().map(|name| (*name).clone())
    }

    /// A service has the port, itself or by what it includes.
    fn serves(&self, name: &str, port: u16, protocol: &str) -> bool {
        let (mut seen, mut next) = (BTreeSet::from([name]), vec![name]);
        while let Some(service) = next.pop().map(|name| self.services.get(name)) {
            let Some(service) = service else { continue };
            if service.ports.iter().any(|ports| ports.holds(port, protocol)) {
                return true;
            }
            next.extend(service.includes.iter().map(String::as_str).filter(|name| seen.insert(*name)));
        }
        false
    }
}

/// The files of a folder by name, the package's first, so that the administrator's take their place. What firewalld would
/// not load is left out.
fn load<T>(root: &str, folder: &str, parse: fn(&[u8]) -> Result<T, String>) -> Result<BTreeMap<String, T>, Missing> {
    let mut all = BTreeMap::new();
    for base in FOLDERS.iter().rev() {
        let folder = format!("{root}{base}/{folder}");
        for file in names(&folder)? {
            let Some(name) = file.strip_suffix(".xml") else { continue };
            if let Ok(value) = parse(&files::read(&format!("{folder}/{file}"))?) {
                all.insert(name.to_owned(), value);
            }
        }
    }
    Ok(all)
}

/// `eth0`, or the beginning of a name with `+` after it.
fn is(name: &str, interface: &str) -> bool {
    name.strip_suffix('+').map_or(name == interface, |beginning| interface.starts_with(beginning))
}

/// An address, or a network as address and prefix length or IPv4 mask.
fn holds(network: &str, address: IpAddr) -> bool {
    let (base, length) = network.split_once('/').map_or((network, None), |(base, length)| (base, Some(length)));
    let Ok(base) = base.parse::<IpAddr>() else { return false };
    let (base, address, width) = match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => (u128::from(base.to_bits()), u128::from(address.to_bits()), 32_u32),
        (IpAddr::V6(base), IpAddr::V6(address)) => (base.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    let length = match length {
        None => Some(width),
        Some(text) => text.parse().ok().filter(|length| *length <= width).or_else(|| {
            let mask: std::net::Ipv4Addr = text.parse().ok()?;
            (width == 32).then(|| mask.to_bits().leading_ones())
        }),
    };
    length.is_some_and(|length| length == 0 || (base ^ address) >> (width - length) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;

    fn installed(test: &str) -> Root {
        let root = Root::new(test);
        let vendor = |path: &str, text: &str| root.file(&format!("/usr/lib/firewalld/{path}"), text);
        vendor("zones/public.xml", "<zone><service name='ssh'/></zone>");
        vendor("zones/dmz.xml", "<zone><service name='ssh'/><service name='web'/></zone>");
        vendor("zones/drop.xml", "<zone target='DROP'/>");
        vendor("services/ssh.xml", "<service><port protocol='tcp' port='22'/></service>");
        vendor("services/http.xml", "<service><port protocol='tcp' port='80'/></service>");
        // Each is part of the other: reading them comes to an end.
        vendor("services/web.xml", "<service><include service='web'/><include service='http'/></service>");
        vendor(
            "services/dns.xml",
            "<service><port protocol='tcp' port='53'/><port protocol='udp' port='53'/></service>",
        );
        vendor("services/cockpit.xml", "<service><port protocol='tcp' port='9090'/></service>");
        vendor("services/prometheus.xml", "<service><port protocol='tcp' port='9090'/></service>");
        root.file("/etc/firewalld/firewalld.conf", "DefaultZone=public\n");
        root.file(
            "/etc/firewalld/zones/public.xml",
            "<zone><port port='8000-8010' protocol='tcp'/><rule family='ipv4'><accept/></rule></zone>",
        );
        root.file("/etc/firewalld/zones/shop.xml", "<zone><interface name='eth1'/><service name='http'/></zone>");
        root.file("/etc/firewalld/zones/vpn.xml", "<zone target='ACCEPT'><source address='10.8.0.0/16'/></zone>");
        root
    }

    fn packets<'a>(client: &str, interface: Option<&'a str>, port: u16) -> Packets<'a> {
        Packets { client: client.parse().ok(), interface, running: None, port, protocol: "tcp" }
    }

    #[test]
    fn the_zone_by_source_interface_or_default() {
        let root = installed("firewalld-zone");
        let zone = |client: &str, interface| {
            let facts = read(root.path(), &packets(client, interface, 1)).value().cloned().unwrap();
            (facts.zone.unwrap(), facts.target.unwrap())
        };
        assert_eq!(zone("10.8.3.4", Some("eth1")), ("vpn".into(), "ACCEPT".into()));
        assert_eq!(zone("10.9.3.4", Some("eth1")), ("shop".into(), "default".into()));
        assert_eq!(zone("2001:db8::1", Some("eth0")), ("public".into(), "default".into()));
        assert_eq!(zone("", None), ("public".into(), "default".into()));
    }

    #[test]
    fn what_lets_the_port_in_and_in_which_file_it_stands() {
        let root = installed("firewalld-opened");
        let asked = |interface, running, port| {
            let packets = Packets { running, ..packets("", Some(interface), port) };
            let facts = read(root.path(), &packets).value().cloned().unwrap();
            (facts.opened_by, facts.zone_file.unwrap().strip_prefix(root.path()).unwrap().to_owned())
        };
        let shop = "/etc/firewalld/zones/shop.xml".to_owned();
        assert_eq!(asked("eth1", None, 80), (Some("service http".into()), shop));
        let public = "/etc/firewalld/zones/public.xml".to_owned();
        assert_eq!(asked("eth0", None, 8004), (Some("port 8000-8010/tcp".into()), public.clone()));
        assert_eq!(asked("eth0", None, 80), (None, public));
        // The kernel has the interface in another zone than the files; `web` is a service by what it includes.
        let dmz = "/usr/lib/firewalld/zones/dmz.xml".to_owned();
        assert_eq!(asked("eth1", Some("dmz"), 80), (Some("service web".into()), dmz));
    }

    #[test]
    fn the_administrators_file_hides_that_of_the_package() {
        let root = installed("firewalld-own");
        let facts = read(root.path(), &packets("", Some("eth0"), 80)).value().cloned().unwrap();
        assert!(facts.services.is_empty());
        assert_eq!(facts.ports, ["8000-8010/tcp"]);
        assert_eq!(facts.rich_rules, ["rule family=\"ipv4\" accept"]);
        assert_eq!(facts.service_of_port.as_deref(), Some("http"));
        assert_eq!(facts.open_in_zone.as_deref(), Some("shop"), "the package's dmz lets it in, too");
    }

    #[test]
    fn services_that_are_the_port_and_nothing_else() {
        let root = installed("firewalld-service");
        let service = |port, protocol| {
            let packets = Packets { protocol, ..packets("", None, port) };
            read(root.path(), &packets).value().unwrap().service_of_port.clone()
        };
        assert_eq!(service(22, "tcp").as_deref(), Some("ssh"));
        assert_eq!(service(53, "udp"), None);
        assert_eq!(service(9090, "tcp"), None, "two have it");
        assert_eq!(service(22, "udp"), None);
    }

    #[test]
    fn a_broken_zone_is_left_out_and_networks_have_masks() {
        let root = installed("firewalld-broken");
        root.file("/etc/firewalld/zones/shop.xml", "<zone>");
        let facts = read(root.path(), &packets("", Some("eth1"), 80)).value().cloned().unwrap();
        assert_eq!(facts.zone.as_deref(), Some("public"));
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(holds("10.0.0.0/255.0.0.0", address("10.9.9.9")));
        assert!(!holds("10.0.0.0/8", address("11.0.0.1")));
        assert!(holds("0.0.0.0/0", address("11.0.0.1")) && !holds("0.0.0.0/0", address("::1")));
        assert!(holds("2001:db8::1", address("2001:db8::1")));
        assert!(!holds("10.0.0.0/33", address("10.0.0.0")) && !holds("ipset:x", address("10.0.0.0")));
    }
}
