//! Causes of the gate `egress`: this machine's own policy stops it.

crate::rules::causes! { nat_redirect, firewall_reject, firewall_drop, proxy }
