//! Causes of the gate `access`.
crate::rules::causes! {}
