//! Causes of the gate `path`: links and routers between the machines do not carry it.
crate::rules::causes! { intermittent, host_down, router_reject, middlebox_reset, filtered, all_ports_refused }
