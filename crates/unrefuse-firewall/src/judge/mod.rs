//! What happens to a packet, and what decides.

mod cond;
mod effect;
mod hooks;
mod journey;
mod load;
mod nat;
mod outcome;
mod path;
mod reply;
mod route;
mod run;
mod sets;
mod tracked;
mod truth;

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use crate::answer::{Answer, Reply};
use crate::machine::Machine;
use crate::model::{Base, Chain, Ruleset};
use crate::ranges::RangeIndex;
use crate::spec::PacketSpec;

use hooks::Hooked;
use path::ChainCode;
pub(crate) use tracked::needs as needs_conntrack;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Where the packet comes from.
    pub way: Way,
    /// The packet.
    pub packet: PacketSpec,
    /// The bridge port that it came in by.
    pub bridge_port: Option<String>,
    /// User id of the process here that listens, where it is known.
    pub server_uid: Option<u32>,
    /// Group id of it.
    pub server_gid: Option<u32>,
    /// Something here listens for it, and answers; else the kernel answers that nothing does.
    pub listening: bool,
    /// Judge the answer as well.
    pub reply: bool,
}

/// Where a packet comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// It arrives, for this machine or to be forwarded.
    In {
        /// By this interface; `None`: by the one that leads back to its source.
        iif: Option<String>,
    },
    /// A process here sends it; where its destination is local, it comes in again by lo.
    Out,
}

impl Question {
    /// A packet that arrives.
    pub fn incoming(iif: Option<&str>, packet: PacketSpec) -> Self {
        let way = Way::In { iif: iif.map(str::to_owned) };
        Self { way, packet, bridge_port: None, server_uid: None, server_gid: None, listening: true, reply: true }
    }

    /// A packet that a process here sends.
    pub fn outgoing(packet: PacketSpec) -> Self {
        Self {
            way: Way::Out,
            packet,
            bridge_port: None,
            server_uid: None,
            server_gid: None,
            listening: true,
            reply: true,
        }
    }
}

/// Judges one question. For several, make one [`Judge`].
pub fn judge(ruleset: &Ruleset, machine: &dyn Machine, question: &Question) -> Answer {
    Judge::new(ruleset, machine).judge(question)
}

/// A set: its table's index (none for an ipset), and its name.
type SetName = (Option<usize>, String);

/// A ruleset prepared for questions.
pub struct Judge<'a> {
    pub(crate) ruleset: &'a Ruleset,
    pub(crate) machine: &'a dyn Machine,
    pub(crate) hooked: Vec<Hooked>,
    chains: Vec<RefCell<HashMap<String, Rc<ChainCode>>>>,
    range_indexes: RefCell<HashMap<SetName, Rc<RangeIndex>>>,
    /// Whether conntrack sees packets of IPv4, of IPv6, of bridges.
    tracks: [OnceCell<bool>; 3],
}

impl<'a> Judge<'a> {
    /// Prepares a ruleset: base chains in order; other chains are looked at when a packet reaches them.
    pub fn new(ruleset: &'a Ruleset, machine: &'a dyn Machine) -> Self {
        let chains = ruleset.tables.iter().map(|_| RefCell::default()).collect();
        let mut judge = Self {
            ruleset,
            machine,
            hooked: Vec::new(),
            chains,
            range_indexes: RefCell::default(),
            tracks: Default::default(),
        };
        for (table, t) in ruleset.tables.iter().enumerate().filter(|(_, t)| !t.dormant) {
            for (name, chain) in &t.chains {
                let Some(base) = &chain.base else { continue };
                let hooked = judge.chain(table, name).map(|code| hooked(base, t.family, code));
                judge.hooked.extend(hooked);
            }
        }
        judge
    }

    /// Judges one question.
    pub fn judge(&self, question: &Question) -> Answer {
        let local = match question.way {
            Way::In { .. } => Some(question.packet.dst),
            Way::Out => question.packet.src,
        };
        let run = run::Run::new(self, local);
        let first = run.first(question);
        let replies = question.reply.then(|| run.answer(question, &first));
        let error = replies.as_ref().is_some_and(|replies| run.reset_is_rejected(question, replies));
        outcome::answer(&run, question, &first, replies.as_ref(), error)
    }

    /// The way in of what a TCP client sends next, once its first packet got through and was answered: the ACK, and all
    /// that follows it. `None`: the first packet or its answer does not surely get through, or the answer was not tracked.
    pub fn confirmation(&self, question: &Question) -> Option<Reply> {
        let run = run::Run::new(self, Some(question.packet.dst));
        let first = run.first(question);
        let replies = run.answer(question, &first);
        let through = |ends: &run::Ends| !ends.is_empty() && ends.iter().all(|(exit, _)| exit.gets_through());
        if !through(&first) || !through(&replies) {
            return None;
        }
        Some(outcome::of_later(&run, &run.confirm(question, &replies)?))
    }

    pub(crate) fn chain(&self, table: usize, name: &str) -> Option<Rc<ChainCode>> {
        if let Some(code) = self.chains[table].borrow().get(name) {
            return Some(Rc::clone(code));
        }
        let t = &self.ruleset.tables[table];
        let chain: &Chain = t.chains.get(name)?;
        let rules = if chain.unread { self.machine.chain(t.family, &t.name, name) } else { Some(chain.rules.clone()) };
        let code = Rc::new(ChainCode::new(table, name, rules));
        self.chains[table].borrow_mut().insert(name.to_owned(), Rc::clone(&code));
        Some(code)
    }
}

fn hooked(base: &Base, family: crate::model::Family, chain: Rc<ChainCode>) -> Hooked {
    Hooked {
        priority: base.priority,
        order: base.order,
        kind: base.kind,
        policy: base.policy,
        devices: base.devices.clone(),
        chain,
        hook: base.hook,
        family,
    }
}

#[cfg(test)]
pub(crate) mod tests;
