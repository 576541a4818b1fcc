//! Client and target are behind ports of one bridge of this machine, as virtual machines are: their packets are not routed
//! here. IP's filters meet them only where br_netfilter hands them over (net/bridge/br_netfilter_hooks.c).

use super::super::machine::LiveMachine;
use super::{beyond, convert};
use std::net::IpAddr;
use unrefuse_facts::{Fate, Judgement};
use unrefuse_firewall::machine::Machine;
use unrefuse_firewall::model::{Family, Hook};

/// How IP's filters meet what passes between ports of a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bridged {
    /// As if it were forwarded.
    Filtered,
    /// Not at all.
    Past,
}

/// Whether packets of the client pass to `to` by a bridge.
pub(super) fn bridged(machine: &LiveMachine, client: IpAddr, to: IpAddr) -> Option<Bridged> {
    if machine.is_own(to) {
        return None;
    }
    let shared = beyond::shared(machine, client, to)?;
    let is_bridge = machine.interface(&shared.interface)?.link.as_deref() == Some("bridge");
    is_bridge.then_some(if shared.filtered_bridge { Bridged::Filtered } else { Bridged::Past })
}

/// What the bridge does with the client's packet, which IP's filters do not stop.
pub(super) fn judgement(machine: &LiveMachine) -> Judgement {
    let hooks = [Hook::Ingress, Hook::Prerouting, Hook::Forward, Hook::Postrouting, Hook::Egress];
    let tables = machine.ruleset().tables.iter();
    let mut layer2 = tables.filter(|table| matches!(table.family, Family::Bridge | Family::Netdev));
    let filters = layer2.find(|table| {
        let base = |chain: &unrefuse_firewall::model::Chain| chain.base.as_ref().map(|base| base.hook);
        table.chains.values().filter_map(base).any(|hook| hooks.contains(&hook))
    });
    convert::plain(match filters {
        Some(table) => Fate::Unknown {
            reason: format!("what passes between ports of a bridge is not judged by the rules of table {}", table.name),
        },
        None => Fate::Accepted,
    })
}
