//! Causes of the gate `egress`.
crate::rules::causes! {}
