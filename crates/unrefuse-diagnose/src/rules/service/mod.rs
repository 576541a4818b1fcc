//! Causes of why nothing listens: the service that should.

mod act;
mod log;
mod meant;

crate::rules::causes! {
    masked,
    not_ready,
    dependency_failed,
    crash_loop,
    failed,
    address_in_use,
    address_missing,
    privileged_port,
    oom_killed,
    config_error,
    private_network,
    socket_unit,
    stopped,
    process_unmanaged,
    not_installed,
}
