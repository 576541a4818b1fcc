//! `unrefuse listeners`: every listening socket, who holds it, and from where it can be reached.

mod ranges;
mod reach;

use crate::cli::ListenersArgs;
use crate::{check, output, progress::Progress};
use reach::Reach;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use unrefuse_collect::{Host, Owners, SocketQuery, States, live::Live};
use unrefuse_diagnose::reachable_from;
use unrefuse_facts::{Link, NetNamespace, Observed, Process, Socket, SocketTable, Transport};
use unrefuse_report::{ListenerRow, ReachBy};

/// How long the packet filter may be asked about all listeners together.
const JUDGING: Duration = Duration::from_secs(3);

pub(crate) fn run(arguments: &ListenersArgs) -> anyhow::Result<u8> {
    check::enter(arguments.netns.as_deref())?;
    let host: Arc<dyn Host> = Arc::new(Live::new());
    let transports = match (arguments.tcp, arguments.udp) {
        (true, _) => vec![Transport::Tcp],
        (_, true) => vec![Transport::Udp],
        _ => vec![Transport::Tcp, Transport::Udp],
    };
    let progress = Progress::start("reading all listeners".to_owned());
    let query = SocketQuery { port: None, transports, owners: Owners::Wanted, states: States::Listening };
    let table = match host.sockets(&query) {
        Observed::Known { value, .. } => value,
        Observed::Missing(missing) => anyhow::bail!("the socket table was not readable: {missing}"),
    };
    let links = host.links();
    let mut warnings = unseen(&table);
    let words = Words::of(&table);
    let mut reach = Reach::new(&host, Instant::now() + JUDGING, arguments.json);
    let mut rows = rows(&table, &words, links.value().map_or(&[], Vec::as_slice), reach.as_mut().ok(), None);
    // The rows have all that is shown, and the table's memory goes to the text.
    drop(table);
    let blind = match &reach {
        Ok(reach) => {
            let left =
                |(why, count): (&&str, &usize)| format!("{count} listeners are shown by bind address only: {why}");
            warnings.extend(reach.left_out.iter().map(left));
            None
        }
        Err(missing) => {
            let remedy = missing.remedy.as_ref().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
            warnings.push(format!("the firewall was not looked at: {missing}{remedy}"));
            Some(missing.to_string())
        }
    };
    let namespaces = arguments.all.then(|| host.other_namespaces(&query));
    let elsewhere: Vec<(&NetNamespace, String, Words)> = match &namespaces {
        Some(Observed::Known { value, .. }) => {
            value.iter().map(|n| (n, n.label(), n.table.value().map(Words::of).unwrap_or_default())).collect()
        }
        _ => Vec::new(),
    };
    match &namespaces {
        Some(Observed::Known { .. }) => {
            if !elsewhere.is_empty() && blind.is_none() {
                warnings.push(
                    "listeners of other namespaces are shown by bind address only: ask there with --netns".to_owned(),
                );
            }
            for (namespace, label, words) in &elsewhere {
                match &namespace.table {
                    Observed::Known { value, .. } => rows.extend(self::rows(value, words, &[], None, Some(label))),
                    Observed::Missing(missing) => warnings.push(format!("{label}: {missing}")),
                }
            }
        }
        Some(Observed::Missing(missing)) => warnings.push(missing.to_string()),
        None => {}
    }
    drop(progress);
    let by = blind.as_deref().map_or(ReachBy::Filtered, ReachBy::BindAddress);
    let text = if arguments.json {
        unrefuse_report::listeners_json(&rows, by)
    } else {
        unrefuse_report::listeners(&rows, by, &output::table_style(&arguments.paint))
    };
    output::print(&text)?;
    output::warn(&warnings);
    Ok(0)
}

