//! Why an engine could not start a container, by its own words.

use crate::View;
use crate::containers::is_forwarded;
use crate::rules::listener::owner;
use unrefuse_facts::Container;

/// What hindered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StartError {
    /// The host's port that is asked for was taken; who has it now, where that is anybody.
    PortTaken(Option<String>),
    /// Its image has no such command.
    NoCommand,
    /// Anything else.
    Other,
}

/// What the engine said when it could not start it; `None` where it said nothing.
pub(super) fn of(view: &View<'_>, container: &Container) -> Option<StartError> {
    // moby's portallocator and its proxies, and Podman: `Bind for 0.0.0.0:80 failed: port is already allocated`, `listen
    // tcp4 0.0.0.0:80: bind: address already in use`.
    const TAKEN: [&str; 2] = ["port is already allocated", "address already in use"];
    // runc and crun: `exec: "x": executable file not found in $PATH`, `stat /x: no such file or directory`.
    const NO_COMMAND: [&str; 2] = ["executable file not found", "exec: "];
    let error = container.error.as_deref()?;
    let says = |words: &[&str]| words.iter().any(|word| error.contains(word));
    Some(if says(&TAKEN) && names_port(error, view.case.target.port) {
        match holders(view) {
            Some(mut holders) => StartError::PortTaken(holders.pop()),
            None => StartError::Other,
        }
    } else if says(&NO_COMMAND) {
        StartError::NoCommand
    } else {
        StartError::Other
    })
}

fn names_port(error: &str, port: u16) -> bool {
    let number = format!(":{port}");
    error.match_indices(&number).any(|(at, _)| !error[at + number.len()..].starts_with(|c: char| c.is_ascii_digit()))
}

/// Who listens on the asked port of this machine, engines' own helpers left out; `None` where that was not seen.
pub(super) fn holders(view: &View<'_>) -> Option<Vec<String>> {
    let (table, transport) = (view.case.host.sockets.value()?, view.transport()?);
    let sockets = view.on_port(table, transport).into_iter().filter(|socket| !is_forwarded(table, socket));
    Some(sockets.map(|socket| owner::short(table, socket)).collect())
}
