//! Causes of the gate `ingress`: the server's firewall and network stack do not let it in.
crate::rules::causes! { firewall_reject }
