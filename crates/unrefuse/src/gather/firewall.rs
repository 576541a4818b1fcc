//! The packet filters' part of a case: the judge is asked about each packet of the question, and what it says becomes
//! facts. Nothing here decides what that means.

mod around;
pub(super) mod arp;
mod beyond;
mod bridged;
mod convert;
mod imagined;
pub(super) mod marked;
mod neighbours;
mod set_hit;
mod too_often;
mod ufw;
mod what_if;

use super::machine::LiveMachine;
use super::{Options, in_vrf};
use crate::ask::{Asked, ask};
use bridged::Bridged;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use unrefuse_collect::{Host, Owners, SocketQuery, States};
use unrefuse_facts::{
    AddressJudgement, Attempt, AttemptOutcome, Case, Family, Fate, FilterHook, FirewallFacts, Judgement, Missing,
    Observed, Protocol, Source, Target, Transport,
};
use unrefuse_firewall::judge::{Judge, Question, judge};
use unrefuse_firewall::spec::PacketSpec;

/// How long the place that NAT sends packets to may take to answer.
const NAT_TARGET_WAIT: Duration = Duration::from_millis(500);

/// Who sends the packets that are judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sender {
    /// This machine.
    Here,
    /// A client that is elsewhere: its address, and the interface it comes in by where that was said.
    From(IpAddr, Option<String>),
}

/// Judges the packets to one address of the target.
///
/// # Errors
/// Where the ruleset may not be read, or the target has no ports.
pub(crate) fn address_judgement(
    target: &Target,
    address: SocketAddr,
    sender: &Sender,
    uid: u32,
    host: &Arc<dyn Host>,
) -> Result<AddressJudgement, Missing> {
    let mut machine = LiveMachine::new(host, Family::of(&address.ip()))?;
    let bridged = match sender {
        Sender::From(client, _) => {
            if let Some(vrf) = machine.vrf(address.ip()) {
                return Err(in_vrf(address.ip(), vrf));
            }
            bridged::bridged(&machine, *client, address.ip())
        }
        Sender::Here => None,
    };
    machine.bridges = bridged.is_some();
    let machine = machine;
    let packet = |src: Option<IpAddr>| packet(target, src, address);
    let ask = |question: &Question| judge(machine.ruleset(), &machine, question);
    let mut judged = AddressJudgement::of(address);
    match sender {
        Sender::From(client, interface) => {
            if bridged == Some(Bridged::Past) {
                judged.ingress = Some(bridged::judgement(&machine));
                return Ok(judged);
            }
            let mut question = machine.arriving(interface.as_deref(), packet(Some(*client)));
            let mut answer = ask(&question);
            if answer.forked {
                // A rule may ask for the user whose socket answers.
                question.server_uid = listeners_user(target, address, host);
                answer = ask(&question);
            }
            let let_in = what_if::let_in(&machine, &question, &answer);
            let (ingress, reply) = convert::both_ways(&machine, &question, &answer, &let_in);
            let layer2 = bridged.map(|_| bridged::judgement(&machine)).filter(|layer2| layer2.fate != Fate::Accepted);
            let ingress = layer2.filter(|_| ingress.fate == Fate::Accepted).unwrap_or(ingress);
            judged.too_often = too_often::too_often(&ingress, *client);
            (judged.ingress, judged.reply) = (Some(ingress), reply);
            judged.beyond = beyond::beyond(&machine, &question, let_in.passes.as_ref().unwrap_or(&answer), *client);
            judged.later = Judge::new(machine.ruleset(), &machine)
                .confirmation(&question)
                .map(|later| convert::later(&machine, &question, &later));
            [judged.neighbour_in, judged.neighbour_out] =
                neighbours::asked(&machine, *client, interface.as_deref(), address.ip());
        }
        Sender::Here => {
            let mut question = Question::outgoing(packet(None));
            question.packet.uid = Some(uid);
            let answer = ask(&question);
            let let_in = what_if::let_in(&machine, &question, &answer);
            let (out, reply) = convert::both_ways(&machine, &question, &answer, &let_in);
            judged.marked = marked::marking(&machine, &question, &answer, host);
            let local = machine.is_own(address.ip());
            if !local {
                judged.egress = Some(out);
                judged.egress_reply = reply;
                [judged.neighbour_in, judged.neighbour_out] = neighbours::asking(&machine, address.ip());
            } else if arrives(&out) {
                // One journey out and in again by lo: what stops it on the way in is the server's matter.
                // NAT belongs to the way whose hook has the rule.
                let on_the_way_out = out.translated.as_ref().is_some_and(|t| t.by.place.hook == FilterHook::Output);
                let (first, second) =
                    if on_the_way_out { (out.translated.clone(), None) } else { (None, out.translated.clone()) };
                judged.egress =
                    Some(Judgement { fate: Fate::Accepted, decided_by: None, translated: first, ..out.clone() });
                judged.ingress = Some(Judgement { translated: second, ..out });
                judged.reply = reply;
            } else {
                // What the way in would do were it let out.
                let question = Question::incoming(Some("lo"), packet(Some(address.ip())));
                judged.ingress = Some(judged_in(&machine, &question)).filter(|j| !ends_in_stack(j));
                judged.egress = Some(out);
            }
        }
    }
    Ok(judged)
}

