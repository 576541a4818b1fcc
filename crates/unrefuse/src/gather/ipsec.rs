//! IPsec policies that a client's packets meet, or the answers to them: whether its packets come as the policy wants them
//! cannot be seen from here.

use std::net::{IpAddr, SocketAddr};
use unrefuse_collect::Host;
use unrefuse_facts::{Case, IpsecPolicy, LinkFilter, LinkHook, Observed, Protocol};

/// Adds them to what stands at the interfaces.
pub(super) fn add(case: &mut Case, client: IpAddr, host: &dyn Host) {
    let Observed::Known { value: policies, source } = host.ipsec_policies() else { return };
    let own = case.resolution.result.iter().flatten().find(|own| case.is_local(own.ip()) == Some(true)).copied();
    let Some(own) = own else { return };
    let protocol = if case.target.protocol == Protocol::Udp { 17 } else { 6 };
    let client = SocketAddr::new(client, 0);
    let deciding = |outgoing: bool| {
        let (from, to) = if outgoing { (own, client) } else { (client, own) };
        let fits = |policy: &&IpsecPolicy| policy.outgoing == outgoing && policy.fits(protocol, from, to);
        policies.iter().find(fits).filter(|policy| !policy.passes)
    };
    let Some(policy) = deciding(false).or_else(|| deciding(true)) else { return };
    let links = case.host.links.value().into_iter().flatten();
    let filter = LinkFilter {
        interface: String::new(),
        links: links.map(|link| link.index).collect(),
        hook: if policy.outgoing { LinkHook::Out } else { LinkHook::In },
        what: format!(
            "IPsec policy for packets from {}/{} to {}/{}",
            policy.source.address, policy.source.length, policy.destination.address, policy.destination.length
        ),
        source: source.what,
    };
    if let Observed::Known { value, .. } = &mut case.link_filters {
        value.push(filter);
    }
}
