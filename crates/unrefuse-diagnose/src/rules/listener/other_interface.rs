//! listener/other-interface

use super::misfit::{Misfit, Misfits};
use super::owner;
use crate::View;
use crate::finding::{CannotTell, Finding};
use crate::rule::cause;

cause! {
    /// ## What it means
    ///
    /// The service's socket is bound to a network interface (`SO_BINDTODEVICE`, or a VRF). It takes only packets that come
    /// in by that interface, whatever address they are sent to.
    ///
    /// ## How it shows
    ///
    /// Refused from one network, open from another, though the service listens on all addresses. On the machine itself
    /// it is always refused: what a machine sends to its own addresses comes in by `lo`.
    ///
    /// ## How to confirm by hand
    ///
    /// On the server: `ss -ltnp 'sport = :PORT'` shows the interface behind a percent sign, `0.0.0.0%eth0:PORT`.
    ///
    /// ## How to fix
    ///
    /// Take the binding out of the service (systemd's `BindToDevice=` in a socket unit, the program's own option for its
    /// interface), or ask from a machine behind that interface. For VRFs, `net.ipv4.tcp_l3mdev_accept=1` lets a socket
    /// outside any VRF take connections of all of them.
    ///
    /// ## What it is often mistaken for
    ///
    /// A firewall rule for one interface; `listener/other-address`.
    id: "listener/other-interface",
    title: "it is bound to another interface",
    needs: &["sockets", "links"],
    likes: &["owners", "answer packet"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(found) = Misfits::nearest(view, Misfit::Device)? else { return Ok(Finding::Clear) };
    let socket = found.first();
    let Some(index) = socket.device else { return Ok(Finding::Clear) };
    if view.case.host.link(index).is_none()
        && let Err(missing) = view.case.host.links.get()
    {
        return Err(CannotTell::because(
            format!("whether {} takes packets of this machine itself", socket.local),
            missing,
        ));
    }
    let (who, device) = (owner::short(found.table, socket), owner::device(view, index));
    let to_loopback = view.case.host.link(index).is_some_and(|link| link.loopback);
    let takes = match (to_loopback, view.judged_only()) {
        (true, _) => "takes only what this machine sends to a loopback address",
        (false, true) => "takes nothing that comes in by another interface",
        (false, false) => "takes nothing that comes in by lo",
    };
    let title = format!("{who} listens on {} bound to {device}, and {takes}", socket.local);
    let other = if to_loopback { String::new() } else { format!(", or ask from a machine behind {device}") };
    let unbind = format!("take the binding to {device} out of the configuration of {who} and restart it{other}");
    Ok(found.fired(view, title).fix(found.configure(view, unbind)).fires())
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::filter::accepted;
    use unrefuse_facts::Observed;

    #[test]
    fn bound_to_a_device_and_asked_by_lo() {
        let report = Scene::local("10.1.0.2:80").socket("0.0.0.0:80", "nginx", |s| s.device = Some(2)).rst().report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("listener/other-interface", Certainty::Proven));
        assert_eq!(
            blocker.whys[0].title,
            "nginx[800] listens on 0.0.0.0:80 bound to eth0, and takes nothing that comes in by lo"
        );
    }

    #[test]
    fn bound_to_lo_takes_this_machines_own_packets() {
        let roots = Scene::local("127.0.0.1:80").socket("0.0.0.0:80", "x", |s| s.device = Some(1)).rst().roots();
        assert!(!roots.contains(&"listener/other-interface".to_owned()), "{roots:?}");
    }

    #[test]
    fn a_wrong_address_is_the_nearer_reason_than_the_device() {
        let scene = Scene::local("127.0.0.1:80").socket("10.1.0.2:80", "nginx", |s| s.device = Some(2));
        assert_eq!(scene.rst().roots(), ["listener/other-address"]);
    }

    #[test]
    fn bound_to_lo_and_asked_at_a_network_address() {
        let lo = |socket: &mut unrefuse_facts::Socket| socket.device = Some(1);
        let scene = || Scene::local("10.1.0.2:80").socket("0.0.0.0:80", "app", lo);
        assert_eq!(scene().rst().roots(), ["listener/other-interface"]);
        let accepted = crate::testing::filter::accepted();
        assert_eq!(scene().filtered(None, Some(accepted)).asked_from("10.1.0.9").roots(), ["listener/other-interface"]);
    }

    #[test]
    fn a_client_of_the_interface_that_it_is_bound_to() {
        let arrives_by = Some("eth0".into());
        let judged = unrefuse_facts::Judgement { arrives_by, ..crate::testing::filter::accepted() };
        let scene = Scene::local("10.1.0.2:80").socket("0.0.0.0:80", "app", |socket| socket.device = Some(2));
        assert!(scene.filtered(None, Some(judged)).asked_from("10.1.0.9").roots().is_empty());
    }

    #[test]
    fn a_socket_of_the_vrf_takes_what_comes_in_by_its_interfaces() {
        let scene = |master: Option<u32>| {
            let local = Scene::local("10.1.0.2:80").link(7, "blue", Some("vrf"), |_| {});
            let local = local.socket("0.0.0.0:80", "nginx", |socket| socket.device = Some(7)).with(|case| {
                let Observed::Known { value, .. } = &mut case.host.links else { panic!() };
                value.iter_mut().find(|link| link.name == "eth0").expect("the scene has it").master = master;
            });
            local.filtered(None, Some(accepted())).asked_from("10.1.0.9").roots()
        };
        assert!(scene(Some(7)).is_empty());
        assert_eq!(scene(None), ["listener/other-interface"]);
    }
}