/// What the table does not show, and why.
pub(crate) fn unseen(table: &SocketTable) -> Vec<String> {
    match &table.holders {
        _ if table.listeners.is_empty() => Vec::new(),
        Observed::Missing(missing) => {
            let remedy = missing.remedy.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
            vec![format!("owners are not shown: {missing}{remedy}")]
        }
        Observed::Known { value, .. } => {
            let unowned = |socket: &&Socket| !value.contains_key(&socket.inode);
            let without = match table.unreadable_processes {
                0 => 0,
                _ => table.listeners.iter().filter(unowned).count(),
            };
            if without == 0 {
                return Vec::new();
            }
            let sockets = if without == 1 {
                "the owner of 1 socket is".to_owned()
            } else {
                format!("the owners of {without} sockets are")
            };
            let processes = match table.unreadable_processes {
                1 => "1 process does".to_owned(),
                several => format!("{several} processes do"),
            };
            vec![format!("{sockets} not shown: {processes} not let this user read their open files")]
        }
    }
}

/// By port, then protocol, then address.
fn rows<'a>(
    table: &SocketTable,
    words: &'a Words,
    links: &[Link],
    mut filters: Option<&mut Reach>,
    namespace: Option<&'a str>,
) -> Vec<ListenerRow<'a>> {
    let mut sockets: Vec<&Socket> = table.listeners.iter().collect();
    sockets.sort_unstable_by_key(|s| (s.local.port(), s.transport, s.local.ip()));
    let mut rows = Vec::with_capacity(sockets.len());
    rows.extend(sockets.into_iter().map(|socket| {
        let owners = table.owners(socket);
        let (process, user, unit) = words.of_owners(&owners, socket);
        let mut reach = reachable_from(socket, links);
        let mut by_interface = Vec::new();
        if let Some((words, by)) = filters.as_mut().and_then(|filters| filters.of(socket, &reach)) {
            (reach, by_interface) = (words.into(), by);
        }
        ListenerRow {
            proto: socket.transport.name(),
            address: words.address(socket),
            port: socket.local.port(),
            process,
            user,
            unit,
            reach,
            reachable_from: by_interface,
            namespace,
        }
    }));
    rows
}

/// The address as `ss` writes it: `*` would hide the family, so wildcards stay as they are.
pub(crate) fn address(socket: &Socket) -> String {
    match socket.local {
        std::net::SocketAddr::V4(v4) => v4.ip().to_string(),
        std::net::SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    }
}

/// What sockets share, as words: one process often holds thousands, and they have few addresses.
#[derive(Default)]
struct Words {
    /// By process: its label, its user, its unit.
    processes: BTreeMap<u32, [String; 3]>,
    addresses: BTreeMap<IpAddr, String>,
}

impl Words {
    fn of(table: &SocketTable) -> Self {
        let process = |process: &Process| {
            let user = process.user.clone().unwrap_or_else(|| process.uid.to_string());
            [process.label(), user, supervisor(process).into_owned()]
        };
        let mut addresses = BTreeMap::new();
        for socket in &table.listeners {
            addresses.entry(socket.local.ip()).or_insert_with(|| address(socket));
        }
        Self { processes: table.processes.iter().map(|(pid, p)| (*pid, process(p))).collect(), addresses }
    }

    fn address(&self, socket: &Socket) -> Cow<'_, str> {
        self.addresses.get(&socket.local.ip()).map_or_else(|| address(socket).into(), Cow::from)
    }

    /// Process, user and unit.
    fn of_owners(&self, owners: &[&Process], socket: &Socket) -> (Cow<'_, str>, Cow<'_, str>, Cow<'_, str>) {
        let Some([label, user, unit]) = owners.first().and_then(|process| self.processes.get(&process.pid)) else {
            return (Cow::default(), format!("uid {}", socket.uid).into(), Cow::default());
        };
        let label = match owners.len() {
            1 => label.into(),
            all => format!("{label} +{}", all - 1).into(),
        };
        (label, user.into(), unit.into())
    }
}

/// The unit or container that a process belongs to.
pub(crate) fn supervisor(process: &Process) -> Cow<'_, str> {
    let running_as = &process.running_as;
    match (&running_as.container, &running_as.unit) {
        (Some(container), _) => format!("{} {}", container.engine, container.id).into(),
        (None, Some(unit)) if running_as.user_unit => format!("{unit} (user)").into(),
        (None, Some(unit)) => unit.into(),
        (None, None) => "".into(),
    }
}
