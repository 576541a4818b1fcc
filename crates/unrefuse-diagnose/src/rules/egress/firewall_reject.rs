//! egress/firewall-reject

use crate::View;
use crate::filter::{Kind, allow, decider, owned_by, stopped_out};
use crate::finding::{CannotTell, Finding};
use crate::rule::cause;

cause! {
    /// ## What it means
    ///
    /// A rule of this machine's own packet filter rejects the packet on its way out, before it reaches the wire. The
    /// other side never hears of it.
    ///
    /// ## How it shows
    ///
    /// The client fails at once: port unreachable (the default of `REJECT`) and `tcp-reset` read "connection refused",
    /// host prohibited and administratively prohibited read "no route to host" (IPv6: "permission denied"). The ICMP
    /// error is signed by this machine's own address.
    ///
    /// ## How to confirm by hand
    ///
    /// `iptables-save -c`, `ip6tables-save -c` or `nft list ruleset`: the counter of a rule in OUTPUT (or POSTROUTING)
    /// rises with each attempt. `tcpdump -n host SERVER` on the outgoing interface shows nothing.
    ///
    /// ## How to fix
    ///
    /// Allow the destination before the rule that rejects, in the tool that made it: `ufw allow out to SERVER port PORT`,
    /// `iptables -I OUTPUT …`, `nft insert rule …`. Such rules are seldom an accident: ask who closed it.
    ///
    /// ## What it is often mistaken for
    ///
    /// `listener/none` and `ingress/firewall-reject`: the client sees the same error, but nothing has left this machine.
    id: "egress/firewall-reject",
    title: "a rule of this machine rejects it on the way out",
    instead_of: &["path/router-reject"],
    needs: &["firewall rules"],
    likes: &["answer packet"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(stop) = stopped_out(view).filter(|s| s.rejects() && s.kind() != Kind::NoEndpoints) else {
        return Ok(Finding::Clear);
    };
    let owner = owned_by(stop.decider().and_then(|d| d.owner()));
    let title =
        format!("this machine itself rejects packets to {} on their way out: {}{owner}", view.endpoint(), decider(&stop));
    let mut fired = stop.fired(view, title);
    fired.fixes = allow(view, &stop);
    Ok(fired.fires())
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::filter::{PORT_UNREACHABLE, accepted, commands, iptables, rejected, rule};
    use unrefuse_facts::{
        Answer, AnswerKind, Decider, FilterBackend, FilterHook, RejectKind, RuleKeeper, Observed, Source,
    };

    fn scene(kind: RejectKind) -> Scene {
        let rule = iptables(FilterHook::Output, "-A OUTPUT -p tcp --dport 80 -j REJECT");
        Scene::remote("10.9.0.1:80").filtered(Some(rejected(kind, Decider::Rule(rule))), None)
    }
    fn icmp() -> Answer {
        let mut answer = Answer::bare(AnswerKind::Icmp);
        (answer.icmp_type, answer.icmp_code, answer.from) = (Some(3), Some(3), Some("10.1.0.2".parse().unwrap()));
        answer
    }

    #[test]
    fn an_output_rule_with_icmp() {
        let report = scene(PORT_UNREACHABLE).refused(icmp()).report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("egress/firewall-reject", Certainty::Proven));
        assert_eq!(report.blockers.len(), 1, "{:?}", report.blockers);
        assert_eq!(
            blocker.whys[0].title,
            "this machine itself rejects packets to 10.9.0.1:80 on their way out: \
             rule 3 of chain OUTPUT (iptables, table filter)"
        );
        let fix = &blocker.fixes[0];
        assert_eq!(
            commands(&fix.steps),
            ["iptables-nft -I OUTPUT 3 -d 10.9.0.1 -p tcp --dport 80 -j ACCEPT"]
        );
        assert_eq!(commands(&fix.undo), ["iptables-nft -D OUTPUT -d 10.9.0.1 -p tcp --dport 80 -j ACCEPT"]);
        assert!(!fix.persistent && fix.title.contains("until the next boot"));
    }

    #[test]
    fn a_reset_of_the_own_output_is_not_taken_for_the_server() {
        let report = scene(RejectKind::TcpReset).rst().report();
        let roots: Vec<&str> = report.blockers.iter().map(|b| b.root.as_str()).collect();
        assert_eq!(roots, ["egress/firewall-reject"]);
    }

    #[test]
    fn what_keeps_the_rules_here_is_a_second_step() {
        let report = scene(PORT_UNREACHABLE)
            .filters(|f| {
                f.saved.keeper = Observed::known(RuleKeeper::NetfilterPersistent, Source::configured("/usr/sbin"))
            })
            .refused(icmp())
            .report();
        let fix = &report.blockers[0].fixes[0];
        assert!(fix.persistent);
        assert_eq!(commands(&fix.steps)[1], "netfilter-persistent save");
    }

    #[test]
    fn an_nft_rule_is_passed_by_its_handle() {
        let rule = rule(FilterBackend::Nft, "output", FilterHook::Output, "tcp dport 80 reject");
        let scene = Scene::remote("10.9.0.1:80").filtered(Some(rejected(PORT_UNREACHABLE, Decider::Rule(rule))), None);
        let report = scene.refused(icmp()).report();
        assert_eq!(
            commands(&report.blockers[0].fixes[0].steps),
            ["nft insert rule inet filter output position 7 'ip daddr 10.9.0.1 tcp dport 80 accept comment \
              \"unrefuse-80-tcp\"'"]
        );
    }

    #[test]
    fn the_servers_kernel_answered_so_nothing_here_rejected() {
        let mut answer = Answer::bare(AnswerKind::Rst);
        (answer.tos_sent, answer.tos, answer.ttl) = (Some(0x48), Some(0x48), Some(63));
        assert_eq!(scene(RejectKind::TcpReset).refused(answer).roots(), ["listener/none"]);
    }

    #[test]
    fn accepted_on_the_way_out() {
        let scene = Scene::remote("10.9.0.1:80").filtered(Some(accepted()), None);
        assert_eq!(scene.rst().roots(), ["listener/none"]);
    }
}
