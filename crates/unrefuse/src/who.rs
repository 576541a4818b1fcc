//! `unrefuse who PORT`: who holds a port, as lsof(8) or fuser(1) would say, in every network namespace: its listeners, and
//! connections from it, which hold a port as well (an outgoing connection may have taken a server's port).

use crate::cli::{WhoArgs, WrongCall};
use crate::listeners::{address, supervisor, unseen};
use crate::{check, output, progress::Progress};
use unrefuse_collect::{Host, Owners, SocketQuery, States, live::Live};
use unrefuse_facts::{Holder, Observed, Socket, SocketState, SocketTable, Transport, text};
use unrefuse_report::WhoRow;

/// Nobody holds the port.
const NOBODY: u8 = 1;

pub(crate) fn run(arguments: &WhoArgs) -> anyhow::Result<u8> {
    let (port, transports) = port(&arguments.port)?;
    check::enter(arguments.netns.as_deref())?;
    let host = Live::new();
    let progress = Progress::start(format!("looking for who holds port {port}"));
    let query = SocketQuery { port: Some(port), transports, owners: Owners::Wanted, states: States::All };
    let table = match host.sockets(&query) {
        Observed::Known { value, .. } => value,
        Observed::Missing(missing) => anyhow::bail!("the socket table was not readable: {missing}"),
    };
    let mut warnings = unseen(&table);
    let mut rows = rows(&table, None);
    match host.other_namespaces(&query) {
        Observed::Known { value, .. } => {
            for namespace in value {
                match &namespace.table {
                    Observed::Known { value, .. } => rows.extend(self::rows(value, Some(&namespace.label()))),
                    Observed::Missing(missing) => warnings.push(format!("{}: {missing}", namespace.label())),
                }
            }
        }
        Observed::Missing(missing) => {
            warnings.push(format!("other network namespaces were not looked into: {missing}"))
        }
    }
    drop(progress);
    let nobody = rows.is_empty();
    let text = if arguments.json {
        unrefuse_report::who_json(&rows)
    } else if nobody {
        String::new()
    } else {
        unrefuse_report::who(&rows, &output::table_style(&arguments.paint))
    };
    output::print(&text)?;
    if nobody {
        warnings.insert(0, format!("nobody holds port {port}"));
    }
    output::warn(&warnings);
    Ok(if nobody { NOBODY } else { 0 })
}

/// `5432`, `53/udp`, `ssh`.
fn port(word: &str) -> anyhow::Result<(u16, Vec<Transport>)> {
    let (number, protocol) = word.split_once('/').map_or((word, None), |(n, p)| (n, Some(p)));
    let transports = match protocol.map(str::to_ascii_lowercase).as_deref() {
        None => vec![Transport::Tcp, Transport::Udp],
        Some("tcp") => vec![Transport::Tcp],
        Some("udp") => vec![Transport::Udp],
        Some(_) => return Err(wrong(word)),
    };
    // As a target's port is read: a number, or the name of a service.
    match unrefuse_parse::target::parse(&["localhost", number.trim_start_matches(':')], false) {
        Ok(target) => Ok((target.port, transports)),
        Err(_) => Err(wrong(word)),
    }
}

fn wrong(word: &str) -> anyhow::Error {
    WrongCall(format!(
        "'{}' is no port: write 1 to 65535 or a service's name, with /tcp or /udp where only one is meant",
        text::visible(word)
    ))
    .into()
}

/// One row for each process and socket; a socket without a visible holder has a row of its own.
fn rows(table: &SocketTable, namespace: Option<&str>) -> Vec<WhoRow> {
    let mut rows = Vec::new();
    let mut sockets: Vec<&Socket> = table.listeners.iter().collect();
    sockets.sort_by_key(|s| !matches!(s.state, SocketState::Listen | SocketState::Unconnected));
    for socket in sockets {
        let holders: &[Holder] =
            table.holders.value().and_then(|map| map.get(&socket.inode)).map_or(&[], Vec::as_slice);
        for holder in holders {
            rows.push(row(table, socket, Some(*holder), namespace));
        }
        if holders.is_empty() {
            rows.push(row(table, socket, None, namespace));
        }
    }
    rows
}

fn row(table: &SocketTable, socket: &Socket, holder: Option<Holder>, namespace: Option<&str>) -> WhoRow {
    let process = holder.and_then(|h| table.processes.get(&h.pid));
    WhoRow {
        pid: holder.map(|h| h.pid.to_string()).unwrap_or_default(),
        user: match process {
            Some(p) => p.user.clone().unwrap_or_else(|| p.uid.to_string()),
            None => format!("uid {}", socket.uid),
        },
        fd: holder.map(|h| h.fd.to_string()).unwrap_or_default(),
        protocol: socket.transport.name().to_owned(),
        address: match socket.remote {
            Some(remote) => format!("{}:{} -> {remote}", address(socket), socket.local.port()),
            None => format!("{}:{}", address(socket), socket.local.port()),
        },
        state: state(socket.state).to_owned(),
        command: process.map(|p| p.command.clone()).unwrap_or_default(),
        unit: process.map(|p| supervisor(p).into_owned()).unwrap_or_default(),
        namespace: namespace.map(str::to_owned),
    }
}

/// The words of ss(8).
fn state(state: SocketState) -> &'static str {
    match state {
        SocketState::Listen => "LISTEN",
        SocketState::Unconnected => "UNCONN",
        SocketState::Established => "ESTAB",
        SocketState::SynSent => "SYN-SENT",
        SocketState::SynReceived => "SYN-RECV",
        SocketState::FinWait1 => "FIN-WAIT-1",
        SocketState::FinWait2 => "FIN-WAIT-2",
        SocketState::TimeWait => "TIME-WAIT",
        SocketState::Closed => "CLOSED",
        SocketState::CloseWait => "CLOSE-WAIT",
        SocketState::LastAck => "LAST-ACK",
        SocketState::Closing => "CLOSING",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        assert_eq!(port("5432").unwrap().0, 5432);
        assert_eq!(port(":80/tcp").unwrap(), (80, vec![Transport::Tcp]));
        assert_eq!(port("53/UDP").unwrap(), (53, vec![Transport::Udp]));
        assert_eq!(port("domain/udp").unwrap(), (53, vec![Transport::Udp]));
        assert_eq!(port("https").unwrap().0, 443);
        for wrong in ["0", "65536", "no-such-service", "80/sctp", "", "-1", "/tcp"] {
            assert!(port(wrong).is_err(), "{wrong}");
        }
    }
}
