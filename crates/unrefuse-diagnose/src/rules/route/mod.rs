//! Causes of the gate `route`: this machine has no way there.

pub(crate) mod by_hand;
mod ports;
pub(super) mod ways;

crate::rules::causes! {
    blackhole,
    overlapping_subnet,
    link_down,
    ports_exhausted,
    source_address,
    missing_scope,
    none,
}
