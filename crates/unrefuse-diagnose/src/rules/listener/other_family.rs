//! listener/other-family

use super::misfit::{Misfit, Misfits, ask_there};
use super::owner;
use crate::View;
use crate::finding::{CannotTell, Finding};
use crate::report::Evidence;
use crate::rule::cause;
use unrefuse_facts::Family;

cause! {
    /// ## What it means
    ///
    /// The service listens in one family of addresses only, IPv4 or IPv6, and is asked in the other. A socket on
    /// `0.0.0.0` never takes IPv6. A socket on `[::]` takes IPv4 too, unless `IPV6_V6ONLY` is set on it, by the program or
    /// by the default `net.ipv6.bindv6only`.
    ///
    /// ## How it shows
    ///
    /// `127.0.0.1` answers and `::1` is refused, or the other way round. Names with both kinds of address work for some
    /// programs and not for others.
    ///
    /// ## How to confirm by hand
    ///
    /// On the server: `ss -ltne 'sport = :PORT'` shows only `0.0.0.0:PORT`, or only `[::]:PORT` with `v6only:1` (a
    /// dual-stack socket is printed as `*:PORT`).
    ///
    /// ## How to fix
    ///
    /// Let the service listen in both families (nginx: `listen [::]:80` beside `listen 80`), or ask it by an address of
    /// its own family.
    ///
    /// ## What it is often mistaken for
    ///
    /// A service that is down. A firewall that has rules for one family only (`ip6tables` is not `iptables`).
    id: "listener/other-family",
    title: "it listens in the other address family only",
    root: false,
    asks: Some("why it listens in one family only: its configuration"),
    needs: &["sockets"],
    likes: &["owners", "IPV6_V6ONLY", "answer packet"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(found) = Misfits::nearest(view, Misfit::Family)? else { return Ok(Finding::Clear) };
    let Some(asked) = view.ip().map(|ip| Family::of(&ip)) else { return Ok(Finding::Clear) };
    let socket = found.first();
    let has = Family::of(&socket.local.ip().to_canonical());
    let who = owner::short(found.table, socket);
    let title = format!("{who} listens on {}, {} only, not on {}", found.addresses(), has.name(), view.endpoint());
    let mut fired = found.fired(view, title);
    let bindv6only = view.case.host.sysctl("net.ipv6.bindv6only") == Some("1");
    if bindv6only && socket.v6only == Some(true) && socket.local.ip().is_unspecified() {
        fired = fired.evidence(Evidence::new(
            "net.ipv6.bindv6only is 1: IPv6 sockets take no IPv4 unless they ask to",
            "sysctl",
        ));
    }
    let listen = format!("let {who} listen in {} too, in its own configuration, and restart it", asked.name());
    Ok(fired.fix(ask_there(view, socket)).fix(found.configure(view, listen)).fires())
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;

    #[test]
    fn a_socket_of_systemd_has_its_settings_in_its_unit() {
        let scene = Scene::local("127.0.0.1:80").socket("[::]:80", "systemd", |s| s.v6only = Some(true)).with(|case| {
            let unrefuse_facts::Observed::Known { value: table, .. } = &mut case.host.sockets else { panic!() };
            let process = table.processes.remove(&800).unwrap();
            table.processes.insert(1, unrefuse_facts::Process { pid: 1, ..process });
            let unrefuse_facts::Observed::Known { value: holders, .. } = &mut table.holders else { panic!() };
            holders.values_mut().flatten().for_each(|holder| holder.pid = 1);
        });
        let report = scene.rst().report();
        let advice: Vec<&str> = report.blockers[0].fixes.iter().map(|fix| fix.title.as_str()).collect();
        assert!(advice.iter().any(|title| title.contains("of the socket unit that has it")), "{advice:?}");
        assert!(!advice.iter().any(|title| title.contains("systemd[1]")), "{advice:?}");
    }

    #[test]
    fn ipv4_only_and_asked_in_ipv6() {
        let report = Scene::local("[::1]:80").listener("0.0.0.0:80", "nginx").rst().report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("listener/other-family", Certainty::Proven));
        assert_eq!(blocker.whys[0].title, "nginx[800] listens on 0.0.0.0:80, IPv4 only, not on [::1]:80");
        assert_eq!(blocker.fixes[0].verify, "unrefuse 127.0.0.1:80");
    }

    #[test]
    fn v6only_and_asked_in_ipv4() {
        let scene = Scene::local("10.1.0.2:80").socket("[::]:80", "nginx", |s| s.v6only = Some(true));
        assert_eq!(scene.rst().roots(), ["listener/other-family"]);
    }

    #[test]
    fn the_two_loopbacks_and_the_two_addresses_of_one_interface_differ_in_family_only() {
        assert_eq!(Scene::local("[::1]:80").listener("127.0.0.1:80", "x").rst().roots(), ["listener/other-family"]);
        assert_eq!(Scene::local("10.1.0.2:80").listener("[fd01::2]:80", "x").rst().roots(), ["listener/other-family"]);
    }

    #[test]
    fn a_dual_stack_socket_takes_both() {
        let roots = Scene::local("10.1.0.2:80").listener("[::]:80", "nginx").rst().roots();
        assert!(!roots.contains(&"listener/other-family".to_owned()), "{roots:?}");
    }

    #[test]
    fn an_unknown_v6only_cannot_tell() {
        let scene = Scene::local("10.1.0.2:80").socket("[::]:80", "nginx", |s| s.v6only = None);
        let report = scene.rst().report();
        assert!(!report.blockers.iter().any(|b| b.root.starts_with("listener/")), "{:?}", report.blockers);
        assert!(report.unknown.iter().any(|u| u.what == "whether [::]:80 takes IPv4 too"), "{:?}", report.unknown);
    }
}
