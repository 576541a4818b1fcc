//! Verdicts (`NFTA_VERDICT_*`).

use super::attr::Table;
use crate::model::Verdict;

/// `NFTA_DATA_VERDICT` in nested data.
pub(crate) fn of_data(data: &[u8]) -> Option<Verdict> {
    let outer: Table<'_, 3> = Table::new(data);
    let t: Table<'_, 4> = Table::new(outer.get(2)?);
    let code = i32::from_be_bytes(t.get(1)?.get(..4)?.try_into().ok()?);
    let chain = || t.name(2);
    Some(match code {
        -1 => Verdict::Continue,
        -3 => Verdict::Jump(chain()?),
        -4 => Verdict::Goto(chain()?),
        -5 => Verdict::Return,
        // include/uapi/linux/netfilter.h; the queue's number stands in the upper half.
        code if code & 0xff == 0 => Verdict::Drop,
        code if code & 0xff == 1 => Verdict::Accept,
        code if code & 0xff == 3 => Verdict::Queue,
        _ => return None,
    })
}
