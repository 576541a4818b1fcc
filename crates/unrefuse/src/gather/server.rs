//! The server's side, where the target is this machine: its sockets, their owners, and other namespaces.

use super::{look, port_query};
use crate::ask::Asked;
use std::sync::Arc;
use std::time::Instant;
use unrefuse_collect::{Host, Owners, SocketQuery, States};
use unrefuse_facts::{Case, Observed, SocketTable, Target, Transport};

/// A look at the server's sockets that is under way.
pub(crate) struct Server {
    on_port: Asked<Observed<SocketTable>>,
}

impl Server {
    /// Starts beside the attempts: the sockets on the port with their owners.
    pub(crate) fn start(target: &Target, host: &Arc<dyn Host>, until: Instant) -> Self {
        let query = port_query(target, Owners::Wanted);
        Self { on_port: look("the socket table", until, host, move |h| h.sockets(&query)) }
    }

    /// Fills in what was found. Where nothing on the port takes the packet, all listeners and other namespaces are read:
    /// the service may listen on another port or elsewhere.
    pub(crate) fn finish(self, case: &mut Case, host: &Arc<dyn Host>, until: Instant) {
        let on_port = self.on_port.fact();
        let transport = match case.target.protocol {
            unrefuse_facts::Protocol::Udp => Transport::Udp,
            _ => Transport::Tcp,
        };
        let listens = |table: &SocketTable| table.listeners.iter().any(|s| s.transport == transport);
        let failing = !super::works(case);
        let missing_here = failing && !on_port.value().is_some_and(listens);
        case.host.sockets = on_port;
        if !failing {
            return;
        }
        let namespaces = {
            let query = port_query(&case.target, Owners::Wanted);
            look("other network namespaces", until, host, move |h| h.other_namespaces(&query))
        };
        if missing_here {
            let query = SocketQuery {
                port: None,
                transports: vec![Transport::Tcp, Transport::Udp],
                owners: Owners::Wanted,
                states: States::Listening,
            };
            case.host.sockets = look("the socket table", until, host, move |h| h.sockets(&query)).fact();
        }
        case.host.other_namespaces = namespaces.fact();
    }
}
