//! The numbers, for people and for programs.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::measure::Sample;

/// A subject with its median time and its peak.
pub(super) struct Measured {
    pub(super) name: String,
    pub(super) sample: Sample,
}

/// One target, and whether it was met.
#[derive(Serialize)]
pub(super) struct Row {
    /// The work's name.
    pub(super) work: String,
    /// What is compared: `ratio`, `time` or `memory`.
    kind: &'static str,
    /// unrefuse's call.
    ours: String,
    /// Its median time in microseconds.
    our_us: u64,
    /// Its median time on a processor in microseconds.
    our_cpu_us: u64,
    /// Its peak memory in bytes.
    our_memory: u64,
    /// The peer's call, where there is one.
    peer: Option<String>,
    /// Its median time in microseconds.
    peer_us: Option<u64>,
    /// Its median time on a processor in microseconds.
    peer_cpu_us: Option<u64>,
    /// Its peak memory in bytes.
    peer_memory: Option<u64>,
    /// What was found: a ratio, seconds or bytes.
    value: f64,
    /// What it may be at most; without a target it is only shown.
    at_most: Option<f64>,
    /// Whether it is.
    pub(super) met: Option<bool>,
}

impl Row {
    fn new(work: &str, kind: &'static str, ours: Measured, value: f64, at_most: Option<f64>) -> Self {
        Self {
            work: work.to_owned(),
            kind,
            our_us: micros(ours.sample.elapsed),
            our_cpu_us: micros(ours.sample.cpu),
            our_memory: ours.sample.memory,
            ours: ours.name,
            peer: None,
            peer_us: None,
            peer_cpu_us: None,
            peer_memory: None,
            value,
            at_most,
            met: at_most.map(|at_most| value <= at_most),
        }
    }

    /// Our time divided by the peer's.
    pub(super) fn ratio(work: &str, ours: Measured, peer: Measured, at_most: Option<f64>) -> Self {
        let value = ours.sample.elapsed.as_secs_f64() / peer.sample.elapsed.as_secs_f64();
        let row = Self::new(work, "ratio", ours, value, at_most);
        Self {
            peer: Some(peer.name),
            peer_us: Some(micros(peer.sample.elapsed)),
            peer_cpu_us: Some(micros(peer.sample.cpu)),
            peer_memory: Some(peer.sample.memory),
            ..row
        }
    }

    /// Our time alone.
    pub(super) fn time(work: &str, ours: Measured, at_most: Duration) -> Self {
        let value = ours.sample.elapsed.as_secs_f64();
        Self::new(work, "time", ours, value, Some(at_most.as_secs_f64()))
    }

    /// Our peak memory.
    pub(super) fn memory(work: &str, ours: Measured, at_most: u64) -> Self {
        let value = ours.sample.memory as f64;
        Self::new(work, "memory", ours, value, Some(at_most as f64))
    }

    fn cells(&self) -> [String; 6] {
        let time = |us: u64| if us < 1000 { format!("{us} us") } else { format!("{:.1} ms", us as f64 / 1e3) };
        let cpu = |us: u64| if us > 0 { format!(" ({} CPU)", time(us)) } else { String::new() };
        let peer = match (&self.peer, self.peer_us, self.peer_memory) {
            (Some(name), Some(us), Some(memory)) => {
                let cpu = cpu(self.peer_cpu_us.unwrap_or_default());
                format!("{name}: {}{cpu}, {}", time(us), megabytes(memory as f64))
            }
            _ => String::new(),
        };
        let show = |value: f64| match self.kind {
            "ratio" => format!("{value:.3}"),
            "time" => format!("{:.1} ms", value * 1e3),
            _ => megabytes(value),
        };
        let ours = match self.kind {
            "memory" => megabytes(self.our_memory as f64),
            _ => time(self.our_us) + &cpu(self.our_cpu_us),
        };
        let met = self.met.map_or("", |met| if met { "yes" } else { "NO" });
        [
            format!("{} ({})", self.work, self.kind),
            ours,
            peer,
            show(self.value),
            self.at_most.map(show).unwrap_or_default(),
            met.to_owned(),
        ]
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn megabytes(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}

/// A Markdown table whose columns stand below each other.
pub(super) fn text(rows: &[Row]) -> String {
    let head = ["work", "unrefuse", "peer", "found", "at most", "met?"].map(str::to_owned);
    let cells: Vec<[String; 6]> = std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
    let widths: [usize; 6] =
        std::array::from_fn(|column| cells.iter().map(|row| row[column].len()).max().unwrap_or_default());
    let mut text = String::new();
    for (index, row) in cells.iter().enumerate() {
        for (cell, width) in row.iter().zip(widths) {
            text.push_str(&format!("| {cell:<width$} "));
        }
        text.push_str("|\n");
        if index == 0 {
            for width in widths {
                text.push_str(&format!("| {} ", "-".repeat(width)));
            }
            text.push_str("|\n");
        }
    }
    text
}

/// The rows, with what they were measured on.
pub(super) fn json(rows: &[Row]) -> Result<String> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let value = serde_json::json!({ "kernel": kernel.trim(), "cpus": cpus, "rows": rows });
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(name: &str, ms: u64) -> Measured {
        Measured {
            name: name.into(),
            sample: Sample { elapsed: Duration::from_millis(ms), cpu: Duration::ZERO, memory: 5_000_000 },
        }
    }

    #[test]
    fn a_target_is_met_up_to_and_with_its_bound() {
        assert!(Row::ratio("w", measured("a", 5), measured("b", 10), Some(0.5)).met.unwrap());
        assert!(!Row::ratio("w", measured("a", 6), measured("b", 10), Some(0.5)).met.unwrap());
        assert!(!Row::time("w", measured("a", 41), Duration::from_millis(40)).met.unwrap());
        assert!(Row::memory("w", measured("a", 1), 20_000_000).met.unwrap());
    }

    #[test]
    fn the_table_says_what_was_compared_with_what() {
        let text = text(&[Row::ratio("whole", measured("unrefuse", 6), measured("nc", 10), Some(0.5))]);
        let last: Vec<&str> = text.lines().last().unwrap().split('|').map(str::trim).collect();
        assert_eq!(last, ["", "whole (ratio)", "6.0 ms", "nc: 10.0 ms, 5.0 MB", "0.600", "0.500", "NO", ""]);
    }
}
