//! my.cnf of MariaDB and MySQL: `port`, `bind-address`, `skip-networking` in the groups that the server reads.
//!
//! From a real one (Debian 12, /etc/mysql/mariadb.conf.d/50-server.cnf):
//! ```text
//! [mysqld]
//! # localhost which is more compatible and is not less secure.
//! bind-address            = 127.0.0.1
//! ```
//!
//! As the servers read it (mysys/my_default.c; MariaDB knowledge base "Configuring MariaDB with Option Files", MySQL manual
//! 4.2.2.2): an option counts in its group only; `_` and `-` are the same in its name; the last one wins, over all files;
//! `!include` and `!includedir` (files `*.cnf`, sorted) are read where they stand; `loose-` and `loose_` may stand before a
//! name. Without `bind-address` the server listens on every address. `port=0` is the usual port.

use super::arguments::{flag, values};
use super::reading::{At, Reading, folder, join};
use super::settings::{ANY_V6, Addresses, Said, address, last_addresses, last_port, listen_on, port};
use super::text::Text;
use super::{Files, Parsed, Start};
use unrefuse_facts::text::from_bytes;
use unrefuse_facts::{Beaten, ListenAddress, Origin, Protocol, Setting};

struct Mysql<'f> {
    reading: Reading<'f>,
    mariadb: bool,
    bind: Vec<Said<Addresses>>,
    port: Vec<Said<u16>>,
    skip: Vec<Said<bool>>,
}

/// Reads my.cnf, its includes, and the options of the command line.
pub(super) fn parse(start: &Start<'_>, files: &mut dyn Files) -> Parsed {
    let mut mysql = Mysql {
        reading: Reading::new(files),
        // The groups [mariadb…] are read by MariaDB under either name: `mysqld` may be one.
        mariadb: true,
        bind: Vec::new(),
        port: Vec::new(),
        skip: Vec::new(),
    };
    if start.command == "mysqld" && !start.files.iter().any(|path| path.contains("mariadb")) {
        mysql.mariadb = false;
    }
    for main in start.files {
        mysql.file(main, None);
    }
    mysql.command_line(start.arguments);
    mysql.finish()
}

