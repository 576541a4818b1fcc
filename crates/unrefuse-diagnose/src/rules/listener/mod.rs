//! Causes of the gate `listener`: no socket takes the packet.
crate::rules::causes! { none }
