//! Causes of the gate `egress`: this machine's own policy stops it.

crate::rules::causes! { unit_ip_deny, nat_redirect, firewall_reject, firewall_drop, ipsec_policy, proxy }
