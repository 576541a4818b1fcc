//! Causes of the gate `route`.
crate::rules::causes! {}
