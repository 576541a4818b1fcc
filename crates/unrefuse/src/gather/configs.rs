//! The configurations of services, where this machine is the server and the attempt failed.

use super::not_needed;
use crate::ask::{Asked, ask};
use std::collections::BTreeSet;
use std::time::Instant;
use unrefuse_collect::configs::{ConfigQuery, configs};
use unrefuse_facts::{Case, Observed, Protocol, ServiceConfig, Transport};

/// A look at configurations that is under way, or the reason why nobody looks.
pub(crate) enum Configs {
    Asked(Asked<Observed<Vec<ServiceConfig>>>),
    NotNeeded(&'static str),
}

impl Configs {
    /// Starts to read, where the socket table is known and something failed: its holders say whose configuration matters.
    pub(crate) fn start(case: &Case, until: Instant) -> Self {
        if super::works(case) {
            return Self::NotNeeded("the attempts were open: no configuration has to explain anything");
        }
        let Some(table) = case.host.sockets.value() else {
            return Self::NotNeeded("this machine's sockets do not decide");
        };
        let on_port = table.listeners.iter().filter(|socket| socket.local.port() == case.target.port);
        let holders: BTreeSet<u32> = on_port.flat_map(|socket| table.owners(socket)).map(|owner| owner.pid).collect();
        let transport = match case.target.protocol {
            Protocol::Udp => Transport::Udp,
            Protocol::Tcp | Protocol::Unix => Transport::Tcp,
        };
        let query = ConfigQuery { port: case.target.port, transport, scheme: case.target.scheme.clone(), holders };
        Self::Asked(ask("configuration files", until, move || configs(&query)))
    }

    /// What they say.
    pub(crate) fn fact(self) -> Observed<Vec<ServiceConfig>> {
        match self {
            Self::Asked(asked) => asked.fact(),
            Self::NotNeeded(why) => not_needed(why),
        }
    }
}
