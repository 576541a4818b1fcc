//! IPsec policies of a machine (ip-xfrm(8)).

use crate::IpPrefix;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What the kernel wants of packets between two networks: let them pass, throw them away, or take and send them encrypted
/// only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpsecPolicy {
    /// For what this machine sends; else for what comes in to it.
    pub outgoing: bool,
    /// Of several that fit the one with the lowest number decides.
    pub priority: u32,
    /// Where the packets come from.
    pub source: IpPrefix,
    /// Where they go to.
    pub destination: IpPrefix,
    /// Protocol number of IP; 0 for all.
    pub protocol: u8,
    /// Value and mask of the source port; a mask of 0 takes all.
    pub source_port: (u16, u16),
    /// The same of the destination port.
    pub destination_port: (u16, u16),
    /// They are let through as they are: neither blocked nor to be encrypted.
    pub passes: bool,
}

impl IpsecPolicy {
    /// It is the one for packets of that protocol from one end to the other; a port of 0 is not known, and fits.
    pub fn fits(&self, protocol: u8, source: SocketAddr, destination: SocketAddr) -> bool {
        let port = |(value, mask): (u16, u16), port: u16| port == 0 || (port ^ value) & mask == 0;
        (self.protocol == 0 || self.protocol == protocol)
            && self.source.holds(source.ip())
            && self.destination.holds(destination.ip())
            && port(self.source_port, source.port())
            && port(self.destination_port, destination.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_fits_by_network_protocol_and_port() {
        let prefix = |address: &str, length| IpPrefix { address: address.parse().unwrap(), length };
        let policy = IpsecPolicy {
            outgoing: false,
            priority: 0,
            source: prefix("10.1.0.0", 16),
            destination: prefix("10.9.0.1", 32),
            protocol: 6,
            source_port: (0, 0),
            destination_port: (22, u16::MAX),
            passes: false,
        };
        let fits = |protocol, from: &str, to: &str| policy.fits(protocol, from.parse().unwrap(), to.parse().unwrap());
        assert!(fits(6, "10.1.2.3:0", "10.9.0.1:22") && fits(6, "10.1.2.3:7", "10.9.0.1:0"));
        assert!(!fits(17, "10.1.2.3:0", "10.9.0.1:22") && !fits(6, "10.2.2.3:0", "10.9.0.1:22"));
        assert!(!fits(6, "10.1.2.3:0", "10.9.0.1:80") && !fits(6, "10.1.2.3:0", "10.9.0.2:22"));
    }
}
