//! dnsmasq: `port`, `listen-address`, `interface`, `bind-interfaces`.
//!
//! From a real one (Debian 12's dnsmasq.conf has all of it as comments; a common shape):
//! ```text
//! interface=br0
//! bind-interfaces
//! listen-address=127.0.0.1
//! ```
//!
//! As dnsmasq reads it (src/option.c; dnsmasq(8)): the long options without dashes, one a line; `#` behind a blank begins a
//! comment; `conf-file` and `conf-dir=DIR[,*.conf][,.bak]` are read where they stand; `port=0` switches DNS off. Without
//! `bind-interfaces` it binds the wildcard address and drops by itself what comes to other addresses. TCP and UDP alike.
//! Debian's start script adds `-7 /etc/dnsmasq.d,…`, which is `conf-dir`.

use super::arguments::{flag, values};
use super::reading::{At, Reading};
use super::settings::{Addresses, Said, address, last_addresses, last_port, listen_on, port};
use super::text::Text;
use super::{Files, Parsed, Start};
use unrefuse_facts::text::from_bytes;
use unrefuse_facts::{ListenAddress, Location, Origin, Protocol, Setting};

struct Dnsmasq<'f> {
    reading: Reading<'f>,
    addresses: Vec<Said<Addresses>>,
    port: Vec<Said<u16>>,
    binds: bool,
}

/// Reads dnsmasq.conf, what it includes, and the command line.
pub(super) fn parse(start: &Start<'_>, files: &mut dyn Files) -> Parsed {
    let mut dnsmasq = Dnsmasq { reading: Reading::new(files), addresses: Vec::new(), port: Vec::new(), binds: false };
    for main in start.files {
        dnsmasq.file(main, None);
    }
    for (names, name) in [
        (&["--conf-dir", "-7"][..], "conf-dir"),
        (&["--port", "-p"], "port"),
        (&["--listen-address", "-a"], "listen-address"),
        (&["--interface", "-i"], "interface"),
    ] {
        for given in values(start.arguments, names) {
            dnsmasq.apply(name, &given.value, given.origin, None);
        }
    }
    dnsmasq.binds |= flag(start.arguments, &["--bind-interfaces", "-z", "--bind-dynamic"]).is_some();
    dnsmasq.finish()
}

