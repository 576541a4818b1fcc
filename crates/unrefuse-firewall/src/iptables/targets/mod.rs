//! Target modules: for each, its options and what it does. Those that end with `XT_CONTINUE` in the kernel let the next
//! rule see the packet.

mod marks;
mod nat;
mod notes;
mod reject;

use super::options::Target;

/// A module by its name.
pub(super) fn find(name: &str) -> Option<&'static Target> {
    ALL.iter().flat_map(|group| group.iter()).find(|t| t.name == name)
}

const ALL: &[&[Target]] = &[reject::ALL, nat::ALL, marks::ALL, notes::NOTES, notes::FORKS, notes::OTHERS];
