//! What can be known about a host: plain types, each value with where it came from.
//!
//! This crate does no I/O. Collectors and probes fill these types, rules read them. A value that could not be
//! observed is never a default: it is a [`Missing`] with its reason (see [`Observed`]).
#![forbid(unsafe_code)]

mod attempt;
mod case;
pub mod catalogue;
mod config;
mod container;
mod errno;
mod firewall;
pub mod glob;
mod host;
mod ipsec;
mod link_filter;
mod name;
mod net;
mod observed;
mod process;
mod service;
mod service_unit;
mod socket;
mod target;
pub mod text;

pub use attempt::{Answer, AnswerKind, Attempt, AttemptOutcome, PortProbe, ProxyAttempt, Reference};
pub use case::{Case, Vantage, VantageKind};
pub use config::{
    Beaten, ConfigFile, ConfigLine, ConfigProblem, ConfiguredListen, ConfiguredProcess, ListenAddress, Origin,
    ServiceConfig, Setting,
};
pub use container::{
    ComposeService, Container, ContainerExit, ContainerFacts, ContainerNetwork, ContainerPort, ContainerStatus, Engine,
    EngineKind, FORWARDERS, HOLDERS, NetworkMode, OwnContainer, PublishedPort, Recipe, is_engine_helper,
};
pub use errno::Errno;
pub use firewall::{
    AddressJudgement, Beyond, ChainPlace, ChainPolicy, ClientSees, Conntrack, Decider, Fate, FilterBackend, FilterHook,
    FilterRule, FirewallFacts, FirewalldFacts, FromElsewhere, Judgement, Marking, RejectKind, RuleCounters, RuleKeeper,
    RuleOwner, SavedKind, SavedRule, SavedRules, SavedSays, SetHit, SetKind, SharedLink, StackReason, TableFamily,
    TooOften, Translation, UfwAction, UfwFacts, UfwPlaced, UfwRule, WayStep,
};
pub use host::{Counter, Host, ProxySetting, SelfFacts};
pub use ipsec::IpsecPolicy;
pub use link_filter::{LinkFilter, LinkHook};
pub use name::{
    DnsAnswer, HostsEntry, HostsFile, NameError, NameServer, NsSwitch, Resolution, ResolvConf, ResolverFacts,
    ServerAnswer,
};
pub use net::{
    Family, InterfaceAddress, Link, Neighbour, NeighbourState, Route, RouteDecision, RouteKind, Routing, RoutingRule,
    network, vrf_of, within,
};
pub use observed::{Location, Missing, Observed, Reason, Source, SourceKind};
pub use process::{ContainerHint, Process, ProcessState, RunningAs};
pub use service::{Clue, ClueKind, Installed, JournalLine, LogFile, OtherService, ServiceFacts, Supervisor};
pub use service_unit::{ActiveState, AddressFamilies, IpPrefix, LoadState, UnitExit, UnitFacts, UnitListen, UnitUser};
pub use socket::{Holder, NetNamespace, Socket, SocketState, SocketTable, Transport, UnixSocket};
pub use target::{Protocol, Target};
