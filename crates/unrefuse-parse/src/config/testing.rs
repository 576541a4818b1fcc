//! Configurations in memory, for tests.

use super::{Files, Parsed, Start, glob, grammar};
use std::collections::BTreeMap;
use unrefuse_facts::{Missing, Origin, Reason};

/// Files by path.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    files: BTreeMap<String, Vec<u8>>,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    command: String,
}

impl Tree {
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        Self { files, arguments: Vec::new(), variables: Vec::new(), command: String::new() }
    }
    pub(crate) fn arguments(mut self, line: &str) -> Self {
        self.arguments = line.split_whitespace().map(str::to_owned).collect();
        self
    }
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }
    pub(crate) fn command(mut self, command: &str) -> Self {
        self.command = command.to_owned();
        self
    }
    pub(crate) fn parse(mut self, service: &str, main: &[&str]) -> Parsed {
        let main: Vec<String> = main.iter().map(|path| (*path).to_owned()).collect();
        let (arguments, variables, command) = (self.arguments.clone(), self.variables.clone(), self.command.clone());
        let start = Start { files: &main, arguments: &arguments, variables: &variables, command: &command };
        grammar(service).unwrap()(&start, &mut self)
    }
}

impl Files for Tree {
    fn read(&mut self, path: &str) -> Result<Vec<u8>, Missing> {
        let absent = || Missing::new(Reason::Absent, format!("open {path}: no such file"));
        self.files.get(path).cloned().ok_or_else(absent)
    }
    fn list(&mut self, pattern: &str) -> Result<Vec<String>, Missing> {
        let parts: Vec<&str> = pattern.split('/').collect();
        let is = |path: &&String| {
            let names: Vec<&str> = path.split('/').collect();
            names.len() == parts.len() && parts.iter().zip(&names).all(|(p, n)| p == n || glob::matches(p, n))
        };
        Ok(self.files.keys().filter(is).cloned().collect())
    }
}

/// `127.0.0.1:80 /etc/x.conf:3` of each address, with the address's place; the port's place where it is another.
pub(crate) fn shown(parsed: &Parsed) -> Vec<String> {
    let place = |origin: &Origin| match origin {
        Origin::Line(line) => line.location.to_string(),
        Origin::CommandLine(option) => option.clone(),
        Origin::Default(_) => "default".to_owned(),
    };
    let one = |listen: &unrefuse_facts::ConfiguredListen| {
        let (address, port) = (place(&listen.address_from.origin), place(&listen.port_from.origin));
        let port = if port == address { String::new() } else { format!(" {port}") };
        let protocol = if listen.protocol == unrefuse_facts::Protocol::Udp { "/udp" } else { "" };
        format!("{}{protocol} {address}{port}", listen.endpoint())
    };
    parsed.listens.iter().map(one).collect()
}

impl Tree {
    /// With the files of another one.
    pub(crate) fn joined(mut self, other: Self) -> Self {
        self.files.extend(other.files);
        self
    }
}
