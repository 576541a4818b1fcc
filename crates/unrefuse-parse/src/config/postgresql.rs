//! postgresql.conf: `listen_addresses` and `port`.
//!
//! From a real one (PostgreSQL 15):
//! ```text
//! #listen_addresses = 'localhost'         # what IP address(es) to listen on;
//! port = 5433                             # (change requires restart)
//! include_dir = 'conf.d'                  # include files ending in '.conf'
//! ```
//!
//! As PostgreSQL reads it (src/backend/utils/misc/guc-file.l; manual 20.1 "Setting Parameters"): `name = value`, the `=` may
//! be missing; names in any case; values with other than letters in single quotes; the last one wins; includes are
//! read where they stand, relative to the including file; of a folder all `*.conf`, sorted. postgresql.auto.conf of the
//! data directory comes after all files (`ALTER SYSTEM` writes it), the command line (`-c`, `-h`, `-p`, `-i`, `--name=`) after
//! that. `listen_addresses = ''` opens no TCP port at all.

use super::arguments::{flag, values};
use super::lexer::{Comment, Kind, Syntax, Token, lines};
use super::reading::{At, Reading, folder, join};
use super::settings::{Addresses, Said, address, last_addresses, last_port, listen_on, port};
use super::text::Text;
use super::{Files, Parsed, Start};
use unrefuse_facts::{ListenAddress, Location, Origin, Protocol};

const SYNTAX: Syntax = Syntax {
    comment: Comment::Anywhere,
    quotes: b"'",
    escapes: false,
    punctuation: b"=",
    lines: true,
    joins: false,
    variables: false,
};

struct Postgres<'f> {
    reading: Reading<'f>,
    addresses: Vec<Said<Addresses>>,
    port: Vec<Said<u16>>,
    data: Option<String>,
    /// The main file's line that has the setting as a comment.
    commented: Option<Location>,
}

/// Reads postgresql.conf, its includes, postgresql.auto.conf and the command line.
pub(super) fn parse(start: &Start<'_>, files: &mut dyn Files) -> Parsed {
    let mut pg =
        Postgres { reading: Reading::new(files), addresses: Vec::new(), port: Vec::new(), data: None, commented: None };
    for main in start.files {
        pg.file(main, None, true);
    }
    let given = values(start.arguments, &["-D", "--data-directory"]).pop().map(|given| given.value);
    let beside = start.files.first().map(|main| folder(main).to_owned());
    if let Some(data) = pg.data.take().or(given).or(beside) {
        pg.file(&join(&data, "postgresql.auto.conf"), None, false);
    }
    pg.command_line(start.arguments);
    pg.finish()
}

impl Postgres<'_> {
    fn file(&mut self, path: &str, at: Option<&At>, wanted: bool) {
        let text = if wanted { self.reading.text(path, at) } else { self.reading.text_if_there(path, at) };
        let Some(text) = text else { return };
        if at.is_none() && self.reading.out.place.is_none() {
            self.commented = commented(&text);
            self.reading.out.place = Some(Location { path: path.to_owned(), line: text.count() + 1 });
        }
        self.reading.open(path);
        let (lines, faults) = lines(&text.bytes, SYNTAX);
        for line in &lines {
            self.line(&text, line);
        }
        for fault in &faults {
            self.reading.fault(&text, fault);
        }
        self.reading.close();
    }

    fn line(&mut self, text: &Text, line: &[Token]) {
        let (name, value) = match line {
            [name, equals, value] if equals.kind != Kind::Word => (name, value),
            [name, value] if value.kind == Kind::Word => (name, value),
            // `name =` is a syntax error, and `name = a b` is, too.
            [name, ..] => {
                let why = format!("`{}` has no single value", name.text);
                return self.reading.problem(&text.path, Some(name.line), why, true);
            }
            [] => return,
        };
        let at = At { path: text.path.clone(), line: name.line };
        let base = folder(&text.path).to_owned();
        match name.text.to_ascii_lowercase().as_str() {
            "include" => self.file(&join(&base, &value.text), Some(&at), true),
            "include_if_exists" => self.file(&join(&base, &value.text), Some(&at), false),
            "include_dir" => {
                let pattern = format!("{}/*.conf", join(&base, &value.text).trim_end_matches('/'));
                for path in self.reading.list(&pattern, Some(&at)) {
                    self.file(&path, Some(&at), true);
                }
            }
            "data_directory" => self.data = Some(value.text.clone()),
            name => {
                let origin = text.origin(value.span.clone());
                if !self.apply(name, &value.text, origin) {
                    let why = format!("`{}` is no port", value.text);
                    self.reading.problem(&text.path, Some(value.line), why, true);
                }
            }
        }
    }

    /// `false` where the value is none.
    fn apply(&mut self, name: &str, value: &str, origin: Origin) -> bool {
        match name {
            "listen_addresses" => {
                let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
                let addresses = parts.map(|part| (address(part.trim_matches('"')), v6only(part))).collect();
                self.addresses.push(Said::new(addresses, origin));
            }
            "port" => match port(value.trim()) {
                Some(port) => self.port.push(Said::new(port, origin)),
                None => return false,
            },
            _ => {}
        }
        true
    }

    fn command_line(&mut self, arguments: &[String]) {
        for given in values(arguments, &["-c", "--listen-addresses", "--port", "-h", "-p"]) {
            let Origin::CommandLine(shown) = &given.origin else { continue };
            let option = shown.split(['=', ' ']).next().unwrap_or_default();
            let (name, value) = match option {
                "-c" => given.value.split_once('=').unwrap_or((&given.value, "")),
                _ if option.starts_with("-h") || option.starts_with("--listen") => {
                    ("listen_addresses", given.value.as_str())
                }
                _ if option.starts_with("-p") || option.starts_with("--port") => ("port", given.value.as_str()),
                // `-cname=value`
                _ => given.value.split_once('=').unwrap_or((&given.value, "")),
            };
            self.apply(&name.replace('-', "_").to_ascii_lowercase(), value, given.origin.clone());
        }
        if let Some(origin) = flag(arguments, &["-i"]) {
            self.apply("listen_addresses", "*", origin);
        }
    }

    fn finish(mut self) -> Parsed {
        let localhost = Said::new(
            vec![(ListenAddress::Name("localhost".to_owned()), None)],
            Origin::Default("without `listen_addresses` PostgreSQL listens on localhost".to_owned()),
        );
        let nothing_said = self.addresses.is_empty();
        let addresses = last_addresses(self.addresses, localhost);
        let usual = Said::new(5432, Origin::Default("PostgreSQL's port is 5432".to_owned()));
        let port = last_port(self.port, usual);
        let out = &mut self.reading.out;
        if nothing_said && self.commented.is_some() {
            out.place = self.commented;
        }
        listen_on(out, &addresses, &port, Protocol::Tcp);
        if addresses.0.is_empty() {
            out.disabled = Some(addresses.1);
        }
        self.reading.done()
    }
}

