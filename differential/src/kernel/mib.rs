//! Counters of the transports: they tell whether a packet reached one.

use super::Sees;
use crate::probe::{Probe, proto};
use anyhow::{Context as _, Result};
use std::fs::File;
use std::os::unix::fs::FileExt as _;

#[derive(Debug)]
pub(crate) struct Mibs {
    v4: File,
    v6: File,
}

/// A reading.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    tcp: u64,
    resets: u64,
    udp: [u64; 2],
    echo: [u64; 2],
}

impl Mibs {
    pub(crate) fn open() -> Result<Self> {
        let open = |name: &str| {
            let path = format!("/proc/thread-self/net/{name}");
            File::open(&path).with_context(|| path)
        };
        Ok(Self { v4: open("snmp")?, v6: open("snmp6")? })
    }

    pub(crate) fn read(&self) -> Result<Reading> {
        let mut buffer = [0; 8192];
        let mut reading = Reading::default();
        let n = self.v4.read_at(&mut buffer, 0)?;
        let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
        let field = |group: &str, name: &str| -> u64 {
            let mut lines = text.lines().filter_map(|l| l.strip_prefix(group)?.strip_prefix(": "));
            let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
            let at = names.split(' ').position(|n| n == name);
            at.and_then(|at| values.split(' ').nth(at)).and_then(|v| v.parse().ok()).unwrap_or(0)
        };
        reading.tcp = field("Tcp", "InSegs");
        reading.resets = field("Tcp", "OutRsts");
        reading.udp[0] = field("Udp", "InDatagrams") + field("Udp", "NoPorts");
        reading.echo[0] = field("Icmp", "InEchos");
        let n = self.v6.read_at(&mut buffer, 0)?;
        for line in String::from_utf8_lossy(&buffer[..n]).lines() {
            let mut words = line.split_whitespace();
            let (name, value) = (words.next().unwrap_or_default(), words.next().and_then(|v| v.parse().ok()));
            match name {
                "Udp6InDatagrams" | "Udp6NoPorts" => reading.udp[1] += value.unwrap_or(0),
                "Icmp6InEchos" => reading.echo[1] += value.unwrap_or(0),
                _ => {}
            }
        }
        Ok(reading)
    }
}

impl Reading {
    /// Whether the probe's transport got something until then.
    pub(crate) fn taken(&self, later: &Self, probe: &Probe, sees: &Sees) -> bool {
        let v6 = usize::from(probe.v6());
        match probe.proto {
            // The host is its own client: the reset itself is a segment that came in. A rule's is none that TCP sent.
            proto::TCP if probe.iif.is_none() && *sees == Sees::Reset => later.resets > self.resets,
            proto::TCP => later.tcp > self.tcp,
            proto::UDP => later.udp[v6] > self.udp[v6],
            _ => later.echo[v6] > self.echo[v6],
        }
    }
}
