//! ingress/kube-no-endpoints

use crate::View;
use crate::filter::{Kind, safe, stopped_in, stopped_out};
use crate::finding::{CannotTell, Finding};
use crate::fix::quote;
use crate::report::{Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::{Decider, RuleOwner};

cause! {
    /// ## What it means
    ///
    /// The address is that of a Kubernetes Service which has no endpoints: no pod that its selector names is ready.
    /// kube-proxy rejects its packets meanwhile.
    ///
    /// ## How it shows
    ///
    /// "Connection refused" at once for the cluster address, node port or load balancer, from nodes and from pods.
    ///
    /// ## How to confirm by hand
    ///
    /// `kubectl get endpointslices -n NAMESPACE -l kubernetes.io/service-name=NAME` shows none that is ready;
    /// `iptables-save | grep 'has no endpoints'` shows kube-proxy's rule.
    ///
    /// ## How to fix
    ///
    /// Give the Service a ready pod: its selector must name labels that pods have, the pods must run, and their readiness
    /// probes must pass. Nothing is to be changed in the firewall: kube-proxy takes the rule out by itself.
    ///
    /// ## What it is often mistaken for
    ///
    /// `listener/none` and a network policy (`ingress/firewall-reject`): the refusal is the same packet.
    id: "ingress/kube-no-endpoints",
    title: "the Kubernetes Service has no endpoints",
    instead_of: &["listener/*", "path/*"],
    needs: &["firewall rules"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let stops = [stopped_out(view), stopped_in(view)];
    let Some(stop) = stops.into_iter().flatten().find(|s| s.kind() == Kind::NoEndpoints) else {
        return Ok(Finding::Clear);
    };
    let service = match stop.decider().and_then(Decider::owner) {
        Some(RuleOwner::KubeProxy { service }) => service.as_deref(),
        _ => None,
    };
    let name = service.map_or_else(|| "the Service".to_owned(), |service| format!("the Service {}", safe(service)));
    let does = if stop.rejects() { "rejects" } else { "drops" };
    let title = format!("{name} has no endpoints: kube-proxy {does} packets to {}", view.endpoint());
    let fix = Fix::new(view, Risk::Low, format!("give {name} a ready pod: no change of the firewall helps"));
    let fix = match service.and_then(slices) {
        Some(command) => fix.verify(command),
        None => fix,
    };
    Ok(stop.fired(view, title).fix(fix).fires())
}

/// The command that shows the Service's endpoints.
fn slices(service: &str) -> Option<String> {
    let (namespace, rest) = service.split_once('/')?;
    let name = rest.split(':').next()?;
    let label = quote(&format!("kubernetes.io/service-name={name}"))?;
    Some(format!("kubectl get endpointslices -n {} -l {label}", quote(namespace)?))
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use crate::testing::filter::{PORT_UNREACHABLE, accepted, iptables, rejected, rule};
    use unrefuse_facts::{Decider, FilterBackend, FilterHook, FilterRule, RuleOwner};

    fn reject(comment: &str) -> FilterRule {
        let mut by =
            rule(FilterBackend::IptablesNft, "KUBE-SERVICES", FilterHook::Output, "-A KUBE-SERVICES -j REJECT");
        by.comment = Some(comment.into());
        by.owner = RuleOwner::KubeProxy { service: Some("default/web:http".into()) };
        by
    }

    #[test]
    fn a_cluster_address_asked_from_a_node() {
        let by = Decider::Rule(reject("default/web:http has no endpoints"));
        let report = Scene::remote("10.96.1.2:80").filtered(Some(rejected(PORT_UNREACHABLE, by)), None).rst().report();
        assert_eq!(report.blockers.len(), 1, "{:?}", report.blockers);
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "ingress/kube-no-endpoints");
        assert_eq!(
            blocker.whys[0].title,
            "the Service default/web:http has no endpoints: kube-proxy rejects packets to 10.96.1.2:80"
        );
        assert!(blocker.fixes[0].steps.is_empty());
        assert_eq!(blocker.fixes[0].verify, "kubectl get endpointslices -n default -l kubernetes.io/service-name=web");
    }

    #[test]
    fn a_node_port_asked_from_elsewhere() {
        let by =
            FilterRule { place: iptables(FilterHook::Input, "").place, ..reject("default/web:http has no endpoints") };
        let judgement = rejected(PORT_UNREACHABLE, Decider::Rule(by));
        let scene = Scene::local("10.1.0.2:30080").filtered(None, Some(judgement)).asked_from("10.5.0.9");
        assert_eq!(scene.roots(), ["ingress/kube-no-endpoints"]);
    }

    #[test]
    fn another_reject_of_kube_proxy_and_the_words_of_others_are_no_such_thing() {
        let roots = |by: FilterRule| {
            let judgement = rejected(PORT_UNREACHABLE, Decider::Rule(by));
            Scene::local("10.1.0.2:80")
                .listener("0.0.0.0:80", "nginx")
                .filtered(Some(accepted()), Some(judgement))
                .rst()
                .roots()
        };
        assert_eq!(roots(reject("block incoming localnet connections")), ["ingress/firewall-reject"]);
        let by_hand = FilterRule { owner: RuleOwner::Hand, ..reject("web has no endpoints") };
        assert_eq!(roots(by_hand), ["ingress/firewall-reject"]);
    }
}
