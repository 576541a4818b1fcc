//! Statistics of connection tracking: /proc/net/stat/nf_conntrack.
//!
//! A line of names, then one line of hexadecimal numbers for each processor (`ct_cpu_seq_show`,
//! net/netfilter/nf_conntrack_standalone.c):
//! ```text
//! entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart
//! 00000012  00000000 00000000 00000000 00000003 00000000 00000000 00000000 00000000 00000000 0000000a 00000001 00000000  00000000 00000000 00000000 00000000
//! 00000012  00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000002 00000000 00000000  00000000 00000000 00000000 00000000
//! ```

use crate::lines;

/// The sum over all processors of the column `name`; `None` where there is no such column or no processor.
///
/// ```
/// let sample = b"entries  drop early_drop\n00000012  0000000a 00000001\n00000012  00000002 00000000\n";
/// assert_eq!(unrefuse_parse::conntrack::sum(sample, "drop"), Some(12));
/// assert_eq!(unrefuse_parse::conntrack::sum(sample, "early_drop"), Some(1));
/// assert_eq!(unrefuse_parse::conntrack::sum(sample, "search"), None);
/// ```
pub fn sum(bytes: &[u8], name: &str) -> Option<u64> {
    let mut rows = lines::numbered(bytes).map(|(_, line)| line);
    let column = lines::words(rows.next()?).position(|word| word == name.as_bytes())?;
    let number = |line| {
        let word = std::str::from_utf8(lines::words(line).nth(column)?).ok()?;
        let digits = word.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(word, 16).ok()).flatten()
    };
    rows.map(number).try_fold(None, |sum: Option<u64>, row| Some(Some(sum.unwrap_or(0).saturating_add(row?))))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_broken_row_gives_no_number() {
        assert_eq!(sum(b"entries drop\n1\n", "drop"), None);
        assert_eq!(sum(b"entries drop\n1 +2\n", "drop"), None);
        assert_eq!(sum(b"entries drop\n1 x\n", "drop"), None);
        assert_eq!(sum(b"entries drop\n", "drop"), None);
        assert_eq!(sum(b"", "drop"), None);
        assert_eq!(sum(b"drop\nffffffffffffffff\n1\n", "drop"), Some(u64::MAX));
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = sum(&bytes, "drop");
            let table = [b"drop\n".as_slice(), &bytes].concat();
            let _ = sum(&table, "drop");
        }
    }
}
