//! `unrefuse TARGET`: gather, diagnose, print.

use crate::cli::{CheckArgs, Format, WrongCall};
use crate::gather::{Options, firewall::Sender, gather};
use crate::{output, progress::Progress};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use unrefuse_collect::containers::{self, StandError, Standing};
use unrefuse_collect::{Host, live::Live, namespace};
use unrefuse_facts::{Family, OwnContainer, VantageKind};

/// An engine that has not said by then which process a container is, is stuck.
const ENGINES: Duration = Duration::from_secs(2);

pub(crate) fn run(arguments: &CheckArgs) -> anyhow::Result<u8> {
    let started = Instant::now();
    let words: Vec<&str> = arguments.target.iter().chain(&arguments.port).map(String::as_str).collect();
    let target = unrefuse_parse::target::parse(&words, arguments.udp).map_err(|e| WrongCall(e.to_string()))?;
    let family = match (arguments.ipv4, arguments.ipv6) {
        (true, _) => Some(Family::V4),
        (_, true) => Some(Family::V6),
        _ => None,
    };
    if let (Some(wanted), Some(address)) = (family, target.literal().map(|ip| ip.to_canonical()))
        && Family::of(&address) != wanted
    {
        let option = if wanted == Family::V4 { "-4" } else { "-6" };
        let why = format!("{address} is no {} address, as {option} wants it: leave {option} out", wanted.name());
        return Err(WrongCall(why).into());
    }
    if let (Some(scope), Some(address)) = (&target.scope, target.literal())
        && !takes_scope(address)
    {
        let why = format!("{address} takes no interface: only link-local addresses do, leave %{scope} out");
        return Err(WrongCall(why).into());
    }
    let container = arguments.container.as_deref().map(|name| stand(name, started + arguments.deadline)).transpose()?;
    enter(arguments.netns.as_deref())?;
    let netns = arguments.netns.clone().or_else(|| container.is_none().then(namespace::started_in).flatten());

    let host: Arc<dyn Host> = Arc::new(match &container {
        Some(container) => Live::with_names_of(container.pid)
            .map_err(|missing| anyhow::anyhow!("--container {}: {missing}", container.name))?,
        None => Live::new(),
    });
    let options = Options {
        family,
        timeout: arguments.timeout.min(arguments.deadline),
        deadline: started + arguments.deadline,
        rounds: arguments.count,
        kind: match (&arguments.from, netns.is_some() || container.is_some()) {
            (Some(_), _) => VantageKind::From,
            (None, true) => VantageKind::Netns,
            (None, false) => VantageKind::Local,
        },
        place: (arguments.from.as_ref().map(|from| from.to_string()))
            .or_else(|| netns.clone())
            .or_else(|| container.as_ref().map(|container| container.name.clone())),
        netns,
        container_pid: container.as_ref().map(|container| container.pid),
        container: container.map(|container| OwnContainer {
            engine: Some(container.engine.command().to_owned()),
            name: container.name,
            entered: true,
        }),
        sender: match &arguments.from {
            Some(from) => Sender::From(from.address, from.interface.clone()),
            None => Sender::Here,
        },
    };
    let progress = Progress::start(format!("asking {}", unrefuse_facts::text::visible(&target.endpoint())));
    let case = gather(&target, &options, &host);
    drop(progress);
    // Of an address there is nothing to look up but its interface.
    if let (Some(_), Some(_), Err(_), Some(why)) =
        (&target.scope, target.literal(), &case.resolution.result, &case.resolution.detail)
    {
        return Err(WrongCall(format!("{why}: `ip link` shows those that there are")).into());
    }

    if arguments.format == Format::Facts {
        output::print(&(serde_json::to_string(&case)? + "\n"))?;
    }
    let report = unrefuse_diagnose::diagnose(&case, started.elapsed());
    if arguments.json || arguments.format == Format::Json {
        output::print(&unrefuse_report::json(&report))?;
    } else if arguments.format == Format::Text {
        let style = output::style(&arguments.paint, arguments.verbose, arguments.quiet);
        output::print(&unrefuse_report::text(&report, &style))?;
    }
    Ok(report.exit_code())
}

/// The addresses that mean another host on every link: RFC 4007, section 11, and RFC 4291, section 2.7.
fn takes_scope(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_multicast(),
    }
}

/// Stands in a container's network namespace, before any thread is started.
fn stand(name: &str, until: Instant) -> anyhow::Result<Standing> {
    let found = containers::stand(name, until.min(Instant::now() + ENGINES)).map_err(|error| match error {
        StandError::CannotTell { .. } => anyhow::anyhow!("--container: {error}"),
        error => WrongCall(format!("--container: {error}")).into(),
    })?;
    namespace::enter(&found.pid.to_string()).map_err(|error| anyhow::anyhow!("--container {name}: {error}"))?;
    Ok(found)
}

/// Stands in another network namespace, before any thread is started.
pub(crate) fn enter(spec: Option<&str>) -> anyhow::Result<()> {
    let Some(spec) = spec else { return Ok(()) };
    namespace::enter(spec).map(|_| ()).map_err(|error| anyhow::Error::new(WrongCall(format!("--netns: {error}"))))
}
