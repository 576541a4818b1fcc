//! Causes of why a port that lives in a container is not reached.

mod bind;
mod compose;
mod fixes;
mod meant;
mod run;
mod state;
mod words;

crate::rules::causes! {
    engine_down,
    stopped,
    published_loopback,
    published_address,
    other_host_port,
    app_on_loopback,
    other_container_port,
    not_published,
    rules_missing,
    localhost_inside,
}
