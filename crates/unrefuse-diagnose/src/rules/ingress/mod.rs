//! Causes of the gate `ingress`: the server's firewall and network stack do not let it in.

crate::rules::causes! {
    banned,
    kube_no_endpoints,
    rp_filter,
    duplicate_address,
    no_way_back,
    forwarding_off,
    conntrack_full,
    dnat_dead_end,
    forwarded_no_way_back,
    rule_order,
    mixed_backends,
    firewall_drop,
    firewall_reject,
    not_persisted,
    unit_ip_deny,
}
