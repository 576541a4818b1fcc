//! The sockets of one network namespace with their owners.

use super::inet_diag;
use super::missing::missing;
use super::netlink::Netlink;
use super::owners::{self, Extent, Owners};
use super::{files, modules, proc_dir, process};
use crate::{Owners as Wish, SocketQuery, States};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use unrefuse_facts::{
    Family, Holder, Missing, Observed, Process, Reason, Socket, SocketState, SocketTable, Source, Transport,
};
use unrefuse_parse::proc_net;

/// Sockets, and where they were read.
pub(super) type Listed = (Vec<Socket>, Source);

/// Fewer processes than this are not worth a second thread.
const FEW: usize = 32;

/// The directory of this thread's own network tables: /proc/net is that of the thread group's leader (proc(5)).
pub(super) const OWN_TABLES: &str = "/proc/thread-self/net";

/// Listeners with their owners.
pub(super) fn table(query: &SocketQuery, users: &BTreeMap<u32, String>) -> Observed<SocketTable> {
    let (listeners, source) = match listeners(query) {
        Ok(listed) => listed,
        Err(missing) => return Observed::Missing(missing),
    };
    let mut table = SocketTable { listeners, ..SocketTable::default() };
    match query.owners {
        Wish::None => table.holders = Observed::not_looked("owners were not asked for"),
        Wish::Wanted => {
            let inodes = table.listeners.iter().map(|socket| socket.inode).collect();
            let found = owners::find(inodes, extent(query));
            table.unreadable_processes = found.unreadable_processes;
            table.processes = processes(&found, users, query.port.is_some());
            table.holders = found.holders;
        }
    }
    Observed::known(table, source)
}

/// A question about one port wants every holder, forked workers too; the table of all listeners one of each.
pub(super) fn extent(query: &SocketQuery) -> Extent {
    if query.port.is_some() { Extent::AllHolders } else { Extent::OneHolder }
}

/// The processes of all holders.
pub(super) fn processes(owners: &Owners, users: &BTreeMap<u32, String>, files: bool) -> BTreeMap<u32, Process> {
    let holders = owners.holders.value().into_iter().flat_map(BTreeMap::values).flatten();
    let mut pids: Vec<u32> = holders.map(|holder: &Holder| holder.pid).collect();
    pids.sort_unstable();
    pids.dedup();
    let Ok(proc) = proc_dir::root() else { return BTreeMap::new() };
    let look = |pids: &[u32]| -> Vec<(u32, Process)> {
        pids.iter().filter_map(|&pid| Some((pid, process::process(&proc, pid, users, files)?))).collect()
    };
    let (first, second) = pids.split_at(if pids.len() < FEW { pids.len() } else { pids.len() / 2 });
    std::thread::scope(|scope| {
        let other = (!second.is_empty()).then(|| std::thread::Builder::new().spawn_scoped(scope, || look(second)));
        let mut processes = look(first);
        match other {
            None => {}
            Some(Ok(thread)) => processes.extend(thread.join().unwrap_or_default()),
            // No thread to be had: this one does the rest.
            Some(Err(_)) => processes.extend(look(second)),
        }
        processes.into_iter().collect()
    })
}

/// Listeners of this thread's namespace, by inet_diag, else from the tables of /proc/net.
pub(super) fn listeners(query: &SocketQuery) -> Result<Listed, Missing> {
    let mut list = Vec::new();
    let mut sources = Vec::new();
    let mut netlink = None;
    for &transport in &query.transports {
        match diag(&mut netlink, transport, query, &mut list) {
            Ok(()) => sources.push("inet_diag".to_owned()),
            Err(first) => {
                let (found, source) = from_tables(OWN_TABLES, transport, query, &first)?;
                list.extend(found);
                sources.push(source.what);
            }
        }
    }
    sources.dedup();
    Ok((list, Source::running(sources.join(", "))))
}

fn diag(
    netlink: &mut Option<Netlink>,
    transport: Transport,
    query: &SocketQuery,
    list: &mut Vec<Socket>,
) -> Result<(), Missing> {
    modules::present(match transport {
        Transport::Tcp => "tcp_diag",
        Transport::Udp => "udp_diag",
    })?;
    let open = || Netlink::sock_diag().map_err(|e| missing("inet_diag: socket", e));
    let mut own = netlink.take().map_or_else(open, Ok)?;
    let before = list.len();
    let result = inet_diag::listeners(&mut own, transport, query.port, query.states, list);
    if result.is_err() {
        list.truncate(before);
    }
    result.map_err(|e| missing("inet_diag", e))?;
    *netlink = Some(own);
    Ok(())
}

