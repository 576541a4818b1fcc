//! Names: what the resolver says, and, where that matters, what each name server says.

use super::{Options, look, not_needed};
use crate::ask::{Asked, ask};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use unrefuse_collect::Host;
use unrefuse_facts::{
    AttemptOutcome, Case, DnsAnswer, NameError, Observed, Protocol, Resolution, ResolvConf, ResolverFacts,
    ServerAnswer, Target,
};

/// The resolver normally answers within this; after it the name servers are asked directly as well.
const RESOLVER_PATIENCE: Duration = Duration::from_millis(400);

/// How long a name server may take. libc waits 5 s, twice, for each (resolv.conf(5)); one that is silent for this long on
/// a question that others answer in milliseconds is as good as dead.
const SERVER_PATIENCE: Duration = Duration::from_millis(1200);

/// The resolution of the target's name, under way.
pub(crate) struct Names {
    target: Target,
    host: Arc<dyn Host>,
    conf: Observed<ResolvConf>,
    resolution: Resolution,
    /// Asked while the resolver was silent.
    answers: Option<Observed<Vec<ServerAnswer>>>,
}

impl Names {
    /// Resolves the name as applications do. Where the resolver is slow the name servers are asked directly beside it:
    /// when all of them are silent, libc will be, too, and is not waited for.
    pub(crate) fn start(target: &Target, options: &Options, host: &Arc<dyn Host>) -> Self {
        let mut names = Self {
            target: target.clone(),
            host: Arc::clone(host),
            conf: not_needed("the target is an address"),
            resolution: literal(target),
            answers: None,
        };
        if target.protocol == Protocol::Unix || target.literal().is_some() && target.scope.is_none() {
            return names;
        }
        names.conf = host.resolv_conf();
        let started = Instant::now();
        let asked = {
            let (host, target, family) = (Arc::clone(host), target.clone(), options.family);
            ask("getaddrinfo", options.deadline, move || host.resolve(&target, family))
        };
        names.resolution = match asked.wait_for(RESOLVER_PATIENCE) {
            Some(resolution) => resolution,
            None => names.slow(asked, options, started),
        };
        names
    }

    fn slow(&mut self, asked: Asked<Resolution>, options: &Options, started: Instant) -> Resolution {
        let servers = self.ask_servers(options);
        // Either may be the first: a search list of slow servers still ends in an answer.
        loop {
            if let Some(resolution) = asked.wait_for(Duration::from_millis(20)) {
                return resolution;
            }
            if self.answers.is_none() {
                self.answers = servers.wait_for(Duration::ZERO);
            }
            let hopeless = self.answers.as_ref().and_then(Observed::value).is_some_and(|answers| {
                !answers.is_empty()
                    && answers.iter().all(|a| matches!(a.answer, DnsAnswer::Silent | DnsAnswer::Refused))
            });
            if hopeless || Instant::now() >= options.deadline {
                let detail = "the resolver has not answered, and no name server does".to_owned();
                let detail = if hopeless { detail } else { "the resolver has not answered".to_owned() };
                return Resolution {
                    result: Err(NameError::TimedOut),
                    detail: Some(detail),
                    elapsed: started.elapsed(),
                };
            }
        }
    }

    fn ask_servers(&self, options: &Options) -> Asked<Observed<Vec<ServerAnswer>>> {
        let (conf, name) = (self.conf.clone(), self.target.host.clone());
        let until = options.deadline.min(Instant::now() + SERVER_PATIENCE + Duration::from_millis(300));
        look("the name servers", until, &self.host, move |h| match conf {
            Observed::Known { value, .. } => h.ask_name_servers(&value, &name, SERVER_PATIENCE),
            Observed::Missing(missing) => Observed::Missing(missing),
        })
    }

    /// What the resolver gave, an address literal as itself, within the wanted family.
    pub(crate) fn resolution(&self) -> Resolution {
        self.resolution.clone()
    }

    /// The files behind the resolver; the name servers' own answers where the name or an address of it fails.
    pub(crate) fn facts(&self, case: &Case, options: &Options) -> ResolverFacts {
        if self.target.protocol == Protocol::Unix {
            return ResolverFacts::default();
        }
        let mut facts = ResolverFacts {
            nsswitch: self.host.nsswitch(),
            hosts: self.host.hosts_file(),
            resolv_conf: self.conf.clone(),
            answers: not_needed("the name leads to an address that answers"),
        };
        if self.target.literal().is_some() {
            facts.answers = not_needed("the target is an address");
            return facts;
        }
        let unresolved = case.resolution.result.is_err();
        let failing = case.attempts.iter().any(|a| a.outcome != AttemptOutcome::Open);
        let in_hosts = facts.hosts.value().is_some_and(|hosts| {
            hosts.entries.iter().any(|e| e.names.iter().any(|n| n.eq_ignore_ascii_case(&self.target.host)))
        });
        let is_localhost = self.target.host.eq_ignore_ascii_case("localhost");
        facts.answers = match &self.answers {
            Some(answers) => answers.clone(),
            None if unresolved || (failing && in_hosts && !is_localhost) => self.ask_servers(options).fact(),
            None => facts.answers,
        };
        facts
    }
}

/// An address literal resolves to itself, an IPv4-mapped one (`::ffff:10.0.0.5`) to the IPv4 address that its packets go to
/// (RFC 4291, 2.5.5.2). (A scoped one goes through the resolver, which knows interface names.)
fn literal(target: &Target) -> Resolution {
    let addresses = target.literal().map(|ip| SocketAddr::new(ip.to_canonical(), target.port));
    let addresses: Vec<SocketAddr> = match target.protocol {
        Protocol::Unix => vec![SocketAddr::from(([0, 0, 0, 0], 0))],
        _ => addresses.into_iter().collect(),
    };
    Resolution { result: Ok(addresses), detail: None, elapsed: Duration::ZERO }
}
