//! Fill of the connection tracking table.

use crate::live::files;
use unrefuse_facts::{Conntrack, Counter, Missing, Observed, Reason, Source, text::from_bytes};
use unrefuse_parse::conntrack::sum;

const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
const MAX: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
/// /proc/net is that of the thread group's leader, /proc/thread-self/net that of the thread (proc(5)).
const STATISTICS: &str = "/proc/thread-self/net/stat/nf_conntrack";

/// The connection tracking table of this thread's network namespace; missing as absent where nf_conntrack is not loaded.
/// The count is that of the namespace, the maximum that of the machine (`__nf_conntrack_alloc`,
/// net/netfilter/nf_conntrack_core.c).
///
/// `before` are the drops that [`conntrack_drops`] saw before the attempts; `None` where nobody looked: then the counter
/// has not moved.
pub fn conntrack(before: Option<u64>) -> Observed<Conntrack> {
    match (number(COUNT), number(MAX)) {
        (Ok(count), Ok(max)) => {
            let dropped = conntrack_drops().map(|after| Counter { before: before.unwrap_or(after), after });
            Observed::known(Conntrack { count, max, dropped }, Source::running(format!("{COUNT}, {MAX}")))
        }
        (Err(missing), _) | (_, Err(missing)) => Observed::Missing(missing),
    }
}

/// Packets dropped since the namespace was made because the table had no room: the column `drop`, of all processors. An
/// `early_drop` is no loss of the new packet: an older connection made room for it.
pub fn conntrack_drops() -> Observed<u64> {
    match files::read(STATISTICS).map(|bytes| sum(&bytes, "drop")) {
        Ok(Some(drops)) => Observed::known(drops, Source::running(STATISTICS)),
        Ok(None) => Observed::Missing(Missing::new(Reason::Failed, format!("{STATISTICS} has no column of drops"))),
        Err(missing) => Observed::Missing(missing),
    }
}

fn number(path: &str) -> Result<u64, Missing> {
    let bytes = files::read(path)?;
    let text = from_bytes(bytes.trim_ascii());
    text.parse().map_err(|_| Missing::new(Reason::Failed, format!("{path} holds no number: {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_kernel_says_is_whole() {
        let table = conntrack(Some(0));
        match table.get() {
            Ok(table) => {
                assert!(table.max > 0, "{table:?}");
                let drops = table.dropped.get().expect("the statistics come with the table");
                assert_eq!((drops.before, conntrack(None).value().unwrap().dropped.value().unwrap().moved()), (0, 0));
            }
            Err(missing) => assert_eq!(missing.reason, Reason::Absent, "{missing}"),
        }
    }
}
