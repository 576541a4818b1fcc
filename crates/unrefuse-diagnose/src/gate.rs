//! The places on a packet's way that can stop it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A place on the packet's way that can stop it, in the packet's order.
///
/// `service`, `config` and `container` lie behind the listener: they say why there is none, and are no gates of the
/// journey, but causes are filed under them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// The name leads to an address.
    Name,
    /// This machine has a way there.
    Route,
    /// This machine's own policy lets it out.
    Egress,
    /// Links and routers between the machines carry it.
    Path,
    /// The server's firewall and network stack let it in.
    Ingress,
    /// A socket takes it.
    Listener,
    /// The application keeps the connection.
    Access,
    /// The service that should listen.
    Service,
    /// Its configuration.
    Config,
    /// The container it lives in.
    Container,
}

impl Gate {
    /// The gates of a journey, in order.
    pub const JOURNEY: [Gate; 7] =
        [Gate::Name, Gate::Route, Gate::Egress, Gate::Path, Gate::Ingress, Gate::Listener, Gate::Access];

    /// The first word of its causes' ids.
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Route => "route",
            Self::Egress => "egress",
            Self::Path => "path",
            Self::Ingress => "ingress",
            Self::Listener => "listener",
            Self::Access => "access",
            Self::Service => "service",
            Self::Config => "config",
            Self::Container => "container",
        }
    }

    /// The gate of a cause's id: `listener` of `listener/none`.
    pub fn of_id(id: &str) -> Option<Self> {
        let word = id.split('/').next()?;
        [Self::Service, Self::Config, Self::Container].into_iter().chain(Self::JOURNEY).find(|gate| gate.name() == word)
    }
}