impl Dnsmasq<'_> {
    fn file(&mut self, path: &str, at: Option<&At>) {
        let Some(text) = self.reading.text(path, at) else { return };
        if at.is_none() {
            self.reading.out.place = Some(Location { path: path.to_owned(), line: text.count() + 1 });
        }
        self.reading.open(path);
        for (number, start, line) in text.lines() {
            self.line(&text, number, start, line);
        }
        self.reading.close();
    }

    fn line(&mut self, text: &Text, number: u32, start: usize, line: &[u8]) {
        let is_comment = |at: usize| line[at] == b'#' && (at == 0 || line[at - 1].is_ascii_whitespace());
        let code = &line[..(0..line.len()).find(|&at| is_comment(at)).unwrap_or(line.len())];
        let equals = code.iter().position(|&b| b == b'=');
        let name = from_bytes(code[..equals.unwrap_or(code.len())].trim_ascii());
        let from = equals.map_or(code.len(), |at| at + 1);
        let from = from + code[from..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        let to = code.trim_ascii_end().len().max(from.min(code.len()));
        let from = from.min(to);
        let value = from_bytes(&code[from..to]);
        let at = At { path: text.path.clone(), line: number };
        let span = if from == to { start..start + code.trim_ascii_end().len() } else { start + from..start + to };
        if !name.is_empty() && !self.apply(&name, &value, text.origin(span), Some(&at)) {
            let why = format!("`{value}` is no port");
            self.reading.problem(&at.path, Some(number), why, true);
        }
    }

    /// `false` where the value is none.
    fn apply(&mut self, name: &str, value: &str, origin: Origin, at: Option<&At>) -> bool {
        match name {
            "port" => match port(value) {
                Some(port) => self.port.push(Said::new(port, origin)),
                None if value == "0" => self.port.push(Said::new(0, origin)),
                None => return false,
            },
            "listen-address" => {
                let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
                self.addresses.push(Said::new(parts.map(|part| (address(part), Some(true))).collect(), origin));
            }
            "interface" => {
                let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
                let one = |part: &str| (ListenAddress::Interface(part.to_owned()), None);
                self.addresses.push(Said::new(parts.map(one).collect(), origin));
            }
            "bind-interfaces" | "bind-dynamic" => self.binds = true,
            "conf-file" => self.file(value, at),
            "conf-dir" => self.folder(value, at),
            _ => {}
        }
        true
    }

    /// `DIR,*.conf` takes only those, `DIR,.bak` leaves those out; names that end in `~` or are hidden never count.
    fn folder(&mut self, value: &str, at: Option<&At>) {
        let mut parts = value.split(',');
        let folder = parts.next().unwrap_or_default().trim_end_matches('/').to_owned();
        let endings: Vec<&str> = parts.collect();
        let only: Vec<&str> = endings.iter().filter_map(|ending| ending.strip_prefix('*')).collect();
        for path in self.reading.list(&format!("{folder}/*"), at) {
            let left_out = endings.iter().any(|ending| !ending.starts_with('*') && path.ends_with(ending));
            let taken = only.is_empty() || only.iter().any(|ending| path.ends_with(ending));
            if taken && !left_out && !path.ends_with('~') && !path.ends_with('#') {
                self.file(&path, at);
            }
        }
    }

    fn finish(mut self) -> Parsed {
        let port = last_port(self.port, Said::new(53, Origin::Default("dnsmasq's port is 53".to_owned())));
        let every = || {
            Said::new(
                vec![(ListenAddress::Any, None)],
                Origin::Default("without bind-interfaces dnsmasq listens on every address".to_owned()),
            )
        };
        let out = &mut self.reading.out;
        if port.0 == 0 {
            out.disabled = Some(port.1);
            return self.reading.done();
        }
        let mut binds: Vec<(Addresses, Setting)> = Vec::new();
        if self.binds && !self.addresses.is_empty() {
            // Addresses and interfaces add up; an interface brings loopback along.
            let named = self
                .addresses
                .iter()
                .any(|said| said.value.iter().any(|(a, _)| matches!(a, ListenAddress::Interface(_))));
            binds.extend(self.addresses.into_iter().map(|said| (said.value, Setting::from(said.origin))));
            if named && let Some(origin) = binds.first().map(|(_, from)| from.clone()) {
                binds.push((vec![(ListenAddress::Interface("lo".to_owned()), None)], origin));
            }
        } else {
            binds.push(last_addresses(Vec::new(), every()));
        }
        for bind in &binds {
            listen_on(out, bind, &port, Protocol::Udp);
            listen_on(out, bind, &port, Protocol::Tcp);
        }
        self.reading.done()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tree, shown};

    #[test]
    fn addresses_and_interfaces() {
        let tree = Tree::of(&[
            (
                "/etc/dnsmasq.conf",
                "# c\nport = 5353 # x\nlisten-address=127.0.0.1,10.0.0.1\nbind-interfaces\nconf-dir=/etc/dnsmasq.d/,*.conf\n",
            ),
            ("/etc/dnsmasq.d/a.conf", "interface=br0\n"),
            ("/etc/dnsmasq.d/b.bak", "port=1\n"),
        ]);
        let parsed = tree.parse("dnsmasq", &["/etc/dnsmasq.conf"]);
        let tcp: Vec<String> = shown(&parsed).into_iter().filter(|line| !line.contains("/udp")).collect();
        assert_eq!(
            tcp,
            [
                "127.0.0.1:5353 /etc/dnsmasq.conf:3 /etc/dnsmasq.conf:2",
                "10.0.0.1:5353 /etc/dnsmasq.conf:3 /etc/dnsmasq.conf:2",
                "interface br0:5353 /etc/dnsmasq.d/a.conf:1 /etc/dnsmasq.conf:2",
                "interface lo:5353 /etc/dnsmasq.conf:3 /etc/dnsmasq.conf:2",
            ]
        );
        assert_eq!(parsed.listens[0].port_from.origin.line().unwrap().value(), Some("5353"));
    }

    #[test]
    fn without_bind_interfaces_it_is_the_wildcard() {
        let parsed = Tree::of(&[("/d", "listen-address=127.0.0.1\n")])
            .arguments("-7 /e,.dpkg-dist -p 54")
            .parse("dnsmasq", &["/d"]);
        assert_eq!(shown(&parsed), ["*:54/udp default -p 54", "*:54 default -p 54"]);
    }

    #[test]
    fn port_0_switches_it_off() {
        let parsed = Tree::of(&[("/d", "port=0\nport=x\n")]).parse("dnsmasq", &["/d"]);
        assert_eq!((parsed.disabled.is_some(), parsed.problems.len()), (true, 1));
    }
}
