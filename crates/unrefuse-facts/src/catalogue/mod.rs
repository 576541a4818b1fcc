//! The services that unrefuse knows by name: which units, processes, packages, ports and files are theirs.
//!
//! Data, one file a service. To add one: write `catalogue/NAME.rs` after the model of its neighbours, and name it in the
//! list below. What is said here is what a service's packages ship; a machine may have it otherwise, so nothing in
//! here is evidence of anything: it only says where to look, and how to speak of what was found.

use crate::{Transport, glob};

/// A service with everything by which it is recognised.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownService {
    /// A word of its own, `postgresql`; never changed.
    pub id: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// Its service units under the names that distributions give them, as patterns of [`glob`]
    /// (`postgresql@?*.service` is every instance, and not the template).
    pub units: &'static [&'static str],
    /// Its socket units, in the same way.
    pub sockets: &'static [&'static str],
    /// Command names of its processes, as in `/proc/PID/comm` (at most 15 bytes).
    pub processes: &'static [&'static str],
    /// Where its executable lies; `*` stands for one part of a path.
    pub binaries: &'static [&'static str],
    /// The package of a distribution that brings it; empty where only its maker ships it.
    pub packages: &'static [Package],
    /// Ports that are its own by default or custom, the default first.
    pub ports: &'static [KnownPort],
    /// URL schemes that mean it.
    pub schemes: &'static [&'static str],
    /// Where it listens when its configuration does not say, newest first.
    pub default_bind: &'static [DefaultBind],
    /// Its configuration files; `*` stands for one part of a path. The first that exists is where reading begins.
    pub config_files: &'static [&'static str],
    /// Its own log files, newest lines last; empty where it writes to the journal or syslog only.
    pub log_files: &'static [&'static str],
    /// The command that checks its configuration and changes nothing.
    pub check: Option<&'static [&'static str]>,
    /// What makes a changed listening address take effect.
    pub apply: Apply,
}

/// A package that brings a service.
#[derive(Debug, PartialEq, Eq)]
pub struct Package {
    /// The family of distributions, as in `ID` or `ID_LIKE` of os-release(5).
    pub family: &'static str,
    /// The package's name there.
    pub package: &'static str,
}

/// A port that is a service's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownPort {
    /// Number.
    pub port: u16,
    /// TCP or UDP.
    pub transport: Transport,
}

/// Where a service listens when nothing is configured.
#[derive(Debug, PartialEq, Eq)]
pub struct DefaultBind {
    /// The addresses.
    pub bind: Bind,
    /// Of which version, package or file that is so; empty: of all.
    pub of: &'static str,
}

/// Addresses that a service may listen on by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bind {
    /// Every address.
    Any,
    /// Loopback only.
    Loopback,
    /// No TCP port at all.
    Nothing,
}

/// What makes a changed listening address take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    /// `systemctl reload`: sockets are opened anew while connections live on.
    Reload,
    /// `systemctl restart`.
    Restart,
}

impl KnownService {
    /// Whether a unit of that name (`nginx.service`, `ssh.socket`) is this service's.
    pub fn has_unit(&self, unit: &str) -> bool {
        self.units.iter().chain(self.sockets).any(|pattern| glob::matches(pattern, unit))
    }
    /// Whether a process with that command name is this service's.
    pub fn has_process(&self, command: &str) -> bool {
        self.processes.contains(&command)
    }
    /// Whether the port is its own by default or custom.
    pub fn has_port(&self, port: u16, transport: Transport) -> bool {
        self.ports.contains(&KnownPort { port, transport })
    }
    /// The package that brings it on a distribution with that `ID` and `ID_LIKE` of os-release(5), best match first.
    pub fn package(&self, ids: &[&str]) -> Option<&'static str> {
        ids.iter().find_map(|id| self.packages.iter().find(|p| p.family == *id)).map(|p| p.package)
    }
}

/// The services whose port it is by default or custom.
pub fn by_port(port: u16, transport: Transport) -> impl Iterator<Item = &'static KnownService> {
    SERVICES.iter().copied().filter(move |service| service.has_port(port, transport))
}

/// The services that a URL scheme means.
pub fn by_scheme(scheme: &str) -> impl Iterator<Item = &'static KnownService> {
    SERVICES.iter().copied().filter(move |service| service.schemes.contains(&scheme))
}

/// The service whose process has that command name; none where several services' processes have it (`java`).
pub fn by_process(command: &str) -> Option<&'static KnownService> {
    let mut found = SERVICES.iter().copied().filter(|service| service.has_process(command));
    found.next().filter(|_| found.next().is_none())
}

/// The service whose unit has that name.
pub fn by_unit(unit: &str) -> Option<&'static KnownService> {
    SERVICES.iter().copied().find(|service| service.has_unit(unit))
}

/// The service with that id.
pub fn by_id(id: &str) -> Option<&'static KnownService> {
    SERVICES.iter().copied().find(|service| service.id == id)
}

const fn tcp(port: u16) -> KnownPort {
    KnownPort { port, transport: Transport::Tcp }
}
const fn udp(port: u16) -> KnownPort {
    KnownPort { port, transport: Transport::Udp }
}
const fn package(family: &'static str, package: &'static str) -> Package {
    Package { family, package }
}
const fn bind(bind: Bind, of: &'static str) -> DefaultBind {
    DefaultBind { bind, of }
}

macro_rules! services {
    ($($service:ident),* $(,)?) => {
        $(mod $service;)*
        /// Every service that is known.
        pub static SERVICES: &[&KnownService] = &[$(&$service::SERVICE),*];
    };
}

services! {
    nginx,
    apache,
    haproxy,
    caddy,
    lighttpd,
    mariadb,
    postgresql,
    redis,
    memcached,
    mongodb,
    rabbitmq,
    elasticsearch,
    kafka,
    etcd,
    sshd,
    postfix,
    dovecot,
    vsftpd,
    openldap,
    bind,
    dnsmasq,
    cups,
    samba,
    prometheus,
    grafana,
    tomcat,
    docker,
    registry,
}

#[cfg(test)]
mod tests;
