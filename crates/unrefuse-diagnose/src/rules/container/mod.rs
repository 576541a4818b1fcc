//! Causes of why a port that lives in a container is not reached.

mod bind;
mod compose;
mod fixes;
mod meant;
mod run;
mod start_error;
mod state;
mod words;

use crate::View;
use crate::containers::{Inside, inside};
use crate::report::Evidence;
use crate::rules::listener::owner;
use state::State;

/// What a proxy of an engine, which took the connection, meets in the container, where that is nothing.
pub(crate) fn dead_end(view: &View<'_>) -> Option<Evidence> {
    let (meant, state) = state::state(view).ok().flatten()?;
    let to = match state {
        State::OtherContainerPort(to, _) | State::AppOnLoopback(to, Some(_)) => to,
        _ => return None,
    };
    let container = meant.container;
    let text = format!(
        "nothing that others reach listens on {} inside {}",
        words::port(to),
        crate::containers::name(container)
    );
    let source = container.sockets.source().map_or("its network namespace", |source| &source.what);
    Some(Evidence::new(text, source))
}

/// `named[812] in container dns`: what takes the asked packets in the container that they are sent on to.
pub(crate) fn taker_inside(view: &View<'_>) -> Option<String> {
    let (meant, State::Serves(Some(publication))) = state::state(view).ok().flatten()? else { return None };
    let Inside::Listens(socket) = inside(meant.container, publication.container.transport, publication.container.port)
    else {
        return None;
    };
    let owner = meant.container.sockets.value().map(|table| owner::short(table, socket));
    Some(format!("{} in {}", owner.as_deref().unwrap_or("a process"), crate::containers::name(meant.container)))
}

crate::rules::causes! {
    engine_down,
    stopped,
    published_loopback,
    published_address,
    other_host_port,
    app_on_loopback,
    other_container_port,
    not_published,
    rules_missing,
    localhost_inside,
    other_network,
    own_macvlan,
}
