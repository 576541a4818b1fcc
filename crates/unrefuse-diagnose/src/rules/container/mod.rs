//! Causes of why a port that lives in a container is not reached.

mod compose;
mod fixes;
mod meant;
mod run;
mod state;
mod words;

crate::rules::causes! {
    not_published,
}
