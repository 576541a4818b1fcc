//! route/source-address

use super::ports::{self, Full, Ports};
use super::ways;
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::quote;
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use std::net::IpAddr;
use unrefuse_facts::{AttemptOutcome, Family, InterfaceAddress, Link, text};

cause! {
    /// ## What it means
    ///
    /// The kernel finds no address of this machine to send from: IPv6 is switched off, or the only addresses of that family
    /// are not usable (yet), because duplicate address detection has not ended or has failed.
    ///
    /// ## How it shows
    ///
    /// `connect()` fails at once with `EADDRNOTAVAIL`, "cannot assign requested address". With an IPv6 target it is most
    /// often `net.ipv6.conf.all.disable_ipv6=1`.
    ///
    /// ## How to confirm by hand
    ///
    /// `sysctl net.ipv6.conf.all.disable_ipv6`; `ip addr` shows `tentative` or `dadfailed`, or no address of the family.
    ///
    /// ## How to fix
    ///
    /// `sysctl -w net.ipv6.conf.all.disable_ipv6=0`, and let the interface be configured again, which gives it its
    /// addresses. Or ask the target's IPv4 address.
    ///
    /// ## What it is often mistaken for
    ///
    /// Local ports that are used up give the same error (`route/ports-exhausted`). A server that cannot bind gives it to the
    /// server, not to the client (`service/address-missing`).
    id: "route/source-address",
    title: "no usable source address",
    needs: &["attempt"],
    likes: &["sysctls", "addresses", "connections to the target"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(ip) = view.ip().filter(|_| ports::not_available(view)) else { return Ok(Finding::Clear) };
    if let Some((setting, link)) = disabled(view, ip) {
        return Ok(switched_off(view, ip, setting, link).fires());
    }
    let used = view.case.host.connections_to_target.value();
    if let (Some(ports), Some(used)) = (Ports::of(view), used)
        && ports.full(*used) != Full::No
    {
        return Ok(Finding::Clear);
    }
    let family = Family::of(&ip);
    let Some(own) = view.case.host.addresses.value() else { return unseen(view, ip) };
    let usable = |a: &&InterfaceAddress| Family::of(&a.address) == family && !a.address.is_loopback();
    let all: Vec<&InterfaceAddress> = own.iter().filter(usable).collect();
    if !all.is_empty() && all.iter().all(|a| a.tentative) {
        return Ok(tentative(view, ip, &all).fires());
    }
    if all.is_empty() && !ip.is_loopback() {
        let title = format!("no {} address of this machine to reach {ip} from", family.name());
        let none = Evidence::new(format!("no interface has an {} address but loopback", family.name()), "RTM_GETADDR");
        return Ok(base(Certainty::Proven, title).evidence(none).fix(give(view, family)).fires());
    }
    // The ports that are used are not known, and the addresses look well: the error has two explanations.
    if Ports::of(view).is_none() || used.is_none() {
        return Err(both_possible(view, ip));
    }
    let title = format!("the kernel finds no address of this machine to reach {ip} from");
    Ok(base(Certainty::Likely, title).fix(give(view, family)).fires())
}

fn base(certainty: Certainty, title: String) -> Fired {
    Fired::new(certainty, title).predicts(&[AttemptOutcome::Unreachable]).evidence(Evidence::new(
        "the kernel of this machine refused at once with EADDRNOTAVAIL (cannot assign requested address)",
        "connect(2)",
    ))
}

fn both_possible(view: &View<'_>, ip: IpAddr) -> CannotTell {
    let what = format!("whether the local ports to {ip} are used up or no source address is usable");
    match view.case.host.connections_to_target.missing() {
        Some(missing) => CannotTell::because(what, missing),
        None => CannotTell::new(
            what,
            format!("{} was not read", ports::RANGE),
            format!("sysctl {}; ss -tan dst {ip}", ports::RANGE),
        ),
    }
}

fn unseen(view: &View<'_>, ip: IpAddr) -> Result<Finding, CannotTell> {
    Err(match view.case.host.addresses.missing() {
        Some(missing) => {
            CannotTell::because(format!("whether this machine has an address to reach {ip} from"), missing)
        }
        None => both_possible(view, ip),
    })
}

/// The setting that switches IPv6 off where the packet would leave, and the link if it is that link's own.
fn disabled<'a>(view: &View<'a>, ip: IpAddr) -> Option<(String, Option<&'a Link>)> {
    if ip.is_ipv4() {
        return None;
    }
    let on = |name: &str| view.case.host.sysctl(name).map(str::trim) == Some("1");
    let all = "net.ipv6.conf.all.disable_ipv6";
    if on(all) {
        return Some((all.to_owned(), None));
    }
    let links = view.case.host.links.value().map(Vec::as_slice).unwrap_or_default();
    let wanted = ways::decision(view).and_then(|d| d.via()).and_then(|route| route.link);
    let takes_part = |link: &&Link| match wanted {
        Some(index) => link.index == index,
        None => link.loopback == ip.is_loopback(),
    };
    links.iter().filter(takes_part).find_map(|link| {
        let name = setting(link);
        on(&name).then_some((name, Some(link)))
    })
}

