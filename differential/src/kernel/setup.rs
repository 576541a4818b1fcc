//! Interfaces, addresses, routes and settings of the host under test.

use super::sys;
use crate::world::{ADDRESSES, IN, IN_MAC, OUT, OUT_MAC, ROUTES};
use anyhow::{Context as _, Result, ensure};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// Settings that every ruleset meets.
const SETTINGS: &[(&str, &str)] = &[
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/default/router_solicitations", "0"),
    // No error is held back: each probe is judged for itself.
    ("ipv4/icmp_ratelimit", "0"),
    ("ipv4/icmp_ratemask", "0"),
    ("ipv6/icmp/ratelimit", "0"),
    ("ipv6/icmp/ratemask", ""),
    // A SYN-ACK that is a cookie belongs to no socket, which rules on sockets would see.
    ("ipv4/tcp_syncookies", "0"),
    // Multicast memberships are reported when nobody waits for it, or never.
    ("ipv4/conf/default/igmpv2_unsolicited_report_interval", "2000000000"),
    ("ipv4/conf/default/igmpv3_unsolicited_report_interval", "2000000000"),
    ("ipv6/conf/default/mldv1_unsolicited_report_interval", "2000000000"),
    ("ipv6/conf/default/mldv2_unsolicited_report_interval", "2000000000"),
    // A SYN-ACK that is sent again moves counters while another packet is under way.
    ("ipv4/tcp_synack_retries", "0"),
    // Where connection tracking has summed up a packet, a rule that changes its IPv6 hop limit or traffic class makes the
    // kernel (6.18) take a datagram of more than 76 bytes for damaged.
    ("netfilter/nf_conntrack_checksum", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/ip_local_port_range", "1024 65535"),
];

pub(crate) fn build() -> Result<[File; 2]> {
    for (name, value) in SETTINGS {
        sysctl(name, value)?;
    }
    let taps = [sys::tap(IN)?, sys::tap(OUT)?];
    run("ip", &["-batch", "-"], &batch())?.map_err(|e| anyhow::anyhow!("ip: {e}"))?;
    Ok(taps)
}

fn batch() -> String {
    let mut text = String::from("link set lo up\n");
    for (name, mac) in [(IN, IN_MAC), (OUT, OUT_MAC)] {
        let mac = mac.map(|b| format!("{b:02x}")).join(":");
        // Without ARP no neighbour is asked for: frames go out at once, whoever they are for.
        let _ = writeln!(text, "link set {name} address {mac} arp off multicast off addrgenmode none");
        let _ = writeln!(text, "link set {name} up");
    }
    let (v6, v4): (Vec<_>, Vec<_>) = ADDRESSES.iter().partition(|(_, a, _)| a.contains(':'));
    for (name, address, length) in v4.into_iter().chain(v6.into_iter().rev()) {
        let nodad = if address.contains(':') { " nodad" } else { "" };
        let _ = writeln!(text, "address add {address}/{length} dev {name}{nodad}");
    }
    for (kind, prefix, length, gateway, name) in ROUTES {
        let via = if gateway.is_empty() { String::new() } else { format!(" via {gateway} dev {name}") };
        let family = if prefix.contains(':') { "-6 " } else { "" };
        let _ = writeln!(text, "{family}route add {kind} {prefix}/{length}{via}");
    }
    // `ip -batch` takes no options within lines.
    text.replace("-6 route", "route")
}

/// Writes a setting of this thread's network namespace.
pub(crate) fn sysctl(name: &str, value: &str) -> Result<()> {
    std::fs::write(format!("/proc/sys/net/{name}"), value).with_context(|| format!("net/{name} = {value}"))
}

/// Runs a tool with this input. The inner error is what it says when it fails.
pub(crate) fn run(tool: &str, arguments: &[&str], input: &str) -> Result<Result<(), String>> {
    let mut command = Command::new(tool);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = spawn(&mut command)?;
    // A tool that gives up early closes its end: what it says counts, not the broken pipe.
    let mut stdin = child.stdin.take().context("no pipe")?;
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output()?;
    Ok(if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) })
}

/// Until it runs its program, a new process holds all sockets of all threads: one that is closed meanwhile is closed later,
/// and what that sends moves counters in the midst of a later probe. So nothing is sent while a process begins.
static BEGINNING: RwLock<()> = RwLock::new(());

/// While this is held, no process begins.
pub(crate) fn no_process_begins() -> RwLockReadGuard<'static, ()> {
    BEGINNING.read().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a process, and returns when it runs its program.
fn spawn(command: &mut Command) -> Result<Child> {
    let _alone = BEGINNING.write().unwrap_or_else(PoisonError::into_inner);
    command.spawn().with_context(|| format!("{} cannot be run", command.get_program().to_string_lossy()))
}

/// Runs a tool and gives what it prints.
pub(crate) fn output(tool: &str, arguments: &[&str]) -> Result<Vec<u8>> {
    let mut command = Command::new(tool);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = spawn(&mut command)?.wait_with_output()?;
    ensure!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}
