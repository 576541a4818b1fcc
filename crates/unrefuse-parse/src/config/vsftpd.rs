//! vsftpd.conf: `listen`, `listen_ipv6`, `listen_port`, `listen_address`, `listen_address6`.
//!
//! From a real one (Debian 12, vsftpd 3.0.3):
//! ```text
//! listen=NO
//! listen_ipv6=YES
//! ```
//!
//! As vsftpd reads it (parseconf.c, tunables.c, main.c; vsftpd.conf(5)): `name=value` without blanks; `#` at a line's start
//! is a comment; the last line of a name wins. It listens by itself unless `listen=NO`, of IPv4; with `listen_ipv6=YES` of
//! IPv6, which takes IPv4 along. With both it does not start, with neither it waits for inetd. Files and `-oNAME=VALUE` are
//! read in the order of the command line; a file stands for itself there.

use super::reading::Reading;
use super::settings::{ANY_V4, ANY_V6, Addresses, Said, address, last_addresses, last_port, listen_on, port};
use super::text::Text;
use super::{Files, Parsed, Start};
use unrefuse_facts::text::from_bytes;
use unrefuse_facts::{Location, Origin, Protocol, Setting};

#[derive(Default)]
struct Options {
    listen: Option<Said<bool>>,
    listen_v6: Option<Said<bool>>,
    address: Vec<Said<Addresses>>,
    address_v6: Vec<Said<Addresses>>,
    port: Vec<Said<u16>>,
}

/// Reads vsftpd.conf and the options of the command line.
pub(super) fn parse(start: &Start<'_>, files: &mut dyn Files) -> Parsed {
    let mut reading = Reading::new(files);
    let mut said = Options::default();
    for main in start.files {
        let Some(text) = reading.text(main, None) else { continue };
        reading.out.place = Some(Location { path: main.clone(), line: text.count() + 1 });
        for (number, at, line) in text.lines() {
            if line.trim_ascii().is_empty() || line.starts_with(b"#") {
                continue;
            }
            if let Err(why) = of_line(&mut said, &text, at, line) {
                reading.problem(main, Some(number), why, true);
            }
        }
    }
    for option in start.arguments.iter().filter_map(|argument| argument.strip_prefix("-o")) {
        let Some((name, value)) = option.split_once('=') else { continue };
        // What is wrong there would have kept it from starting.
        let _ = said.apply(name, value, Origin::CommandLine(format!("-o{option}")));
    }
    said.finish(&mut reading.out);
    reading.done()
}

fn of_line(said: &mut Options, text: &Text, at: usize, line: &[u8]) -> Result<(), String> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let equals = line.iter().position(|&b| b == b'=').ok_or("no `=`")?;
    let (name, value) = (from_bytes(&line[..equals]), from_bytes(&line[equals + 1..]));
    said.apply(&name, &value, text.origin(at + equals + 1..at + line.len()))
}

impl Options {
    fn apply(&mut self, name: &str, value: &str, origin: Origin) -> Result<(), String> {
        let bool = || match value.to_ascii_uppercase().as_str() {
            "YES" | "TRUE" | "1" => Ok(true),
            "NO" | "FALSE" | "0" => Ok(false),
            _ => Err(format!("`{value}` is neither YES nor NO")),
        };
        match name {
            "listen" => self.listen = Some(Said::new(bool()?, origin)),
            "listen_ipv6" => self.listen_v6 = Some(Said::new(bool()?, origin)),
            "listen_port" => {
                let port = port(value).ok_or_else(|| format!("`{value}` is no port"))?;
                self.port.push(Said::new(port, origin));
            }
            "listen_address" => self.address.push(Said::new(vec![(address(value), None)], origin)),
            "listen_address6" => self.address_v6.push(Said::new(vec![(address(value), None)], origin)),
            _ => {}
        }
        Ok(())
    }

    fn finish(self, out: &mut Parsed) {
        let default = || Said::new(true, Origin::Default("vsftpd listens unless `listen=NO`".to_owned()));
        let (v4, v6) = (self.listen.unwrap_or_else(default), self.listen_v6.filter(|said| said.value));
        let port = last_port(self.port, Said::new(21, Origin::Default("vsftpd's port is 21".to_owned())));
        // The line that lets it listen on every address of the family is the one to blame where no address is said.
        let bind = match (v6, v4.value) {
            (Some(v6), _) => last_addresses(self.address_v6, Said::new(vec![(ANY_V6, Some(false))], v6.origin)),
            (None, true) => last_addresses(self.address, Said::new(vec![(ANY_V4, None)], v4.origin)),
            (None, false) => {
                out.disabled = Some(Setting::from(v4.origin));
                return;
            }
        };
        listen_on(out, &bind, &port, Protocol::Tcp);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tree, shown};

    fn of(text: &str) -> Vec<String> {
        shown(&Tree::of(&[("/v", text)]).parse("vsftpd", &["/v"]))
    }

    #[test]
    fn debians_file() {
        assert_eq!(of("# x\nlisten=NO\nlisten_ipv6=YES\nlisten_port=2121\n"), ["[::]:2121 /v:3 /v:4"]);
    }

    #[test]
    fn addresses_and_defaults() {
        assert_eq!(of("anonymous_enable=NO\n"), ["0.0.0.0:21 default"]);
        assert_eq!(of("listen=YES\nlisten_address=127.0.0.1\n"), ["127.0.0.1:21 /v:2 default"]);
        assert_eq!(
            of("listen_ipv6=YES\nlisten=NO\nlisten_address6=::1\nlisten_address=1.2.3.4\n"),
            ["[::1]:21 /v:3 default"]
        );
    }

    #[test]
    fn what_switches_it_off_and_what_is_wrong() {
        let parsed = Tree::of(&[("/v", "listen=NO\nlisten_port=many\nlisten = YES\n")]).parse("vsftpd", &["/v"]);
        assert_eq!(parsed.disabled.unwrap().origin.line().unwrap().value(), Some("NO"));
        assert_eq!(parsed.problems.iter().map(|p| p.line).collect::<Vec<_>>(), [Some(2)]);
        let parsed =
            Tree::of(&[("/v", "listen=NO\n")]).arguments("/v -olisten=YES -olisten_port=99").parse("vsftpd", &["/v"]);
        assert_eq!(shown(&parsed), ["0.0.0.0:99 -olisten=YES -olisten_port=99"]);
    }
}
