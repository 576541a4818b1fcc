//! Causes of the gate `listener`: no socket takes the packet.

mod misfit;
pub(crate) mod owner;

crate::rules::causes! {
    other_interface,
    loopback_only,
    other_family,
    other_address,
    none,
}
