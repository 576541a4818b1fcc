//! passwd(5): names and homes of users.
//!
//! From a real one:
//! ```text
//! root:x:0:0:root:/root:/bin/bash
//! daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
//! ```

use crate::lines;
use std::collections::BTreeMap;
use unrefuse_facts::text;

/// A user of a passwd file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Name.
    pub name: String,
    /// Home directory; empty where the line ends before it.
    pub home: String,
}

/// Users by user id, from a passwd file.
///
/// Of several names for one id the first wins, as getpwuid(3) has it. Lines without a name or a number are passed over
/// (comments, and the `+` lines of NIS with them).
pub fn users(bytes: &[u8]) -> BTreeMap<u32, User> {
    let mut users = BTreeMap::new();
    for (_, line) in lines::numbered(bytes) {
        let mut fields = lines::c_string(line).splitn(7, |&b| b == b':');
        let (Some(name), Some(_), Some(uid)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let Some(uid) = lines::decimal(uid) else { continue };
        // Group and comment stand before the home.
        let home = fields.nth(2).map(text::from_bytes).unwrap_or_default();
        if !name.is_empty() && !matches!(name[0], b'#' | b'+' | b'-') {
            users.entry(uid).or_insert_with(|| User { name: text::from_bytes(name), home });
        }
    }
    users
}

/// User names by user id, from a passwd file, as [`users`].
///
/// ```
/// let names = unrefuse_parse::passwd::user_names(b"root:x:0:0:root:/root:/bin/bash\n");
/// assert_eq!(names[&0], "root");
/// ```
pub fn user_names(bytes: &[u8]) -> BTreeMap<u32, String> {
    users(bytes).into_iter().map(|(uid, user)| (uid, user.name)).collect()
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
    fn homes() {
        let users = users(b"alice:x:1000:1000:Alice,,,:/srv/alice:/bin/sh\nbob:x:1001\n");
        assert_eq!(users[&1000], User { name: "alice".into(), home: "/srv/alice".into() });
        assert_eq!(users[&1001].home, "");
    }

    #[test]
    fn what_is_no_user_is_passed_over() {
        assert!(user_names(b"\n#a:x:1:\n+::::::\nx\ny:x\nz:x:-1:\nw:x:99999999999:\n:x:5:\nq:x:\0:5\n").is_empty());
        assert_eq!(user_names(b"b\xffd:x:7")[&7], "b\\xffd");
    }
}