/// As sysctl(8) takes it: a dot in the name of an interface is written as a slash.
fn setting(link: &Link) -> String {
    format!("net.ipv6.conf.{}.disable_ipv6", link.name.replace('.', "/"))
}

fn switched_off(view: &View<'_>, ip: IpAddr, setting: String, link: Option<&Link>) -> Fired {
    let (whose, place) = match link.map(|link| text::visible(&link.name)) {
        Some(name) => (name.clone(), format!("on {name}")),
        None if view.is_apart() => ("this network namespace".to_owned(), "in this network namespace".to_owned()),
        None => ("this machine".to_owned(), "on this machine".to_owned()),
    };
    let fix = quote(&format!("{setting}=0")).zip(quote(&format!("{setting}=1"))).map(|(on, off)| {
        let fix = Fix::new(
            view,
            Risk::Medium,
            format!("switch IPv6 on for {whose}; its addresses come with the next configuration of the network"),
        );
        fix.command(format!("sysctl -w {on}")).undo(format!("sysctl -w {off}"))
    });
    let keep = match &view.case.vantage.container {
        Some(name) => Some(format!(
            "start {} anew with --sysctl {setting}=0, or in a network that has IPv6: its engine switches it off elsewhere",
            text::visible(name)
        )),
        None if view.is_apart() => None,
        None => {
            Some("take disable_ipv6 out of /etc/sysctl.conf and /etc/sysctl.d, where it is set for every start".to_owned())
        }
    };
    let keep = keep.map(|title| Fix::new(view, Risk::Medium, title).persistent());
    base(Certainty::Proven, format!("IPv6 is switched off {place}, so nothing can be sent to {ip}"))
        .evidence(Evidence::new(format!("{} = 1", text::visible(&setting)), "sysctl"))
        .fix(fix)
        .fix(keep)
        .fix(Fix::new(view, Risk::Low, "let the client ask an IPv4 address of the target"))
}

fn tentative(view: &View<'_>, ip: IpAddr, all: &[&InterfaceAddress]) -> Fired {
    let list: Vec<String> = all.iter().map(|a| a.address.to_string()).collect();
    let title = format!(
        "no address to reach {ip} from: {} not usable yet (tentative)",
        if list.len() == 1 { "the only one is" } else { "all are" }
    );
    let said =
        format!("{}: duplicate address detection has not ended, or has found the address in use", list.join(", "));
    let wait = "wait a second and ask again; if it stays so, another machine on the link has the same address";
    base(Certainty::Proven, title).evidence(Evidence::new(said, "RTM_GETADDR")).fix(Fix::new(view, Risk::Low, wait))
}

fn give(view: &View<'_>, family: Family) -> Fix {
    Fix::new(
        view,
        Risk::Medium,
        format!("give the outgoing interface an {} address in the network configuration", family.name()),
    )
    .persistent()
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Step};
    use crate::testing::Scene;
    use unrefuse_facts::{Errno, Observed, Source};

    fn scene(endpoint: &str) -> Scene {
        Scene::remote(endpoint).local_error(Errno::EADDRNOTAVAIL)
    }
    fn counted(scene: Scene, used: u32) -> Scene {
        scene
            .sysctl("net.ipv4.ip_local_port_range", "32768\t60999")
            .with(|case| case.host.connections_to_target = Observed::known(used, Source::running("inet_diag")))
    }

    #[test]
    fn ipv6_is_switched_off() {
        let report = scene("[fd09::1]:80").sysctl("net.ipv6.conf.all.disable_ipv6", "1\n").report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("route/source-address", Certainty::Proven));
        let Some(Step::Command { command }) = blocker.fixes[0].steps.first() else { panic!("{:?}", blocker.fixes) };
        assert_eq!(command, "sysctl -w net.ipv6.conf.all.disable_ipv6=0");
    }

    #[test]
    fn ipv6_is_switched_off_on_the_link_alone() {
        let report = scene("[fd09::1]:80").sysctl("net.ipv6.conf.eth0.disable_ipv6", "1").report();
        assert!(report.blockers[0].whys[0].title.contains("on eth0"), "{:?}", report.blockers);
    }

    #[test]
    fn tentative_addresses() {
        let scene = counted(scene("[fd09::1]:80"), 0).with(|case| {
            let Observed::Known { value, .. } = &mut case.host.addresses else { panic!() };
            value.iter_mut().for_each(|a| a.tentative = a.address.is_ipv6());
        });
        let report = scene.report();
        assert!(report.blockers[0].whys[0].title.contains("tentative"), "{:?}", report.blockers);
    }

    #[test]
    fn ports_that_are_used_up_are_another_matter() {
        let roots = counted(scene("10.9.0.1:80"), 28_232).roots();
        assert_eq!(roots, ["route/ports-exhausted"]);
    }

    #[test]
    fn with_neither_read_it_cannot_tell() {
        let report = scene("10.9.0.1:80").report();
        assert!(report.blockers.is_empty(), "{:?}", report.blockers);
        let asked = report.unknown.iter().filter(|u| u.what.contains("used up or no source address")).count();
        assert_eq!(asked, 1, "{:?}", report.unknown);
    }
}
