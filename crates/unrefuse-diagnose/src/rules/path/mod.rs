//! Causes of the gate `path`: links and routers between the machines do not carry it.
mod on_link;

crate::rules::causes! { intermittent, static_neighbour, host_down, router_reject, middlebox_reset, filtered, all_ports_refused }