impl Mysql<'_> {
    fn file(&mut self, path: &str, at: Option<&At>) {
        let Some(text) = self.reading.text(path, at) else { return };
        self.reading.open(path);
        let mut group: Option<String> = None;
        for (number, start, line) in text.lines() {
            let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
            let trimmed = line.trim_ascii();
            match trimmed.first() {
                None | Some(b'#' | b';') => {}
                Some(b'!') => self.include(&text, number, trimmed),
                Some(b'[') => match trimmed.iter().position(|&b| b == b']') {
                    Some(end) => {
                        let name = from_bytes(trimmed[1..end].trim_ascii());
                        if self.is_ours(&name) && self.reading.out.place.is_none() {
                            self.reading.out.place = Some(text.location(number + 1));
                        }
                        group = Some(name);
                    }
                    None => self.reading.problem(path, Some(number), "a group without `]`", true),
                },
                Some(_) => match &group {
                    Some(group) if self.is_ours(group) => self.option(&text, number, start, line),
                    Some(group) if self.is_versioned(group) => self.versioned(&text, number, group, trimmed),
                    Some(_) => {}
                    None => self.reading.problem(path, Some(number), "an option before the first group", true),
                },
            }
        }
        self.reading.close();
    }

    /// The groups that the server reads, whatever its version (sql/mysqld.cc, load_default_groups).
    fn is_ours(&self, group: &str) -> bool {
        matches!(group, "mysqld" | "server")
            || self.mariadb && matches!(group, "mariadb" | "mariadbd" | "mariadb-server")
    }

    /// `mysqld-8.0`, `mariadb-10.11`: which version runs is not known.
    fn is_versioned(&self, group: &str) -> bool {
        let Some((name, version)) = group.rsplit_once('-') else { return false };
        self.is_ours(name) && version.starts_with(|c: char| c.is_ascii_digit())
    }

    fn versioned(&mut self, text: &Text, number: u32, group: &str, line: &[u8]) {
        let name = from_bytes(line).replace('_', "-");
        if ["port", "bind-address", "skip-networking"].iter().any(|option| name.starts_with(option)) {
            let why = format!("[{group}] is read by that version only");
            self.reading.problem(&text.path, Some(number), why, true);
        }
    }

    fn include(&mut self, text: &Text, number: u32, line: &[u8]) {
        let line = from_bytes(line);
        let at = At { path: text.path.clone(), line: number };
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
        let path = join(folder(&text.path), rest.trim());
        match word {
            "!include" => self.file(&path, Some(&at)),
            "!includedir" => {
                for path in self.reading.list(&format!("{}/*.cnf", path.trim_end_matches('/')), Some(&at)) {
                    self.file(&path, Some(&at));
                }
            }
            _ => self.reading.problem(&text.path, Some(number), format!("`{word}` is no statement"), true),
        }
    }

    fn option(&mut self, text: &Text, number: u32, start: usize, line: &[u8]) {
        let equals = line.iter().position(|&b| b == b'=');
        let name_end = equals.unwrap_or_else(|| line.iter().position(|&b| b == b'#').unwrap_or(line.len()));
        let name = from_bytes(line[..name_end].trim_ascii());
        let (from, to) = value_of(line, equals.map_or(name_end, |at| at + 1));
        let value = from_bytes(&line[from..to]);
        // The span of an option without value is the name's.
        let lead = line.len() - line.trim_ascii_start().len();
        let span = if equals.is_some() { start + from..start + to } else { start + lead..start + lead + name.len() };
        let origin = text.origin(span);
        if !self.apply(&name, equals.map(|_| value.as_str()), origin) {
            let why = format!("`{value}` is no value of {name}");
            self.reading.problem(&text.path, Some(number), why, true);
        }
    }

    /// `false` where the value is none.
    fn apply(&mut self, name: &str, value: Option<&str>, origin: Origin) -> bool {
        let name = name.replace('_', "-").to_ascii_lowercase();
        let name = name.strip_prefix("loose-").unwrap_or(&name);
        match (name, value) {
            ("bind-address", Some(value)) => {
                let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
                self.bind.push(Said::new(parts.map(bound).collect(), origin));
            }
            ("port", Some("0")) => self.port.push(Said::new(3306, origin)),
            ("port", Some(value)) => match port(value) {
                Some(port) => self.port.push(Said::new(port, origin)),
                None => return false,
            },
            ("skip-networking", None) => self.skip.push(Said::new(true, origin)),
            ("skip-networking", Some(value)) => match value.to_ascii_lowercase().as_str() {
                "1" | "on" | "true" | "" => self.skip.push(Said::new(true, origin)),
                "0" | "off" | "false" => self.skip.push(Said::new(false, origin)),
                _ => return false,
            },
            ("disable-skip-networking", _) => self.skip.push(Said::new(false, origin)),
            ("enable-skip-networking", _) => self.skip.push(Said::new(true, origin)),
            _ => {}
        }
        true
    }

    fn command_line(&mut self, arguments: &[String]) {
        for given in values(arguments, &["--bind-address"]) {
            self.apply("bind-address", Some(&given.value), given.origin);
        }
        for given in values(arguments, &["--port", "-P"]) {
            self.apply("port", Some(&given.value), given.origin);
        }
        if let Some(origin) = flag(arguments, &["--skip-networking", "--skip-networking=1", "--skip-networking=ON"]) {
            self.apply("skip-networking", None, origin);
        }
    }

    fn finish(mut self) -> Parsed {
        let any = Said::new(
            vec![(ListenAddress::Any, None)],
            Origin::Default("without `bind-address` the server listens on every address".to_owned()),
        );
        let bind = last_addresses(self.bind, any);
        let usual = Said::new(3306, Origin::Default("the server's port is 3306".to_owned()));
        let port = last_port(self.port, usual);
        let out = &mut self.reading.out;
        if let Some(Said { value: true, origin }) = self.skip.pop() {
            let beat = |said: Said<bool>| Beaten { origin: said.origin, addresses: Vec::new(), port: None };
            let beats = self.skip.into_iter().filter(|said| !said.value).map(beat).collect();
            out.disabled = Some(Setting { origin, beats });
        }
        listen_on(out, &bind, &port, Protocol::Tcp);
        self.reading.done()
    }
}

