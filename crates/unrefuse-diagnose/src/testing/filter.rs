//! Judged filters for scenes.

use super::Scene;
use unrefuse_facts::*;

/// The packet gets through and nothing filters.
pub(crate) fn accepted() -> Judgement {
    Judgement {
        fate: Fate::Accepted,
        decided_by: None,
        accepted_by: Vec::new(),
        later_accept: None,
        translated: None,
        arrives_by: None,
        forwarded_by: None,
        way: Vec::new(),
        client_sees: ClientSees::Unclear,
        assumptions: Vec::new(),
        ignored: Vec::new(),
        behind: None,
        without: None,
    }
}

/// The packet is dropped.
pub(crate) fn dropped(by: Decider) -> Judgement {
    Judgement { fate: Fate::Dropped, decided_by: Some(by), ..accepted() }
}

/// The packet is rejected.
pub(crate) fn rejected(kind: RejectKind, by: Decider) -> Judgement {
    Judgement { fate: Fate::Rejected(kind), decided_by: Some(by), ..accepted() }
}

/// Port unreachable, the default of REJECT.
pub(crate) const PORT_UNREACHABLE: RejectKind = RejectKind::Icmp { kind: 3, code: 3 };

/// A chain of table `filter`, of family `ip` (iptables) or `inet` (nft).
pub(crate) fn chain(backend: FilterBackend, chain: &str, hook: FilterHook) -> ChainPlace {
    let family = if backend == FilterBackend::Nft { TableFamily::Inet } else { TableFamily::Ip };
    ChainPlace { family, table: "filter".into(), backend, chain: chain.into(), hook, priority: Some(0) }
}

/// Rule 3 (handle 7 in nft) of that chain, by hand.
pub(crate) fn rule(backend: FilterBackend, name: &str, hook: FilterHook, text: &str) -> FilterRule {
    FilterRule {
        place: chain(backend, name, hook),
        number: 3,
        handle: (backend == FilterBackend::Nft).then_some(7),
        line: None,
        text: text.into(),
        comment: None,
        counters: Some(RuleCounters { packets: 5, bytes: 300 }),
        owner: RuleOwner::Hand,
        set: None,
    }
}

/// A rule of `iptables-nft` in INPUT, or another base chain of that hook.
pub(crate) fn iptables(hook: FilterHook, text: &str) -> FilterRule {
    let name = match hook {
        FilterHook::Output => "OUTPUT",
        FilterHook::Forward => "FORWARD",
        FilterHook::Prerouting => "PREROUTING",
        _ => "INPUT",
    };
    rule(FilterBackend::IptablesNft, name, hook, text)
}

/// A drop policy.
pub(crate) fn policy(place: ChainPlace, owner: RuleOwner) -> Decider {
    Decider::Policy(ChainPolicy { place, counters: None, owner, left_by: None })
}

impl Scene {
    /// What the filters do with the scene's address: on the way out, and on the way in.
    pub(crate) fn filtered(self, egress: Option<Judgement>, ingress: Option<Judgement>) -> Self {
        let address = self.own_endpoint().parse().unwrap();
        let judgement = AddressJudgement { egress, ingress, ..AddressJudgement::of(address) };
        let facts = FirewallFacts { judgements: vec![judgement], ..Default::default() };
        self.with(|case| case.firewall = Observed::known(facts, Source::running("nf_tables")))
    }
    /// The facts of the filters, changed to taste.
    pub(crate) fn filters(self, change: impl FnOnce(&mut FirewallFacts)) -> Self {
        self.with(|case| {
            let Observed::Known { value, .. } = &mut case.firewall else { panic!("the scene has no filters") };
            change(value);
        })
    }
    /// Another machine's way in is judged, and no attempt was made.
    pub(crate) fn asked_from(self, client: &str) -> Self {
        let client: std::net::IpAddr = client.parse().unwrap();
        self.filters(|facts| facts.from = Some(client)).with(|case| {
            case.vantage.kind = VantageKind::From;
            case.vantage.from = Some(client.to_string());
            case.attempts.clear();
        })
    }
}

/// The commands of a fix's steps.
pub(crate) fn commands(steps: &[crate::report::Step]) -> Vec<&str> {
    let mut commands = Vec::new();
    for step in steps {
        match step {
            crate::report::Step::Command { command } => commands.push(command.as_str()),
            crate::report::Step::Edit { .. } => panic!("{step:?}"),
        }
    }
    commands
}
