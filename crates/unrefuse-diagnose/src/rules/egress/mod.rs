//! Causes of the gate `egress`: this machine's own policy stops it.

crate::rules::causes! { proxy }