/// The user of the socket that listens for the packets, where there is one only.
fn listeners_user(target: &Target, address: SocketAddr, host: &Arc<dyn Host>) -> Option<u32> {
    let transport = if target.protocol == Protocol::Udp { Transport::Udp } else { Transport::Tcp };
    let query = SocketQuery {
        port: Some(address.port()),
        transports: vec![transport],
        owners: Owners::None,
        states: States::Listening,
    };
    let sockets = host.sockets(&query);
    let mut users: Vec<u32> = sockets.value()?.listeners.iter().map(|socket| socket.uid).collect();
    users.dedup();
    users.first().copied().filter(|_| users.len() == 1)
}

/// What the filters do with a packet that arrives.
pub(super) fn judged_in(machine: &LiveMachine, question: &Question) -> Judgement {
    convert::judgement(machine, question, &judge(machine.ruleset(), machine, question))
}

/// The first packet of a connection to `address`.
fn packet(target: &Target, src: Option<IpAddr>, address: SocketAddr) -> PacketSpec {
    match target.protocol {
        Protocol::Udp => PacketSpec::udp(src, address.ip(), address.port()),
        _ => PacketSpec::tcp(src, address.ip(), address.port()),
    }
}

/// It passes the hooks of the way out: it gets through, or is stopped on the way in.
fn arrives(judgement: &Judgement) -> bool {
    let place = judgement.decided_by.as_ref().and_then(|decider| decider.place());
    let on_the_way_in =
        place.is_none_or(|p| matches!(p.hook, FilterHook::Prerouting | FilterHook::Input | FilterHook::Ingress));
    judgement.fate == Fate::Accepted || on_the_way_in
}

fn ends_in_stack(judgement: &Judgement) -> bool {
    judgement.decided_by.as_ref().is_some_and(|decider| decider.place().is_none())
}

/// Where the judgements come from.
pub(crate) fn source() -> Source {
    Source::running("packet filter (nf_tables, ip_tables)")
}

/// Judgements, once they are there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdicts(Arc<OnceLock<Result<Vec<AddressJudgement>, Missing>>>);

impl Verdicts {
    /// What is known by now of an address.
    pub(crate) fn of(&self, address: SocketAddr) -> Option<&AddressJudgement> {
        self.0.get()?.as_ref().ok()?.iter().find(|judged| judged.address == address)
    }
}

/// The judging of all addresses, under way beside the attempts.
pub(crate) struct Judged {
    sender: Sender,
    verdicts: Verdicts,
    under_way: Asked<()>,
    /// Packets that the connection table had no room for, before the attempts.
    conntrack_drops: Option<u64>,
}

