//! egress/nat-redirect

use crate::View;
use crate::filter::{end_of, owned_by, remove_rule, rule_text, safe, short, source};
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::AttemptOutcome;

cause! {
    /// ## What it means
    ///
    /// A nat rule in this machine's OUTPUT sends the packet elsewhere, and nothing takes it there. The target named on
    /// the command line is never asked.
    ///
    /// ## How it shows
    ///
    /// Mostly "connection refused" for an address that others reach: the refusal is made by this machine itself. A
    /// service mesh's redirect (Istio, linkerd) whose proxy is not running does so for every port at once.
    ///
    /// ## How to confirm by hand
    ///
    /// `iptables-save -t nat -c` or `nft list ruleset`: a REDIRECT or DNAT rule in OUTPUT whose counter rises.
    /// `tcpdump -n host SERVER` shows nothing on the outgoing interface; `conntrack -L -d SERVER` shows the new address.
    ///
    /// ## How to fix
    ///
    /// Start what should listen at the new address, or take the rule out.
    ///
    /// ## What it is often mistaken for
    ///
    /// `listener/none` at the target, or a firewall there.
    id: "egress/nat-redirect",
    title: "a nat rule of this machine sends it elsewhere",
    instead_of: &["path/*", "ingress/firewall-reject"],
    needs: &["firewall rules"],
    likes: &["sockets", "an attempt to the new address"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let egress = view.judged().and_then(|j| j.egress.as_ref()).filter(|j| !j.fate.is_stopped());
    let Some(translation) = egress.and_then(|j| j.translated.as_ref()) else { return Ok(Finding::Clear) };
    // What is sent on from one of this machine's own addresses is a server's matter: ingress/dnat-dead-end.
    if view.is_local() != Some(false) || Some(translation.to) == view.address {
        return Ok(Finding::Clear);
    }
    let (certainty, seen) = match end_of(view, translation) {
        Some(end) if end.alive => return Ok(Finding::Clear),
        Some(end) => (end.certainty, Some(end.evidence)),
        None if view.outcome() == Some(AttemptOutcome::Refused) => (Certainty::Likely, None),
        None => (Certainty::Possible, None),
    };
    let rule = &translation.by;
    let title = format!(
        "this machine sends packets to {} to {} instead: {}{}",
        view.endpoint(),
        translation.to,
        short(rule),
        owned_by(Some(&rule.owner))
    );
    let to = translation.to;
    Ok(Fired::new(certainty, title)
        .evidence(Evidence::new(rule_text(rule), source(view)))
        .evidences(rule.comment.as_ref().map(|c| Evidence::new(format!("its comment: {}", safe(c)), source(view))))
        .evidences(seen)
        .fix(Fix::new(view, Risk::Low, format!("let something listen on {to}, where the rule sends it")))
        .fix(remove_rule(view, rule))
        .fires())
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::filter::{accepted, commands, iptables};
    use unrefuse_facts::{FilterHook, Judgement, Observed, Socket, SocketTable, Source, Translation};

    fn scene() -> Scene {
        let mut by = iptables(FilterHook::Output, "-A OUTPUT -p tcp -m comment --comment \"the mesh\" -j REDIRECT --to-ports 15001");
        (by.place.table, by.comment) = ("nat".into(), Some("the mesh".into()));
        let translated = Some(Translation { to: "127.0.0.1:15001".parse().unwrap(), by, probed: Observed::default() });
        let judgement = Judgement { translated, ..accepted() };
        Scene::remote("10.9.0.1:80").filtered(Some(judgement), None)
    }
    fn with_sockets(scene: Scene, listener: Option<&str>) -> Scene {
        let taken = Scene::local("127.0.0.1:1").listener(listener.unwrap_or("127.0.0.1:1"), "envoy").case();
        let mut table: SocketTable = taken.host.sockets.value().cloned().unwrap();
        table.listeners.retain(|s: &Socket| listener.is_some() && s.local.port() != 1);
        scene.with(|c| c.host.sockets = Observed::known(table, Source::running("inet_diag")))
    }

    #[test]
    fn redirected_to_a_port_where_nothing_listens() {
        let report = with_sockets(scene(), None).rst().report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("egress/nat-redirect", Certainty::Proven));
        assert_eq!(report.blockers.len(), 1, "the target was never asked: {:?}", report.blockers);
        let fix = &blocker.fixes[1];
        assert_eq!(
            commands(&fix.steps),
            ["iptables-nft -t nat -D OUTPUT -p tcp -m comment --comment 'the mesh' -j REDIRECT --to-ports 15001"]
        );
        assert!(commands(&fix.undo)[0].starts_with("iptables-nft -t nat -I OUTPUT 3 -p tcp"));
    }

    #[test]
    fn without_the_sockets_it_is_less_sure() {
        assert_eq!(scene().rst().report().blockers[0].certainty, Certainty::Likely);
        assert_eq!(scene().silent().report().blockers[0].certainty, Certainty::Possible);
    }

    #[test]
    fn something_listens_there() {
        assert_eq!(with_sockets(scene(), Some("127.0.0.1:15001")).rst().roots(), Vec::<String>::new());
        assert!(scene().open().roots().is_empty());
    }
}
