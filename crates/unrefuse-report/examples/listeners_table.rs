//! How long 100,000 rows take to become a table: `cargo run --release -p unrefuse-report --example listeners_table`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a measurement has a clock and says its result"
)]

use std::time::Instant;
use unrefuse_report::{ListenerRow, ReachBy, Style, listeners, listeners_json};

fn main() {
    let rows: Vec<ListenerRow<'_>> = (0..100_000)
        .map(|n| ListenerRow {
            proto: "tcp",
            address: format!("10.{}.{}.{}", n >> 16, (n >> 8) & 255, n & 255).into(),
            port: (n % 65_536) as u16,
            process: format!("worker[{}]", n % 250 + 1000).into(),
            user: "www-data".into(),
            unit: format!("worker@{}.service", n % 250).into(),
            reach: "anywhere".into(),
            reachable_from: Vec::new(),
            namespace: None,
        })
        .collect();
    for (name, style) in [("terminal", Style::plain(100)), ("no terminal", Style::plain(usize::MAX))] {
        let start = Instant::now();
        let text = listeners(&rows, ReachBy::Filtered, &style);
        println!("{name}: {:.1?} for {} lines, {} KiB", start.elapsed(), text.lines().count(), text.len() / 1024);
    }
    let start = Instant::now();
    let json = listeners_json(&rows, ReachBy::Filtered);
    println!("json: {:.1?} for {} KiB", start.elapsed(), json.len() / 1024);
}