/// The server sets `IPV6_V6ONLY` on its IPv6 sockets (src/backend/libpq/pqcomm.c).
fn v6only(part: &str) -> Option<bool> {
    (part == "::").then_some(true)
}

/// The place behind the line of the shipped file that has the setting as a comment: a new line belongs there.
fn commented(text: &Text) -> Option<Location> {
    let is = |line: &[u8]| {
        line.trim_ascii_start()
            .strip_prefix(b"#")
            .is_some_and(|c| c.trim_ascii_start().starts_with(b"listen_addresses"))
    };
    let number = text.lines().find(|(_, _, line)| is(line))?.0;
    Some(text.location(number + 1))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tree, shown};
    use unrefuse_facts::Origin;

    const MAIN: &str = "/etc/postgresql/15/main/postgresql.conf";

    #[test]
    fn files_then_auto_then_command_line() {
        let tree = Tree::of(&[
            (
                MAIN,
                "data_directory = '/d'\nlisten_addresses = 'localhost' # x\nPort 5433\ninclude_dir = 'conf.d'\ninclude_if_exists 'none.conf'\n",
            ),
            ("/etc/postgresql/15/main/conf.d/10.conf", "listen_addresses='10.0.0.1, ::1'\n"),
            ("/etc/postgresql/15/main/conf.d/.hidden.conf", "port = 1\n"),
        ]);
        let parsed = tree.clone().parse("postgresql", &[MAIN]);
        assert_eq!(parsed.problems, []);
        assert_eq!(
            shown(&parsed),
            [
                "10.0.0.1:5433 /etc/postgresql/15/main/conf.d/10.conf:1 /etc/postgresql/15/main/postgresql.conf:3",
                "[::1]:5433 /etc/postgresql/15/main/conf.d/10.conf:1 /etc/postgresql/15/main/postgresql.conf:3",
            ]
        );
        let mut with_auto = tree;
        let auto = Tree::of(&[("/d/postgresql.auto.conf", "listen_addresses = '*'\n")]);
        with_auto = with_auto.joined(auto);
        let parsed = with_auto.clone().parse("postgresql", &[MAIN]);
        assert_eq!(shown(&parsed), ["*:5433 /d/postgresql.auto.conf:1 /etc/postgresql/15/main/postgresql.conf:3"]);
        assert_eq!(parsed.listens[0].address_from.beats.len(), 2);
        let parsed = with_auto
            .arguments("-D /d -c config_file=/x -c listen_addresses=127.0.0.1 -p 6000")
            .parse("postgresql", &[MAIN]);
        assert_eq!(shown(&parsed), ["127.0.0.1:6000 -c listen_addresses=127.0.0.1 -p 6000"]);
    }

    #[test]
    fn the_default_is_localhost_and_a_new_line_has_its_place() {
        let parsed =
            Tree::of(&[(MAIN, "x = 1\n#listen_addresses = 'localhost'\ny = 2\n")]).parse("postgresql", &[MAIN]);
        assert_eq!(shown(&parsed), ["localhost:5432 default"]);
        assert!(matches!(parsed.listens[0].address_from.origin, Origin::Default(_)));
        assert_eq!(parsed.place.unwrap().line, 3);
    }

    #[test]
    fn an_empty_list_switches_tcp_off() {
        let parsed = Tree::of(&[(MAIN, "listen_addresses = ''\n")]).parse("postgresql", &[MAIN]);
        assert_eq!((parsed.listens.len(), parsed.disabled.unwrap().origin.line().unwrap().value()), (0, Some("''")));
    }

    #[test]
    fn mistakes_are_problems() {
        let parsed = Tree::of(&[(MAIN, "port = many\nlisten_addresses\nx = 'a\ninclude 'no.conf'\n")])
            .parse("postgresql", &[MAIN]);
        let lines: Vec<Option<u32>> = parsed.problems.iter().map(|p| p.line).collect();
        assert_eq!(lines, [Some(1), Some(2), Some(4), Some(3)]);
    }
}
