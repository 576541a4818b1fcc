//! Causes of the gate `listener`: no socket takes the packet.

mod misfit;
pub(crate) mod owner;
mod taken_back;

crate::rules::causes! {
    queue_full,
    not_accepting,
    md5_required,
    stale_socket,
    other_interface,
    loopback_only,
    other_family,
    other_address,
    other_namespace,
    other_protocol,
    other_port,
    none,
}
