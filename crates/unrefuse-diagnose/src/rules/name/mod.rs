//! Causes of the gate `name`.
crate::rules::causes! {}
