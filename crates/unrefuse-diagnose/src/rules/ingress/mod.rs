//! Causes of the gate `ingress`.
crate::rules::causes! {}
