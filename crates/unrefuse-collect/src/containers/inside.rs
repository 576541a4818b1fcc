//! What listens inside of containers: their network namespaces are entered by their processes.

use crate::live::{files, namespaces};
use crate::{Owners, SocketQuery, States};
use std::collections::BTreeMap;
use std::time::Instant;
use unrefuse_facts::{Container, Missing, NetworkMode, Observed, Reason, Transport};
use unrefuse_parse::proc_pid;

/// So many containers are looked into.
const MOST: usize = 64;

/// Fills in sockets and addresses of the containers that run.
pub(super) fn look(mut containers: Vec<&mut Container>, users: &BTreeMap<u32, String>, until: Instant) {
    let (mut pids, mut wanted) = (Vec::new(), Vec::new());
    for (index, container) in containers.iter_mut().enumerate() {
        let own = match container.network_mode {
            NetworkMode::Host => {
                Err(Missing::new(Reason::NotLooked, "it has the host's own network: its sockets are the host's"))
            }
            _ => process(container),
        };
        match own {
            Ok(pid) if pids.len() < MOST => {
                pids.push(pid);
                wanted.push(index);
            }
            Ok(_) => set(container, &Missing::new(Reason::NotLooked, format!("more than {MOST} containers"))),
            Err(missing) => set(container, &missing),
        }
    }
    if pids.is_empty() {
        return;
    }
    let query = SocketQuery {
        port: None,
        transports: vec![Transport::Tcp, Transport::Udp],
        owners: Owners::Wanted,
        states: States::Listening,
    };
    for (index, seen) in wanted.into_iter().zip(namespaces::of_processes(&pids, &query, users, until)) {
        containers[index].sockets = seen.table;
        containers[index].addresses = seen.addresses;
    }
}

fn set(container: &mut Container, missing: &Missing) {
    container.sockets = Observed::Missing(missing.clone());
    container.addresses = Observed::Missing(missing.clone());
}

/// A process that lives in the container. Its number is the engine's word: where the engine lives in another
/// pid namespace (its socket is mounted into a container) it means somebody else here, which the cgroup's path shows. Podman
/// without root and without a session of the user makes no cgroup: then conmon(8), its parent, was started with the id.
pub(super) fn process(container: &Container) -> Result<u32, Missing> {
    let pid = container.pid.ok_or_else(|| Missing::new(Reason::Absent, "it has no process: it does not run"))?;
    let path = format!("/proc/{pid}/cgroup");
    let names_it = |text: &[u8]| text.windows(container.id.len()).any(|part| part == container.id.as_bytes());
    let parent = || {
        let stat = proc_pid::stat(&files::read(&format!("/proc/{pid}/stat")).ok()?)?;
        files::read(&format!("/proc/{}/cmdline", stat.ppid)).ok()
    };
    let own = names_it(&files::read(&path)?) || parent().is_some_and(|line| names_it(&line));
    own.then_some(pid).ok_or_else(|| {
        let what = format!("{path} does not name the container: process {pid} is another one here");
        Missing::new(Reason::Failed, what).remedy("run unrefuse on the machine itself, where the engine runs")
    })
}
