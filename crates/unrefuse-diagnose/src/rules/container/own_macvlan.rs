//! container/own-macvlan

use super::words;
use crate::View;
use crate::containers::{by_address, known, name, stood_in};
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::text::visible;
use unrefuse_facts::{Container, NetworkMode};

cause! {
    /// ## What it means
    ///
    /// The address is that of a container of this machine in a macvlan or ipvlan network. Such a network shares the
    /// machine's own link with the LAN, and the kernel lets its members and the machine itself not talk to each other over
    /// it: everybody else on the LAN reaches the container, its own host alone does not.
    ///
    /// ## How it shows
    ///
    /// From the host, "no route to host" after some seconds, and `ip neigh` shows `FAILED`; from another machine the same
    /// address answers at once.
    ///
    /// ## How to confirm by hand
    ///
    /// `docker network inspect NETWORK` shows the driver `macvlan` or `ipvlan`. Connect from another machine of the LAN.
    ///
    /// ## How to fix
    ///
    /// Give the container a second network of the driver `bridge`, and ask it there (`docker network connect bridge NAME`);
    /// or give the host a macvlan interface of its own on the same parent (`ip link add host-lan link eth0 type macvlan mode
    /// bridge`), with an address and a route to the container by it.
    ///
    /// ## What it is often mistaken for
    ///
    /// `path/host-down`: a container that is down, or a wrong address.
    id: "container/own-macvlan",
    title: "the container's network is cut off from its own host",
    explains: &["path/host-down", "path/filtered"],
    begins: false,
    needs: &["containers"],
    check: check,
}

/// The drivers whose networks keep their host out (Documentation/networking/ipvlan.rst, 4.1; docker-network-create(1)).
pub(super) fn keeps_host_out(container: &Container) -> bool {
    matches!(&container.network_mode, NetworkMode::Other(driver) if matches!(driver.as_str(), "macvlan" | "ipvlan"))
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(facts) = known(view).filter(|facts| stood_in(facts).is_none()) else { return Ok(Finding::Clear) };
    let found = view.ip().filter(|_| !view.judged_only()).and_then(|ip| by_address(facts, ip));
    let Some((engine, container)) = found.filter(|(_, container)| keeps_host_out(container)) else {
        return Ok(Finding::Clear);
    };
    let NetworkMode::Other(driver) = &container.network_mode else { return Ok(Finding::Clear) };
    let network = container.networks.first().map_or_else(|| "its network".to_owned(), |network| visible(&network.name));
    let title = format!("{} is in the {driver} network {network}, which its own host does not reach", name(container));
    let address = view.ip().map(|ip| ip.to_string()).unwrap_or_default();
    let (command, shown) = (engine.kind.command(), visible(&container.name));
    let fix = |risk, title: String| Fix::new(view, risk, title);
    let mut fired = Fired::new(Certainty::Likely, title)
        .evidence(words::described(engine, container))
        .evidence(Evidence::new(format!("{address} is its address in {network}"), &engine.socket));
    fired.fixes = vec![
        fix(Risk::Low, format!("ask from another machine of that network: from this one {address} cannot be reached")),
        fix(
            Risk::Medium,
            format!(
                "give {shown} a bridge network, too (`{command} network connect bridge {shown}`), and ask it there"
            ),
        ),
    ];
    Ok(fired.fires())
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::container::Made;
    use unrefuse_facts::NetworkMode;

    fn roots(driver: &str) -> Vec<String> {
        let made = Made::new("mv").with(|container| {
            container.network_mode = NetworkMode::Other(driver.into());
            container.networks[0].name = "lan".into();
            container.networks[0].addresses = vec!["10.1.0.9".parse().unwrap()];
        });
        Scene::remote("10.1.0.9:80").silent().containers(vec![made]).roots()
    }

    #[test]
    fn its_own_host_is_kept_out() {
        assert_eq!(roots("macvlan"), ["container/own-macvlan"]);
        assert_eq!(roots("ipvlan"), ["container/own-macvlan"]);
    }

    #[test]
    fn other_networks_and_other_addresses_are_reached() {
        assert!(!roots("weave").contains(&"container/own-macvlan".to_owned()));
        let made = Made::new("mv").with(|container| container.network_mode = NetworkMode::Other("macvlan".into()));
        let roots = Scene::remote("10.1.0.9:80").silent().containers(vec![made]).roots();
        assert!(!roots.contains(&"container/own-macvlan".to_owned()));
    }
}
