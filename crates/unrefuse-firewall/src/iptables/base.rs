//! The built-in chains of iptables' tables: where each is hooked in, and with which priority (linux/netfilter_ipv4.h,
//! `enum nf_ip_hook_priorities`; net/ipv4/netfilter/iptable_*.c; `builtin_table`s of iptables/nft.c say the same).

use crate::model::{Base, ChainKind, Hook, Policy};

/// iptables-nft hooks its table `security` in later than the kernel's own one stands (iptables/nft.c `xtables_ipv4`):
/// behind `nat`, not before it.
pub(super) const NFT_SECURITY: i32 = 150;

/// Hook, priority and kind of a built-in chain; `None`: the table has no such chain.
pub(super) fn built_in(table: &str, chain: &str, policy: Policy) -> Option<Base> {
    let hook = match chain {
        "PREROUTING" => Hook::Prerouting,
        "INPUT" => Hook::Input,
        "FORWARD" => Hook::Forward,
        "OUTPUT" => Hook::Output,
        "POSTROUTING" => Hook::Postrouting,
        _ => return None,
    };
    let (priority, kind) = match (table, hook) {
        ("raw", Hook::Prerouting | Hook::Output) => (-300, ChainKind::Filter),
        ("mangle", Hook::Output) => (-150, ChainKind::Route),
        ("mangle", _) => (-150, ChainKind::Filter),
        ("nat", Hook::Prerouting | Hook::Output) => (-100, ChainKind::Nat),
        ("nat", Hook::Input | Hook::Postrouting) => (100, ChainKind::Nat),
        ("filter", Hook::Input | Hook::Forward | Hook::Output) => (0, ChainKind::Filter),
        ("security", Hook::Input | Hook::Forward | Hook::Output) => (50, ChainKind::Filter),
        _ => return None,
    };
    Some(Base { hook, priority, kind, policy, devices: Vec::new(), order: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_the_kernels() {
        let of = |table, chain| built_in(table, chain, Policy::Accept).map(|b| (b.priority, b.kind));
        assert_eq!(of("raw", "PREROUTING"), Some((-300, ChainKind::Filter)));
        assert_eq!(of("mangle", "OUTPUT"), Some((-150, ChainKind::Route)));
        assert_eq!(of("mangle", "FORWARD"), Some((-150, ChainKind::Filter)));
        assert_eq!(of("nat", "OUTPUT"), Some((-100, ChainKind::Nat)));
        assert_eq!(of("nat", "INPUT"), Some((100, ChainKind::Nat)));
        assert_eq!(of("security", "FORWARD"), Some((50, ChainKind::Filter)));
        assert_eq!(
            (of("filter", "PREROUTING"), of("nat", "FORWARD"), of("filter", "ufw-user-input")),
            (None, None, None)
        );
    }
}
