//! Causes of why nothing listens: the service that should.

mod act;
mod drop_in;
mod log;
mod meant;
mod others;
mod reload;

pub(in crate::rules) use act::{manager, name as unit_name, systemctl};
pub(in crate::rules) use address_in_use::is_in_the_way;
pub(in crate::rules) use drop_in::drop_in;
pub(in crate::rules) use private_network::apart_by;
pub(in crate::rules) use reload::fails as reload_fails;
pub(in crate::rules) use stopped::stopped;

/// How sure it is that a service of this machine was meant; `None` where nothing speaks for one, or nobody looked.
pub(crate) fn meant_certainty(view: &crate::View<'_>) -> Option<crate::report::Certainty> {
    // A service whose configuration says another port is hardly the one.
    meant::meant(view).ok().flatten().filter(|meant| !meant.elsewhere).map(|meant| meant.certainty)
}

crate::rules::causes! {
    masked,
    not_ready,
    dependency_failed,
    crash_loop,
    failed,
    address_in_use,
    address_missing,
    bind_denied,
    privileged_port,
    oom_killed,
    config_error,
    private_network,
    socket_unit,
    no_user_manager,
    stopped,
    process_unmanaged,
    not_installed,
}
