//! u32 (xt_u32.h): eleven tests of eleven steps and eleven ranges at most.

use super::info::Info;
use super::options::Options;
use std::fmt::Write as _;

/// `struct xt_u32_test`: 11 locations of 8 bytes, 11 ranges of 8 bytes, two counts.
const TEST: usize = 180;

pub(super) fn options(info: Info<'_>) -> Option<Options> {
    let (tests, turned) = (usize::from(info.u8(TEST * 11)?), info.u8(TEST * 11 + 1)? != 0);
    let mut text = String::new();
    for test in 0..tests.min(11) {
        let at = test * TEST;
        let (steps, ranges) = (usize::from(info.u8(at + 176)?), usize::from(info.u8(at + 177)?));
        if steps > 11 || ranges > 11 || steps == 0 || ranges == 0 {
            return None;
        }
        if test > 0 {
            text += "&&";
        }
        let _ = write!(text, "{:#x}", info.u32(at)?);
        for step in 1..steps {
            let sign = match info.u8(at + step * 8 + 4)? {
                0 => "&",
                1 => "<<",
                2 => ">>",
                3 => "@",
                _ => return None,
            };
            let _ = write!(text, "{sign}{:#x}", info.u32(at + step * 8)?);
        }
        for range in 0..ranges {
            let from = info.u32(at + 88 + range * 8)?;
            let to = info.u32(at + 88 + range * 8 + 4)?;
            text.push(if range == 0 { '=' } else { ',' });
            let _ = if from == to { write!(text, "{from:#x}") } else { write!(text, "{from:#x}:{to:#x}") };
        }
    }
    let mut options = Options::new();
    options.one("u32", turned, text);
    Some(options)
}
