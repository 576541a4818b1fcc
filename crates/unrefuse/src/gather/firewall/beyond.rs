//! Where this machine passes a client's packets on to: another one, whose answers must find their way. Its routes are not
//! seen from here. What is seen: whether it is the client's neighbour, and whom of this machine's addresses it answers.

use super::super::machine::LiveMachine;
use super::convert;
use std::net::{IpAddr, SocketAddr};
use unrefuse_facts::{AddressJudgement, AttemptOutcome, Beyond, ChainPlace, FilterHook, Observed, SharedLink, within};
use unrefuse_firewall::answer::{Answer, Fate};
use unrefuse_firewall::judge::{Question, judge};
use unrefuse_firewall::machine::{Machine, RouteKind, RouteQuery};
use unrefuse_firewall::model::{Chain, ChainKind, Hook, Table};
use unrefuse_firewall::spec::{L4, PacketSpec};
use unrefuse_probe::AttemptOptions;

/// What lies beyond this machine for the question's packet, which `answer` lets through; `None` where it ends here.
pub(super) fn beyond(machine: &LiveMachine, question: &Question, answer: &Answer, client: IpAddr) -> Option<Beyond> {
    let Fate::Accepted { to } = &answer.fate else { return None };
    let [destination] = to.as_slice() else { return None };
    let to = SocketAddr::new(destination.address?, destination.port?);
    if destination.local {
        return None;
    }
    let new = answer.translated.as_ref();
    let translated = to.ip() != question.packet.dst || Some(to.port()) != question.packet.dport();
    let by = translated.then(|| convert::translating(answer)).flatten();
    let source = new.map_or(Some(client), |new| new.src);
    let table = by.and_then(|rule| convert::table(machine, rule.family, &rule.table, rule.backend));
    Some(Beyond {
        to,
        translated,
        source,
        shared: shared(machine, client, to.ip()),
        source_nat: table.and_then(source_nat),
        unasked: own_packets_stop(machine, question, to),
        facing: facing(machine, client, to.ip()).filter(|_| source == Some(client)),
        probed: Observed::default(),
        probed_facing: Observed::default(),
    })
}

/// The network of one of this machine's links that both are in.
pub(super) fn shared(machine: &LiveMachine, client: IpAddr, to: IpAddr) -> Option<SharedLink> {
    let neighbour = |ip| machine.route(&RouteQuery::to(ip)).filter(|r| r.gateway.is_none())?.oif;
    let interface = neighbour(client).filter(|interface| neighbour(to).as_ref() == Some(interface))?;
    let (network, prefix) = machine.networks(&interface).find(|(network, prefix)| {
        let holds = |ip| within(ip, *network, *prefix);
        holds(client) && holds(to)
    })?;
    let is_bridge = machine.interface(&interface)?.link.as_deref() == Some("bridge");
    let setting = if to.is_ipv4() { "iptables" } else { "ip6tables" };
    let filtered = machine.sysctl(&format!("net.bridge.bridge-nf-call-{setting}")) == Some(1);
    Some(SharedLink { interface, network, prefix, filtered_bridge: is_bridge && filtered })
}

/// This machine's own filters stop what it sends there itself, or the answers: asked from here, it seems dead.
fn own_packets_stop(machine: &LiveMachine, question: &Question, to: SocketAddr) -> bool {
    let packet = match question.packet.l4 {
        L4::Udp { .. } => PacketSpec::udp(None, to.ip(), to.port()),
        _ => PacketSpec::tcp(None, to.ip(), to.port()),
    };
    let answer = judge(machine.ruleset(), machine, &Question::outgoing(packet));
    let stops = |fate: &Fate| fate.is_stopped() || matches!(fate, Fate::Depends { .. } | Fate::Unknown(_));
    stops(&answer.fate) || answer.reply.is_some_and(|reply| stops(&reply.fate))
}

/// This machine's address on the client's side, where packets to `to` have another one.
fn facing(machine: &LiveMachine, client: IpAddr, to: IpAddr) -> Option<IpAddr> {
    let own = |ip| machine.route(&RouteQuery::to(ip)).filter(|route| route.kind == RouteKind::Unicast)?.source;
    own(client).filter(|facing| own(to) != Some(*facing))
}

/// The first base chain of the table that may change sources.
fn source_nat(table: &Table) -> Option<ChainPlace> {
    let chains = table.chains.iter().filter_map(|(name, chain): (&String, &Chain)| {
        let base = chain.base.as_ref().filter(|base| base.kind == ChainKind::Nat && base.hook == Hook::Postrouting)?;
        Some((base.priority, name))
    });
    let (priority, chain) = chains.min()?;
    Some(ChainPlace {
        family: convert::family(table.family),
        table: table.name.clone(),
        backend: convert::backend(table.backend),
        chain: chain.clone(),
        hook: FilterHook::Postrouting,
        priority: Some(priority),
    })
}

/// The machine beyond is asked: from the address that the kernel chooses, and, where it answers that, from the one on the
/// client's side.
pub(super) fn probed(judged: &mut AddressJudgement, how: &AttemptOptions<'_>) {
    let known = judged.ingress.as_ref().and_then(|judgement| judgement.translated.as_ref());
    let known = known.map(|translation| (translation.to, translation.probed.clone()));
    let Some(beyond) = judged.beyond.as_mut().filter(|beyond| !beyond.unasked) else { return };
    beyond.probed = match known {
        Some((to, probed)) if to == beyond.to => probed,
        _ => super::attempted(beyond.to, how),
    };
    let open = beyond.probed.value() == Some(&AttemptOutcome::Open);
    if let Some(facing) = beyond.facing.filter(|_| open) {
        beyond.probed_facing = super::ended(&unrefuse_probe::attempt_from(facing, beyond.to, how));
    }
}
