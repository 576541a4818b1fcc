//! Packets that xt_recent noted of an address (net/netfilter/xt_recent.c): what `-m recent` and `ufw limit` count by.

use crate::live::files;
use std::net::IpAddr;
use unrefuse_facts::{Missing, Observed, Reason, Source, text::from_bytes};

/// jiffies begin 300 s before the counter's low half is full (`INITIAL_JIFFIES`, include/linux/jiffies.h).
const BEGIN: (u64, f64) = (1 << 32, 300.0);
/// `CONFIG_HZ` of x86 and most others (kernel/Kconfig.hz); Alpha has 1024.
const RATES: [u64; 5] = [100, 250, 300, 1000, 1024];
const CLOCK: &str = "/proc/timer_list";

/// How many packets of `source` the list noted within the last `seconds`; of its newest only, as many as the list keeps.
pub fn recent(list: &str, source: IpAddr, seconds: u64) -> Observed<u32> {
    if list.is_empty() || list.contains(['/', '\0']) || list.starts_with('.') {
        return Observed::not_looked("the list's name is no file name");
    }
    let path = format!("/proc/thread-self/net/xt_recent/{list}");
    let noted = match files::read(&path) {
        Ok(bytes) => stamps(&from_bytes(&bytes), source),
        Err(missing) => return Observed::Missing(missing),
    };
    match clock() {
        Ok((now, rate)) => {
            let since = now.saturating_sub(seconds.saturating_mul(rate));
            let count = noted.iter().filter(|stamp| **stamp >= since).count();
            Observed::known(u32::try_from(count).unwrap_or(u32::MAX), Source::running(path))
        }
        Err(missing) => Observed::Missing(missing),
    }
}

/// The times of the packets of an address, in jiffies:
/// `src=10.0.0.9 ttl: 64 last_seen: 4310893365 oldest_pkt: 2 4310893300, 4310893365`.
fn stamps(list: &str, source: IpAddr) -> Vec<u64> {
    let address = |line: &str| line.split_whitespace().next()?.strip_prefix("src=")?.parse::<IpAddr>().ok();
    let line = list.lines().find(|line| address(line) == Some(source));
    let noted = line.and_then(|line| line.split_once("oldest_pkt: ")?.1.split_once(' '));
    noted.map_or_else(Vec::new, |(_, stamps)| stamps.split(',').filter_map(|stamp| stamp.trim().parse().ok()).collect())
}

/// The present time in jiffies, and how many are a second.
fn clock() -> Result<(u64, u64), Missing> {
    let mut jiffies: Option<u64> = None;
    files::read_lines(CLOCK, |lines| {
        let mut numbers = lines.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"jiffies: "));
        jiffies = jiffies.or_else(|| from_bytes(numbers.next()?.trim_ascii()).parse::<u64>().ok());
    })?;
    let uptime = from_bytes(&files::read("/proc/uptime")?);
    let uptime = uptime.split_whitespace().next().and_then(|seconds| seconds.parse::<f64>().ok());
    let rate = jiffies.zip(uptime).and_then(|(jiffies, uptime)| rate(jiffies, uptime));
    jiffies.zip(rate).ok_or_else(|| Missing::new(Reason::Failed, format!("{CLOCK} does not tell the kernel's time")))
}

/// The rate at which the counter comes to where it is; none where two fit.
fn rate(jiffies: u64, uptime: f64) -> Option<u64> {
    let counted = jiffies as f64 - BEGIN.0 as f64;
    let fits = |rate: &&u64| (counted - (uptime - BEGIN.1) * **rate as f64).abs() < **rate as f64 * 2.0;
    let mut found = RATES.iter().filter(fits);
    found.next().filter(|_| found.next().is_none()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_an_address() {
        let list = "src=10.0.0.9 ttl: 64 last_seen: 20 oldest_pkt: 2 10, 20\n\
                    src=fd77:0000:0000:0000:0000:0000:0000:0002 ttl: 64 last_seen: 30 oldest_pkt: 1 30\nsrc=x";
        assert_eq!(stamps(list, "10.0.0.9".parse().unwrap()), [10, 20]);
        assert_eq!(stamps(list, "fd77::2".parse().unwrap()), [30]);
        assert!(stamps(list, "10.0.0.1".parse().unwrap()).is_empty());
    }

    #[test]
    fn jiffies_of_a_second() {
        assert_eq!(rate(4_310_893_388, 64_004.61), Some(250));
        assert_eq!(rate(4_294_967_296 + 63_704_000, 64_004.0), Some(1000));
        assert_eq!(rate(5, 64_004.0), None);
        // Five minutes after the start all rates say the same.
        assert_eq!(rate(4_294_967_296, 300.0), None);
    }

    #[test]
    fn the_running_kernel_is_understood() {
        match clock() {
            Ok((_, rate)) => assert!(RATES.contains(&rate)),
            Err(missing) => assert_ne!(missing.reason, Reason::TimedOut, "{missing}"),
        }
    }
}