impl Judged {
    /// Judges the packets to each address, in order.
    pub(crate) fn start(
        target: &Target,
        addresses: &[SocketAddr],
        sender: &Sender,
        uid: u32,
        host: &Arc<dyn Host>,
        until: Instant,
    ) -> Self {
        let verdicts = Verdicts::default();
        let under_way = {
            let (target, addresses, sender) = (target.clone(), addresses.to_vec(), sender.clone());
            let (host, verdicts) = (Arc::clone(host), verdicts.clone());
            ask("the packet filter", until, move || {
                let judge = |address: &SocketAddr| address_judgement(&target, *address, &sender, uid, &host);
                let _ = verdicts.0.set(addresses.iter().map(judge).collect());
            })
        };
        let conntrack_drops = unrefuse_collect::filters::conntrack_drops().value().copied();
        Self { sender: sender.clone(), verdicts, under_way, conntrack_drops }
    }

    /// What is known by now, for those who do not wait.
    pub(crate) fn verdicts(&self) -> &Verdicts {
        &self.verdicts
    }

    /// All of it, with what stands around the rules.
    pub(crate) fn facts(self, case: &Case, options: &Options, host: &Arc<dyn Host>) -> Observed<FirewallFacts> {
        if let Err(missing) = self.under_way.wait() {
            return Observed::Missing(missing);
        }
        let judgements = match self.verdicts.0.get() {
            Some(Ok(judgements)) => judgements.clone(),
            Some(Err(missing)) => return Observed::Missing(missing.clone()),
            None => return Observed::not_looked("the packet filter was not judged"),
        };
        let judgements = judgements.into_iter().map(|judged| probed(judged, case, options)).collect();
        let from = match self.sender {
            Sender::Here => None,
            Sender::From(client, _) => Some(client),
        };
        let mut facts = FirewallFacts { judgements, from, ..FirewallFacts::default() };
        let address = facts.judgements.iter().find(|judged| judged.ingress.is_some()).map(|judged| judged.address);
        let question = address.map(|address| match &self.sender {
            Sender::From(client, interface) => {
                Question::incoming(interface.as_deref(), packet(&case.target, Some(*client), address))
            }
            Sender::Here => Question::incoming(Some("lo"), packet(&case.target, Some(address.ip()), address)),
        });
        around::around(&mut facts, question.as_ref(), self.conntrack_drops, case, host);
        Observed::known(facts, source())
    }
}

/// NAT on the way out sends packets to one of this machine's own addresses.
pub(crate) fn sent_here(case: &Case) -> bool {
    let Some(facts) = case.firewall.value() else { return false };
    let translations = facts.judgements.iter().filter_map(|j| j.egress.as_ref()?.translated.as_ref());
    translations.into_iter().any(|translation| case.is_local(translation.to.ip()) == Some(true))
}

/// Where NAT sends the packets elsewhere, that place is asked.
fn probed(mut judged: AddressJudgement, case: &Case, options: &Options) -> AddressJudgement {
    let legs = [&mut judged.egress, &mut judged.ingress];
    let how = unrefuse_probe::AttemptOptions {
        protocol: case.target.protocol,
        timeout: options.timeout.min(NAT_TARGET_WAIT),
        deadline: options.deadline,
        rounds: 1,
        sniff: false,
        watch: &|_, _| None,
    };
    let unasked = judged.beyond.as_ref().is_some_and(|beyond| beyond.unasked);
    let translations = legs.into_iter().flatten().filter_map(|judgement| judgement.translated.as_mut());
    for translation in translations.filter(|_| !unasked) {
        translation.probed = attempted(translation.to, &how);
    }
    beyond::probed(&mut judged, &how);
    judged
}

fn attempted(to: SocketAddr, how: &unrefuse_probe::AttemptOptions<'_>) -> Observed<AttemptOutcome> {
    let attempts = unrefuse_probe::attempts(&[to], how);
    attempts.first().map_or_else(Observed::default, ended)
}

fn ended(attempt: &Attempt) -> Observed<AttemptOutcome> {
    Observed::known(attempt.outcome, Source::probed("connect(2)"))
}
