//! Configurations for tests, in a few words.

use crate::testing::Scene;
use crate::testing::service::unit;
use unrefuse_facts::*;

/// A configuration under construction.
#[derive(Debug, Clone)]
pub(super) struct Config(ServiceConfig);

/// A line of a file with its value.
pub(super) fn line(path: &str, number: u32, text: &str, value: &str) -> Origin {
    let start = text.find(value).unwrap();
    Origin::Line(ConfigLine {
        location: Location { path: path.into(), line: number },
        text: text.into(),
        value: Some((start, start + value.len())),
    })
}

impl Config {
    pub(super) fn of(service: &str, command: &str) -> Self {
        let name = catalogue::by_id(service).map_or(service, |known| known.name);
        Self(ServiceConfig {
            service: service.into(),
            name: name.into(),
            process: Some(ConfiguredProcess {
                pid: 800,
                command: command.into(),
                unit: None,
                user_unit: None,
                arguments_from: "/proc/800/cmdline".into(),
                loaded_ms: Some(1_000_000),
                pids: vec![800],
            }),
            files: Vec::new(),
            listens: Vec::new(),
            disabled: None,
            place: Some(Location { path: "/etc/main.conf".into(), line: 9 }),
            problems: Vec::new(),
        })
    }
    pub(super) fn unit(mut self, unit: &str) -> Self {
        self.0.process.as_mut().unwrap().unit = Some(unit.into());
        self
    }
    pub(super) fn no_unit(&mut self) {
        self.0.process.as_mut().unwrap().unit = None;
    }
    fn address(text: &str) -> ListenAddress {
        match text.parse() {
            Ok(ip) => ListenAddress::Ip(ip),
            Err(_) if text == "*" => ListenAddress::Any,
            Err(_) => ListenAddress::Name(text.into()),
        }
    }
    /// An address and port that one place says.
    pub(super) fn listen(self, address: &str, port: u16, origin: Origin) -> Self {
        self.listen_at(address, port, origin.clone(), origin)
    }
    /// The same of two places.
    pub(super) fn listen_at(mut self, address: &str, port: u16, address_from: Origin, port_from: Origin) -> Self {
        self.read(&address_from);
        self.read(&port_from);
        self.0.listens.push(ConfiguredListen {
            address: Self::address(address),
            port,
            protocol: Protocol::Tcp,
            v6only: None,
            address_from: address_from.into(),
            port_from: port_from.into(),
        });
        self
    }
    /// The last address takes no IPv4.
    pub(super) fn v6only(mut self) -> Self {
        self.0.listens.last_mut().unwrap().v6only = Some(true);
        self
    }
    /// The file of a line was read.
    fn read(&mut self, origin: &Origin) {
        if let Some(line) = origin.line()
            && self.0.file(&line.location.path).is_none()
        {
            let path = line.location.path.clone();
            self.0.files.push(ConfigFile { path, size: 1, changed_ms: Some(0) });
        }
    }
    /// What the last address's place beats.
    pub(super) fn beats(mut self, addresses: &[&str], port: Option<u16>, origin: Origin) -> Self {
        let beaten = Beaten { origin, addresses: addresses.iter().map(|a| Self::address(a)).collect(), port };
        let last = self.0.listens.last_mut().unwrap();
        let setting = if addresses.is_empty() { &mut last.port_from } else { &mut last.address_from };
        setting.beats.push(beaten);
        self
    }
    pub(super) fn disabled(mut self, origin: Origin) -> Self {
        self.read(&origin);
        self.0.disabled = Some(origin.into());
        self
    }
    pub(super) fn problem(mut self, path: &str, why: &str) -> Self {
        self.0.problems.push(ConfigProblem {
            path: path.into(),
            line: None,
            why: why.into(),
            remedy: None,
            hides: true,
        });
        self
    }
    /// Every file was changed so many milliseconds after the process read it.
    pub(super) fn changed_after(mut self, milliseconds: i64) -> Self {
        for file in &mut self.0.files {
            file.changed_ms = Some(1_000_000 + milliseconds);
        }
        self
    }
    /// As what a unit that does not run would start its service with.
    pub(super) fn of_stopped(mut self, name: &str) -> UnitFacts {
        self.0.process = None;
        let config = Observed::known(self.0, Source::configured("/etc/systemd/system/x.service:3"));
        UnitFacts { config, ..unit(name, ActiveState::Inactive, "dead") }
    }
    /// As the configuration of the process of the scene's last listener.
    pub(super) fn of_last(mut self, scene: Scene) -> Scene {
        scene.with(|case| {
            let pid = case.host.sockets.value().unwrap().processes.keys().next_back().copied().unwrap_or(800);
            let process = self.0.process.as_mut().unwrap();
            (process.pid, process.pids) = (pid, vec![pid]);
            case.host.configs = Observed::known(vec![self.0], Source::configured("configuration files"));
        })
    }
}
