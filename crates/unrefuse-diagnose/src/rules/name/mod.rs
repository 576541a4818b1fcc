//! Causes of the gate `name`: the name does not lead to the server.

mod lines;
mod switch;

crate::rules::causes! {
    localhost_v6_first,
    own_name_loopback,
    hosts_override,
    address_family,
    resolver_unreachable,
    not_found,
}