/// Listeners from the text tables in `tables`, where inet_diag failed with `first`. The tables do not tell
/// `IPV6_V6ONLY`, the device, the backlog and keys.
pub(super) fn from_tables(
    tables: &str,
    transport: Transport,
    query: &SocketQuery,
    first: &Missing,
) -> Result<Listed, Missing> {
    let wanted = |socket: &Socket| {
        (query.states == States::All || matches!(socket.state, SocketState::Listen | SocketState::Unconnected))
            && query.port.is_none_or(|port| socket.local.port() == port)
    };
    let (mut list, mut read) = (Vec::new(), Vec::new());
    for family in [Family::V4, Family::V6] {
        let path = table_path(tables, transport, family);
        let result = files::read_lines(&path, |lines| {
            list.append(&mut proc_net::sockets(transport, family, lines, wanted));
        });
        match result {
            Ok(()) => read.push(path),
            // A kernel without IPv6 has no such table.
            Err(missing) if family == Family::V6 && missing.reason == Reason::Absent && !read.is_empty() => {}
            Err(missing) => return Err(both(first, &missing)),
        }
    }
    Ok((list, Source::running(format!("{} ({})", read.join(", "), first.detail))))
}

fn table_path(tables: &str, transport: Transport, family: Family) -> String {
    let suffix = if family == Family::V6 { "6" } else { "" };
    format!("{tables}/{}{suffix}", transport.name())
}

/// Both ways failed: the first one's reason, both details.
fn both(first: &Missing, second: &Missing) -> Missing {
    Missing { detail: format!("{}; {}", first.detail, second.detail), ..first.clone() }
}

/// How many TCP sockets have `address` as their peer, by inet_diag, else from the tables of /proc/net.
pub(super) fn connections_to(address: SocketAddr) -> Observed<u32> {
    let asked = modules::present("tcp_diag").and_then(|()| {
        let counted = Netlink::sock_diag().and_then(|mut netlink| inet_diag::connections_to(&mut netlink, address));
        counted.map_err(|e| missing("inet_diag", e))
    });
    let first = match asked {
        Ok(count) => return Observed::known(count, Source::running("inet_diag")),
        Err(first) => first,
    };
    let peer = (address.ip().to_canonical(), address.port());
    let to_peer = |socket: &Socket| socket.remote.is_some_and(|r| (r.ip().to_canonical(), r.port()) == peer);
    let (mut count, mut read) = (0, Vec::new());
    for family in [Family::V4, Family::V6] {
        let path = table_path(OWN_TABLES, Transport::Tcp, family);
        let result = files::read_lines(&path, |lines| {
            count += proc_net::sockets(Transport::Tcp, family, lines, to_peer).len();
        });
        match result {
            Ok(()) => read.push(path),
            Err(missing) if family == Family::V6 && missing.reason == Reason::Absent && !read.is_empty() => {}
            Err(missing) => return Observed::Missing(both(&first, &missing)),
        }
    }
    let source = Source::running(format!("{} ({})", read.join(", "), first.detail));
    Observed::known(u32::try_from(count).unwrap_or(u32::MAX), source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn the_tables_show_the_same_sockets_as_the_kernel() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let v6 = TcpListener::bind("[::1]:0").ok();
        let refused = Missing::new(Reason::Forbidden, "inet_diag: refused");
        let mut asked = vec![(Transport::Tcp, tcp.local_addr().unwrap()), (Transport::Udp, udp.local_addr().unwrap())];
        asked.extend(v6.as_ref().map(|v6| (Transport::Tcp, v6.local_addr().unwrap())));
        for (transport, local) in asked {
            let query = SocketQuery {
                port: Some(local.port()),
                transports: vec![transport],
                owners: Wish::None,
                states: States::Listening,
            };
            let (kernel, source) = listeners(&query).unwrap();
            assert_eq!(source.what, "inet_diag");
            let (tables, source) = from_tables(OWN_TABLES, transport, &query, &refused).unwrap();
            assert!(source.what.contains("inet_diag: refused"), "{}", source.what);
            let key = |s: &Socket| (s.transport, s.state, s.local, s.remote, s.inode, s.uid, s.recv_queue);
            assert_eq!(kernel.iter().map(key).collect::<Vec<_>>(), tables.iter().map(key).collect::<Vec<_>>());
            assert_eq!(kernel.len(), 1);
        }
    }

    #[test]
    fn both_reasons_are_kept() {
        let refused = Missing::new(Reason::Forbidden, "inet_diag: refused").remedy("ask nicely");
        let query =
            SocketQuery { port: None, transports: vec![Transport::Tcp], owners: Wish::None, states: States::Listening };
        let missing = from_tables("/proc/thread-self/nosuch", Transport::Tcp, &query, &refused).unwrap_err();
        assert_eq!((missing.reason, missing.remedy.as_deref()), (Reason::Forbidden, Some("ask nicely")));
        assert!(missing.detail.starts_with("inet_diag: refused; open /proc/thread-self/nosuch/tcp: "), "{missing}");
    }
}
