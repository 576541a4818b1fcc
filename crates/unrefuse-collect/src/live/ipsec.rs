//! IPsec policies (ip-xfrm(8)) over netlink, where the kernel has them: asking would load the module.

use super::links::ip;
use super::missing::missing;
use super::netlink::{Attributes, Netlink, u16_at, u32_at};
use crate::firewall::presence::{Presence, look};
use std::net::IpAddr;
use unrefuse_facts::{IpPrefix, IpsecPolicy, Observed, Source};

const WHAT: &str = "XFRM_MSG_GETPOLICY";
const XFRM_MSG_GETPOLICY: u16 = 0x15;

/// The policies for what this machine sends and takes, the strongest first.
pub(super) fn policies() -> Observed<Vec<IpsecPolicy>> {
    match look("xfrm_user", "xfrm_user_net_init") {
        Presence::There => {}
        Presence::Not => return Observed::known(Vec::new(), Source::running("xfrm_user (not loaded)")),
        Presence::Unclear(missing) => return Observed::Missing(missing),
    }
    let listed = Netlink::xfrm().and_then(|mut netlink| netlink.list(XFRM_MSG_GETPOLICY, &[0; 64], policy));
    match listed {
        Ok(mut policies) => {
            policies.sort_by_key(|policy| policy.priority);
            Observed::known(policies, Source::running(WHAT))
        }
        Err(error) => Observed::Missing(missing(WHAT, error)),
    }
}

/// `struct xfrm_userpolicy_info` and its attributes (include/uapi/linux/xfrm.h).
fn policy(message: &[u8]) -> Option<IpsecPolicy> {
    const XFRMA_TMPL: u16 = 5;
    const IN: u8 = 0;
    const OUT: u8 = 1;
    const ALLOW: u8 = 0;
    let length = match u16_at(message, 40)? {
        2 => 4,
        10 => 16,
        _ => return None,
    };
    let prefix = |at: usize, length_at: usize| {
        let address: IpAddr = ip(message.get(at..at + length)?)?;
        Some(IpPrefix { address, length: *message.get(length_at)? })
    };
    // Ports and their masks are in network order.
    let port = |at: usize| Some(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?));
    let (direction, action) = (*message.get(160)?, *message.get(161)?);
    let encrypts = Attributes(message.get(168..)?).any(|(kind, value)| kind == XFRMA_TMPL && !value.is_empty());
    Some(IpsecPolicy {
        outgoing: match direction {
            IN => false,
            OUT => true,
            // What is forwarded.
            _ => return None,
        },
        priority: u32_at(message, 152)?,
        source: prefix(16, 43)?,
        destination: prefix(0, 42)?,
        protocol: *message.get(44)?,
        source_port: (port(36)?, port(38)?),
        destination_port: (port(32)?, port(34)?),
        passes: action == ALLOW && !encrypts,
    })
}

#[cfg(test)]
mod tests {
    use super::super::netlink::push_attribute;
    use super::*;

    /// As `ip xfrm policy add src 10.1.0.0/16 dst 10.9.0.1/32 proto tcp dport 22 dir in priority 7` is listed.
    fn message(action: u8, template: bool) -> Vec<u8> {
        let mut bytes = vec![0; 168];
        bytes[0..4].copy_from_slice(&[10, 9, 0, 1]);
        bytes[16..20].copy_from_slice(&[10, 1, 0, 0]);
        bytes[32..36].copy_from_slice(&[0, 22, 255, 255]);
        bytes[40..42].copy_from_slice(&2_u16.to_ne_bytes());
        bytes[42..45].copy_from_slice(&[32, 16, 6]);
        bytes[152..156].copy_from_slice(&7_u32.to_ne_bytes());
        bytes[161] = action;
        if template {
            push_attribute(&mut bytes, 5, &[0; 64]);
        }
        bytes
    }

    #[test]
    fn a_policy_is_read() {
        let read = policy(&message(0, true)).unwrap();
        let prefix = |address: &str, length| IpPrefix { address: address.parse().unwrap(), length };
        assert_eq!((read.outgoing, read.priority, read.protocol, read.passes), (false, 7, 6, false));
        assert_eq!((read.source, read.destination), (prefix("10.1.0.0", 16), prefix("10.9.0.1", 32)));
        assert_eq!((read.source_port, read.destination_port), ((0, 0), (22, u16::MAX)));
        assert!(policy(&message(0, false)).unwrap().passes, "neither blocked nor encrypted");
        assert!(!policy(&message(1, false)).unwrap().passes, "blocked");
        assert!(policy(&[0; 100]).is_none());
    }
}
