//! passwd(5): names of users.
//!
//! From a real one:
//! ```text
//! root:x:0:0:root:/root:/bin/bash
//! daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
//! ```

use crate::lines;
use std::collections::BTreeMap;
use unrefuse_facts::text;

/// User names by user id, from a passwd file.
///
/// Of several names for one id the first wins, as getpwuid(3) has it. Lines without a name or a number are passed over
/// (comments, and the `+` lines of NIS with them).
///
/// ```
/// let names = unrefuse_parse::passwd::user_names(b"root:x:0:0:root:/root:/bin/bash\n");
/// assert_eq!(names[&0], "root");
/// ```
pub fn user_names(bytes: &[u8]) -> BTreeMap<u32, String> {
    let mut names = BTreeMap::new();
    for (_, line) in lines::numbered(bytes) {
        let mut fields = lines::c_string(line).splitn(4, |&b| b == b':');
        let (Some(name), Some(_), Some(uid)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let Some(uid) = lines::decimal(uid) else { continue };
        if !name.is_empty() && !matches!(name[0], b'#' | b'+' | b'-') {
            names.entry(uid).or_insert_with(|| text::from_bytes(name));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_an_id_wins() {
        let names = user_names(b"root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\npostgres:x:113:120:,,,:/v:/b\n");
        assert_eq!(names.len(), 2);
        assert_eq!(names[&0], "root");
        assert_eq!(names[&113], "postgres");
    }

    #[test]
    fn what_is_no_user_is_passed_over() {
        assert!(user_names(b"\n#a:x:1:\n+::::::\nx\ny:x\nz:x:-1:\nw:x:99999999999:\n:x:5:\nq:x:\0:5\n").is_empty());
        assert_eq!(user_names(b"b\xffd:x:7")[&7], "b\\xffd");
    }
}
