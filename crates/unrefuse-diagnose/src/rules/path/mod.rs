//! Causes of the gate `path`.
crate::rules::causes! {}
