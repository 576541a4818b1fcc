//! Fixes that make a machine behind this one answer to it: packets on their way there get this machine's address.

use super::command::{iptables_table, keep, nft_chain};
use super::describe::{family, safe};
use crate::View;
use crate::fix::quote;
use crate::report::{Fix, Risk};
use std::net::IpAddr;
use unrefuse_facts::{Beyond, FilterBackend, FilterRule, RuleOwner, network};

/// The clients whose packets get another source.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Clients {
    /// One of them.
    One(IpAddr),
    /// Those of a network: one of its addresses, and its prefix length.
    Network(IpAddr, u8),
    /// All of them.
    All,
}

impl Clients {
    fn source(self) -> Option<String> {
        match self {
            Self::One(ip) => Some(ip.to_string()),
            Self::Network(ip, prefix) => Some(network(ip, prefix)),
            Self::All => None,
        }
    }
}

/// Masquerades the packets of these clients to the machine beyond, in the language of the rule that leads there.
pub(crate) fn masquerade(view: &View<'_>, beyond: &Beyond, by: &FilterRule, clients: Clients) -> Option<Fix> {
    let transport = view.transport()?.name();
    let (to, source) = (beyond.to.ip(), clients.source());
    let whose = source.clone().unwrap_or_else(|| "every client".to_owned());
    let title = format!("give packets of {whose} to {} this machine's address as their source", beyond.to);
    let (risk, what) = match clients {
        Clients::All => (Risk::High, "no client's own address is seen there any more"),
        _ => (Risk::Medium, "it no longer sees their own addresses"),
    };
    let fix = Fix::new(view, risk, format!("{title}: {what}"));
    match &by.owner {
        RuleOwner::Hand => {}
        RuleOwner::Firewalld { zone } => return firewalld(fix, beyond, source.as_deref(), zone.as_deref()),
        other => {
            // Its rules may be written anew at any time: it is left to it.
            let name = other.name().map(safe).unwrap_or_default();
            return Some(Fix::new(view, risk, format!("{title}, in {name}")));
        }
    }
    let keeper = view.firewall().and_then(|facts| facts.saved.keeper.value());
    if by.place.backend != FilterBackend::Nft {
        let from = source.map(|source| format!("-s {source} ")).unwrap_or_default();
        let rule = format!("{from}-d {to} -p {transport} --dport {} -j MASQUERADE", beyond.to.port());
        let table = iptables_table(&by.place)?;
        let fix =
            fix.command(format!("{table} -I POSTROUTING 1 {rule}")).undo(format!("{table} -D POSTROUTING {rule}"));
        return Some(keep(fix, &by.place, keeper));
    }
    let ip = if to.is_ipv4() { "ip" } else { "ip6" };
    let from = source.map(|source| format!("{ip} saddr {source} ")).unwrap_or_default();
    let mark = format!("unrefuse-back-{}", beyond.to.port());
    let port = beyond.to.port();
    let rule = format!("{from}{ip} daddr {to} {transport} dport {port} masquerade comment \"{mark}\"");
    let rule = quote(&rule)?;
    let fix = match &beyond.source_nat {
        Some(place) => {
            let chain = nft_chain(place)?;
            let handle =
                format!("\"$(nft -a list chain {chain} | sed -n '/\"{mark}\"/s/.* # handle //p' | head -n 1)\"");
            fix.command(format!("nft insert rule {chain} {rule}"))
                .undo(format!("nft delete rule {chain} handle {handle}"))
        }
        None => {
            let chain = format!("{} {} unrefuse-back", family(by.place.family), quote(&by.place.table)?);
            fix.command(format!("nft add chain {chain} '{{ type nat hook postrouting priority 100; }}'"))
                .command(format!("nft add rule {chain} {rule}"))
                .undo(format!("nft flush chain {chain}"))
                .undo(format!("nft delete chain {chain}"))
        }
    };
    Some(keep(fix, &by.place, keeper))
}

/// A rich rule of the zone (firewalld.richlanguage(5)); it speaks of addresses, not of ports.
fn firewalld(fix: Fix, beyond: &Beyond, source: Option<&str>, zone: Option<&str>) -> Option<Fix> {
    // Sources are changed by the zone that the packets leave by: where they come in by the same link, it is the rule's.
    let zone = quote(zone.filter(|_| beyond.shared.is_some())?)?;
    let to = beyond.to.ip();
    let family = if to.is_ipv4() { "ipv4" } else { "ipv6" };
    let from = source.map(|source| format!("source address=\"{source}\" ")).unwrap_or_default();
    let rule = quote(&format!("rule family=\"{family}\" {from}destination address=\"{to}\" masquerade"))?;
    let fix = ["", "--permanent "].iter().fold(fix, |fix, kept| {
        fix.command(format!("firewall-cmd {kept}--zone={zone} --add-rich-rule={rule}"))
            .undo(format!("firewall-cmd {kept}--zone={zone} --remove-rich-rule={rule}"))
    });
    Some(fix.persistent())
}
