//! Causes of the gate `access`: accepted, then turned away.
crate::rules::causes! { closed_on_accept, proxied_to_nothing }
