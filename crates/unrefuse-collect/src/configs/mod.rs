//! Configurations of the services that run here and matter to a question, or that may be meant and do not run: which
//! files, read with which grammar.
//!
//! The running process, or the unit that would start it, says where its configuration is: the command line names the
//! file, else it is the one that the catalogue knows. Files are read bounded (size, count, depth); what this user may
//! not read is a problem in the result, never an empty configuration. Files are configured state: what the process does
//! may differ.

mod files;
mod instances;
mod main_files;
mod not_running;
mod unit_line;

use crate::live::missing::missing;
use files::LiveFiles;
use instances::Instance;
pub(crate) use not_running::{exec_line, of_unit};
use std::collections::BTreeSet;
use unit_line::CommandLine;
use unrefuse_facts::catalogue::{self, KnownService};
use unrefuse_facts::{ConfigFile, ConfigProblem, ConfiguredProcess, Observed, ServiceConfig, Source, Transport};
use unrefuse_parse::config::{self, Parsed, Start};

/// Instances of one service that are read: a host with a hundred PostgreSQL clusters is asked about one.
const MOST_INSTANCES: usize = 16;

/// Which services matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigQuery {
    /// The port that is asked for, and its transport.
    pub port: u16,
    /// TCP or UDP.
    pub transport: Transport,
    /// The scheme of the target's URL.
    pub scheme: Option<String>,
    /// Processes that hold a socket on the port.
    pub holders: BTreeSet<u32>,
}

/// The configurations of running services whose port or scheme it is, and of those who hold the port; where nobody
/// holds it, of all that run: one of them may have a line for it that it has not read yet.
pub fn configs(query: &ConfigQuery) -> Observed<Vec<ServiceConfig>> {
    let processes = match instances::processes() {
        Ok(processes) => processes,
        Err(errno) => return Observed::Missing(missing("list /proc", errno)),
    };
    let mut wanted: Vec<&KnownService> = catalogue::by_port(query.port, query.transport).collect();
    wanted.extend(query.scheme.as_deref().into_iter().flat_map(catalogue::by_scheme));
    let held_by = |pid: &u32| processes.get(pid).and_then(|process| catalogue::by_process(&process.command));
    wanted.extend(query.holders.iter().filter_map(held_by));
    if query.holders.is_empty() {
        wanted.extend(config::SERVICES.iter().filter_map(|id| catalogue::by_id(id)));
    }
    wanted.sort_by_key(|service| service.id);
    wanted.dedup_by_key(|service| service.id);

    let mut all = Vec::new();
    for service in wanted {
        let Some(grammar) = config::grammar(service.id) else { continue };
        for instance in instances::of(service, &processes).into_iter().take(MOST_INSTANCES) {
            all.push(of_service(service, grammar, &instance, &CommandLine::of(&instance)));
        }
    }
    for pid in &query.holders {
        let known = all.iter().any(|one: &ServiceConfig| one.process.as_ref().is_some_and(|p| p.pids.contains(pid)));
        if !known && let Some(process) = processes.get(pid) {
            let instance = Instance::of(process, &processes);
            all.extend(of_command_line(&instance, &CommandLine::of(&instance), query.port));
        }
    }
    Observed::known(all, Source::configured("configuration files"))
}

fn of_service(
    service: &KnownService,
    grammar: config::Grammar,
    instance: &Instance,
    command_line: &CommandLine,
) -> ServiceConfig {
    let arguments = command_line.arguments.clone();
    let mut files = LiveFiles;
    let mains = main_files::of(service, instance, command_line);
    let variables = main_files::variables(service, instance, command_line);
    let start = Start { files: &mains.paths, arguments: &arguments, variables: &variables, command: &instance.command };
    let mut parsed = grammar(&start, &mut files);
    if service.id == "memcached" && !mains.paths.is_empty() && instance.pid.is_some() {
        parsed = memcached(grammar, &start, parsed, instance);
    }
    let mut problems = std::mem::take(&mut parsed.problems);
    problems.extend(mains.problem);
    finished(service.id, service.name, instance, command_line, parsed, problems)
}

/// memcached itself reads no file: where the file says otherwise than the running command line and was not changed
/// since the start, it is not what starts it.
fn memcached(grammar: config::Grammar, start: &Start<'_>, from_file: Parsed, instance: &Instance) -> Parsed {
    let from_line = grammar(&Start { files: &[], ..*start }, &mut LiveFiles);
    let ends = |parsed: &Parsed| parsed.listens.iter().map(|l| (l.endpoint(), l.protocol)).collect::<Vec<_>>();
    let changed = start.files.iter().filter_map(|path| files::changed_ms(path)).max();
    let since = changed.zip(instance.loaded_ms).is_some_and(|(changed, loaded)| changed > loaded);
    if since || ends(&from_file) == ends(&from_line) { from_file } else { from_line }
}

fn of_command_line(instance: &Instance, command_line: &CommandLine, held: u16) -> Option<ServiceConfig> {
    let mut parsed = config::command_line(&instance.command, &command_line.arguments, held)?;
    let name = instance.command.clone();
    let problems = std::mem::take(&mut parsed.problems);
    Some(finished(&name, &name, instance, command_line, parsed, problems))
}

fn finished(
    id: &str,
    name: &str,
    instance: &Instance,
    command_line: &CommandLine,
    mut parsed: Parsed,
    problems: Vec<ConfigProblem>,
) -> ServiceConfig {
    for listen in &mut parsed.listens {
        command_line.place(&mut listen.address_from, &listen.address.to_string());
        command_line.place(&mut listen.port_from, &listen.port.to_string());
    }
    if let Some(setting) = &mut parsed.disabled {
        command_line.place(setting, "0");
    }
    let file = |path: &String| ConfigFile {
        path: path.clone(),
        size: files::size(path).unwrap_or_default(),
        changed_ms: files::changed_ms(path),
    };
    ServiceConfig {
        service: id.to_owned(),
        name: name.to_owned(),
        process: instance.pid.map(|pid| ConfiguredProcess {
            pid,
            command: instance.command.clone(),
            unit: instance.unit.clone(),
            user_unit: instance.user_unit.clone(),
            arguments_from: command_line.source.clone(),
            loaded_ms: instance.loaded_ms,
            pids: instance.pids.clone(),
        }),
        files: parsed.files.iter().map(file).collect(),
        listens: parsed.listens,
        disabled: parsed.disabled,
        place: parsed.place,
        problems,
    }
}
