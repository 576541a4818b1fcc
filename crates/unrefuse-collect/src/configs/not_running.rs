//! The configuration of a service that does not run, as its unit would start it.

mod dnsmasq_script;

use super::instances::Instance;
use super::unit_line::{CommandLine, exec_start};
use super::{of_command_line, of_service};
use crate::unit_files::UnitFiles;
use unrefuse_facts::catalogue::{self, KnownService};
use unrefuse_facts::{ActiveState, ConfigLine, Missing, Observed, Reason, ServiceConfig, Source, UnitFacts};
use unrefuse_parse::config;

/// What `unit` would start its service with; not looked at where it runs, cannot be started, or nobody knows how to read it.
pub(crate) fn of_unit(unit: &UnitFacts, files: &UnitFiles, port: Option<u16>) -> Observed<ServiceConfig> {
    let not_looked = |why: &str| Observed::Missing(Missing::new(Reason::NotLooked, why));
    if unit.is_running() || unit.active == ActiveState::Active || unit.is_masked() || !unit.name.ends_with(".service") {
        return not_looked("it runs, or nothing can start it");
    }
    let Some(exec) = exec_start(files, &unit.name) else { return not_looked("what it starts cannot be told") };
    let program = exec.words.first().and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
    let service = unit.service.as_deref().and_then(catalogue::by_id).or_else(|| catalogue::by_process(&program));
    let source = Source::configured(exec.location.to_string());
    match service.and_then(|service| Some((service, config::grammar(service.id)?))) {
        // Debian's postgresql.service only stands for the clusters.
        Some(_) if program == "true" => not_looked("it starts nothing itself"),
        Some((service, grammar)) => {
            let is_program = is_of(service, &program);
            // The script in front of dnsmasq tells it which folders to read.
            let exec = match exec.words.first().map(String::as_str) {
                _ if is_program || service.id != "dnsmasq" => exec,
                Some(dnsmasq_script::SCRIPT) => match dnsmasq_script::arguments(exec.arguments(), files.root()) {
                    Ok(arguments) => exec.with_arguments(arguments),
                    Err(missing) => return Observed::Missing(missing),
                },
                _ => return not_looked("a script gives it its configuration"),
            };
            let is_program = is_program || service.id == "dnsmasq";
            let command = service.processes.first().copied().filter(|_| !service.has_process(&program));
            let instance = Instance::of_unit(&unit.name, command.map_or(program, str::to_owned));
            let command_line = CommandLine::of_unit(exec, is_program);
            Observed::known(of_service(service, grammar, &instance, &command_line), source)
        }
        None => {
            let instance = Instance::of_unit(&unit.name, program);
            let command_line = CommandLine::of_unit(exec, true);
            let config = port.and_then(|port| of_command_line(&instance, &command_line, port));
            config.map_or_else(
                || not_looked("its command line does not say it"),
                |config| Observed::known(config, source),
            )
        }
    }
}

/// The line of `unit`'s files that says what it starts, where it is the administrator's to change.
pub(crate) fn exec_line(unit: &str, files: &UnitFiles) -> Option<ConfigLine> {
    exec_start(files, unit)?.own_line()
}

/// The program is the service itself.
fn is_of(service: &KnownService, program: &str) -> bool {
    service.has_process(program) || service.binaries.iter().any(|path| path.rsplit('/').next() == Some(program))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;

    fn read(name: &str, unit_file: &str, port: u16) -> Observed<ServiceConfig> {
        let root = Root::new(&format!("not-running-{port}-{}", name.len()));
        root.file("/own.conf", "bind 127.0.0.1\nport 7000\n");
        let dnsmasq = format!("DNSMASQ_OPTS=--conf-file={}/d.conf\n", root.path());
        root.file("/etc/default/dnsmasq", &dnsmasq);
        root.file("/d.conf", "bind-interfaces\nlisten-address=10.0.0.1\nport=5353\n");
        let unit_file = unit_file.replace("ROOT", root.path());
        root.file(&format!("/usr/lib/systemd/system/{name}"), &format!("[Service]\n{unit_file}\n"));
        let files = UnitFiles::list(root.path());
        let mut unit = files.unit(name, true).unwrap();
        unit.service = catalogue::by_unit(name).map(|service| service.id.to_owned());
        of_unit(&unit, &files, Some(port))
    }

    fn ends(config: &Observed<ServiceConfig>) -> Vec<String> {
        config.value().unwrap().listens.iter().map(unrefuse_facts::ConfiguredListen::endpoint).collect()
    }

    #[test]
    fn the_file_that_its_command_line_names() {
        let line = "ExecStart=/usr/bin/redis-server ROOT/own.conf --supervised systemd --daemonize no";
        let config = read("redis-server.service", line, 1);
        assert_eq!(ends(&config), ["127.0.0.1:7000"]);
        assert!(config.value().unwrap().process.is_none());
        let line = format!("{line} --port 7001");
        assert_eq!(ends(&read("redis-server.service", &line, 2)), ["127.0.0.1:7001"]);
    }

    #[test]
    fn without_a_file_its_command_line_alone() {
        let config = read("memcached.service", "Environment=PORT=90\nExecStart=/usr/bin/memcached -p 9000 -l ::1", 3);
        assert_eq!(ends(&config)[0], "[::1]:9000");
        assert!(config.value().unwrap().files.is_empty());
    }

    #[test]
    fn a_program_that_nobody_knows() {
        let config = read("app.service", "Environment=AT=127.0.0.1\nExecStart=/opt/app --listen ${AT}:8090", 8090);
        assert_eq!(ends(&config)[0], "127.0.0.1:8090");
        assert!(read("app.service", "ExecStart=/opt/app --wait 8090", 8091).value().is_none());
    }

    #[test]
    fn a_known_program_under_a_name_of_one_s_own() {
        let config = read("cache.service", "ExecStart=/usr/bin/redis-server --port 8090 --bind ::1", 4);
        assert_eq!((config.value().unwrap().service.as_str(), ends(&config)), ("redis", vec!["[::1]:8090".to_owned()]));
    }

    #[test]
    fn a_script_in_front_of_it() {
        let config = read("dnsmasq.service", "ExecStart=/usr/share/dnsmasq/systemd-helper exec", 53);
        assert_eq!(ends(&config), ["10.0.0.1:5353", "10.0.0.1:5353"]);
        assert!(read("dnsmasq.service", "ExecStart=/opt/own-script", 54).value().is_none());
    }

    #[test]
    fn what_stands_for_others_has_none() {
        assert!(read("postgresql.service", "ExecStart=/bin/true", 5432).value().is_none());
    }
}