/// Where the value stands that begins somewhere behind `at`: without blanks, quotes and a comment behind it.
fn value_of(line: &[u8], at: usize) -> (usize, usize) {
    let at = at.min(line.len());
    let from = at + line[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
    if let Some(quote) = line.get(from).filter(|b| matches!(b, b'"' | b'\''))
        && let Some(end) = line[from + 1..].iter().position(|b| b == quote)
    {
        return (from + 1, from + 1 + end);
    }
    let end = line[from..].iter().position(|&b| b == b'#').map_or(line.len(), |end| from + end);
    (from, from + line[from..end].trim_ascii_end().len())
}

fn bound(text: &str) -> (ListenAddress, Option<bool>) {
    match address(text) {
        // `::` is opened for IPv4, too (sql/mysqld.cc, network_init).
        ip if ip == ANY_V6 => (ip, Some(false)),
        other => (other, None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tree, shown};

    #[test]
    fn groups_includes_and_the_last_one_wins() {
        let tree = Tree::of(&[
            (
                "/etc/mysql/my.cnf",
                "[client-server]\nport = 1\n!includedir /etc/mysql/conf.d/\n!includedir mariadb.conf.d\n",
            ),
            ("/etc/mysql/conf.d/a.cnf", "[mysql]\nport=2\n"),
            (
                "/etc/mysql/mariadb.conf.d/50-server.cnf",
                "[server]\n[mysqld]\nuser = mysql\nbind-address            = 127.0.0.1 # why\n[embedded]\nport=9\n",
            ),
            ("/etc/mysql/mariadb.conf.d/99-x.cnf", "[mariadb]\nbind_address='10.0.0.1'\nport\t=3307\n"),
            ("/etc/mysql/mariadb.conf.d/z.txt", "[mysqld]\nport=5\n"),
        ]);
        let parsed = tree.clone().command("mariadbd").parse("mariadb", &["/etc/mysql/my.cnf"]);
        assert_eq!(parsed.problems, []);
        assert_eq!(
            shown(&parsed),
            ["10.0.0.1:3307 /etc/mysql/mariadb.conf.d/99-x.cnf:2 /etc/mysql/mariadb.conf.d/99-x.cnf:3"]
        );
        let beaten = parsed.listens[0].address_from.beats[0].origin.line().unwrap();
        assert_eq!((beaten.location.line, beaten.value()), (4, Some("127.0.0.1")));
        let parsed = tree.command("mysqld").parse("mariadb", &["/etc/mysql/my.cnf"]);
        assert_eq!(shown(&parsed), ["127.0.0.1:3306 /etc/mysql/mariadb.conf.d/50-server.cnf:4 default"]);
    }

    #[test]
    fn skip_networking_in_its_forms() {
        for (text, off) in [
            ("[mysqld]\nskip-networking\n", true),
            ("[mysqld]\nskip_networking = ON # x\n", true),
            ("[mysqld]\nskip-networking=0\n", false),
            ("[mysqld]\nskip-networking\nskip-networking=OFF\n", false),
            ("[client]\nskip-networking\n", false),
        ] {
            let parsed = Tree::of(&[("/m", text)]).parse("mariadb", &["/m"]);
            assert_eq!((parsed.disabled.is_some(), parsed.listens.len()), (off, 1), "{text}");
        }
    }

    #[test]
    fn the_command_line_beats_the_files() {
        let tree = Tree::of(&[("/m", "[mysqld]\nport=3307\nbind-address=::\n")]).arguments("--port=3308");
        assert_eq!(shown(&tree.parse("mariadb", &["/m"])), ["[::]:3308 /m:3 --port=3308"]);
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let text = "port=1\n[mysqld]\nport=x\n[mysqld-8.0]\nport=3308\n[x\n!inc y\n";
        let parsed = Tree::of(&[("/m", text)]).parse("mariadb", &["/m"]);
        let lines: Vec<Option<u32>> = parsed.problems.iter().map(|p| p.line).collect();
        assert_eq!(lines, [Some(1), Some(3), Some(5), Some(6), Some(7)]);
    }
}
