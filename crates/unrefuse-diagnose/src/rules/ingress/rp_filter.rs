//! ingress/rp-filter

use crate::View;
use crate::filter::{Kind, keep_setting, safe, setting_name, short, stopped_in};
use crate::finding::{CannotTell, Finding};
use crate::report::{Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::{Decider, StackReason};

cause! {
    /// ## What it means
    ///
    /// The reverse path filter drops the packet: the way back to the client does not lead through the interface that the
    /// packet came in by (RFC 3704, strict mode). It happens on machines with two ways to the client.
    ///
    /// ## How it shows
    ///
    /// Silence. `tcpdump` on the server shows the packets come in, and no rule of the firewall counts them.
    ///
    /// ## How to confirm by hand
    ///
    /// `nstat -az TcpExtIPReversePathFilter` rises; `ip route get CLIENT` names another interface;
    /// `sysctl net.ipv4.conf.all.rp_filter net.ipv4.conf.INTERFACE.rp_filter`: the larger of the two holds. With
    /// `log_martians=1` the kernel log says "martian source".
    ///
    /// ## How to fix
    ///
    /// Give the client's network a route out of the interface it comes in by, or set the interface to loose mode
    /// (`rp_filter=2`).
    ///
    /// ## What it is often mistaken for
    ///
    /// `ingress/firewall-drop`: no rule shows it.
    id: "ingress/rp-filter",
    title: "the reverse path filter drops it",
    instead_of: &["path/filtered"],
    needs: &["settings", "routes"],
    likes: &["the interface it comes in by"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(stop) = stopped_in(view).filter(|s| s.kind() == Kind::RpFilter) else { return Ok(Finding::Clear) };
    let arrives = stop.judgement.arrives_by.as_deref();
    let by = arrives.map(|name| format!(" by {}", safe(name))).unwrap_or_default();
    let client = view.asker().map_or_else(|| "the client".to_owned(), |ip| ip.to_string());
    let Some(Decider::Stack(StackReason::RpFilter { sysctl, expected })) = stop.decider() else {
        return Ok(by_rule(view, &stop, &client, &by));
    };
    let back = match expected {
        Some(name) => format!("the way back leads through {}", safe(name)),
        None => "there is no way back".to_owned(),
    };
    let title = format!("packets of {client} to {} that come in{by} are dropped: {back}", view.endpoint());
    let route = Fix::new(view, Risk::Medium, format!("give {client} a route out of the interface it comes in{by}"));
    // The larger of `all` and the interface's own holds (Documentation/networking/ip-sysctl.rst): 2 (loose) wins.
    let name = arrives.map_or_else(|| sysctl.clone(), |interface| setting_name("ipv4", interface, "rp_filter"));
    let title_loose = format!("let packets in{by} whose source is reachable by any interface (loose mode)");
    // Strict it was, by this setting or by `all`: 1 brings that back in both cases.
    let loose = keep_setting(view, Fix::new(view, Risk::Medium, title_loose), &name, "2", Some("1"));
    let evidence = Evidence::new(back, "RTM_GETROUTE");
    Ok(stop.fired(view, title).evidence(evidence).fix(loose).fix(route).fires())
}

/// The same test as a rule: iptables' rpfilter match, or nft's `fib saddr . iif oif`.
fn by_rule(view: &View<'_>, stop: &crate::filter::Stop<'_>, client: &str, by: &str) -> Finding {
    let rule = stop.decider().and_then(Decider::rule);
    let named = rule.map(short).unwrap_or_default();
    let title = format!(
        "packets of {client} to {} that come in{by} are dropped: the way back leads elsewhere, says {named}",
        view.endpoint()
    );
    let firewalld = rule.is_some_and(|rule| rule.owner.name() == Some("firewalld"));
    let how = if firewalld {
        "set IPv6_rpfilter to loose in /etc/firewalld/firewalld.conf, or give the client a route out of that interface"
    } else {
        "give the client a route out of the interface it comes in by, or let the rule except it"
    };
    stop.fired(view, title).fix(Fix::new(view, Risk::Medium, how)).fires()
}

#[cfg(test)]
mod tests {
    use crate::Gate;
    use crate::report::GateStatus;
    use crate::testing::Scene;
    use crate::testing::filter::{accepted, commands, dropped, iptables};
    use unrefuse_facts::{Decider, FilterHook, Judgement, StackReason};

    fn scene(by: Decider, interface: &str) -> Scene {
        let judgement = Judgement { arrives_by: Some(interface.into()), ..dropped(by) };
        let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx");
        scene.filtered(None, Some(judgement)).asked_from("10.5.0.9")
    }
    fn strict() -> Decider {
        let sysctl = "net.ipv4.conf.all.rp_filter".into();
        Decider::Stack(StackReason::RpFilter { sysctl, expected: Some("eth1".into()) })
    }

    #[test]
    fn strict_mode_with_two_ways() {
        let report = scene(strict(), "eth0").report();
        assert_eq!(report.blockers.len(), 1);
        // The client's own gates are not seen from here.
        let skipped = |gate| report.journey.iter().any(|g| g.gate == gate && g.status == GateStatus::Skipped);
        assert!([Gate::Route, Gate::Egress, Gate::Path].into_iter().all(skipped), "{:?}", report.journey);
        assert!(report.blockers[0].whys[0].evidence.iter().any(|e| e.text.contains("eth1")));
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "ingress/rp-filter");
        assert!(blocker.whys[0].title.ends_with("the way back leads through eth1"), "{}", blocker.whys[0].title);
        assert_eq!(
            commands(&blocker.fixes[0].steps),
            [
                "sysctl -w net.ipv4.conf.eth0.rp_filter=2",
                "printf '%s\\n' 'net.ipv4.conf.eth0.rp_filter = 2' >> /etc/sysctl.d/90-unrefuse.conf"
            ]
        );
    }

    #[test]
    fn an_interface_with_a_dot() {
        let report = scene(strict(), "eth0.7").report();
        assert_eq!(commands(&report.blockers[0].fixes[0].steps)[0], "sysctl -w net/ipv4/conf/eth0.7/rp_filter=2");
    }

    #[test]
    fn as_a_rule() {
        let rule = iptables(FilterHook::Prerouting, "-A PREROUTING -m rpfilter --validmark --invert -j DROP");
        assert_eq!(scene(Decider::Rule(rule), "eth0").roots(), ["ingress/rp-filter"]);
    }

    #[test]
    fn a_way_back_is_no_fault() {
        let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx").filtered(None, Some(accepted()));
        assert!(scene.asked_from("10.5.0.9").roots().is_empty());
    }
}
