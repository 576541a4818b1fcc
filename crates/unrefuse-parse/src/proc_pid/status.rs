//! /proc/PID/status and /proc/PID/limits.

use crate::lines;

/// The soft limit of open files (`RLIMIT_NOFILE`) from /proc/PID/limits; `u64::MAX` for `unlimited`.
///
/// ```text
/// Limit                     Soft Limit           Hard Limit           Units
/// Max open files            20000                20000                files
/// ```
/// ```
/// let line = b"Max open files            20000                20000                files     \n";
/// assert_eq!(unrefuse_parse::proc_pid::nofile_limit(line), Some(20000));
/// ```
pub fn nofile_limit(bytes: &[u8]) -> Option<u64> {
    let (_, line) = lines::numbered(bytes).find(|(_, line)| line.starts_with(b"Max open files "))?;
    match lines::words(line).nth(3)? {
        b"unlimited" => Some(u64::MAX),
        number => lines::decimal(number),
    }
}

/// Names by number, include/uapi/linux/capability.h of Linux 6.18, without `CAP_`.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The effective capabilities from /proc/PID/status, by name without `CAP_`, in the kernel's order.
///
/// A capability newer than this list goes by its number. `None` where there is no `CapEff` line.
///
/// ```text
/// CapInh: 0000000000000000
/// CapPrm: 000001fffeffffff
/// CapEff: 000001fffeffffff
/// ```
/// ```
/// let held = unrefuse_parse::proc_pid::capabilities(b"CapEff:\t000001fffeffffff\n").unwrap();
/// assert!(held.contains(&"NET_ADMIN".to_owned()) && !held.contains(&"SYS_RESOURCE".to_owned()));
/// ```
pub fn capabilities(status: &[u8]) -> Option<Vec<String>> {
    let value = std::str::from_utf8(field(status, b"CapEff:")?.next()?).ok()?;
    if !value.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let bits = u64::from_str_radix(value, 16).ok()?;
    let name = |bit: usize| CAPABILITIES.get(bit).map_or_else(|| bit.to_string(), |name| (*name).to_owned());
    Some((0..64).filter(|bit| bits >> bit & 1 == 1).map(name).collect())
}

/// The effective user id from /proc/PID/status: the second number of `Uid:` (real, effective, saved, file system).
///
/// ```
/// assert_eq!(unrefuse_parse::proc_pid::uid(b"Name:\tsudo\nUid:\t1000\t0\t0\t0\n"), Some(0));
/// ```
pub fn uid(status: &[u8]) -> Option<u32> {
    lines::decimal(field(status, b"Uid:")?.nth(1)?)
}

/// The words of one field. The kernel escapes line feeds in `Name:`, so a process cannot fake a field by its name
/// (fs/proc/array.c, `proc_task_name`).
fn field<'a>(status: &'a [u8], name: &[u8]) -> Option<impl Iterator<Item = &'a [u8]>> {
    lines::numbered(status).find_map(|(_, line)| line.strip_prefix(name)).map(lines::words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        assert_eq!(nofile_limit(b"Max open files            unlimited  unlimited  files\n"), Some(u64::MAX));
        assert_eq!(nofile_limit(b"Max open files            "), None);
        assert_eq!(nofile_limit(b"Max open files  x y files"), None);
        assert_eq!(nofile_limit(b""), None);
    }

    #[test]
    fn capability_sets() {
        assert_eq!(capabilities(b"CapEff:\t0000000000000000\n").unwrap(), [""; 0]);
        assert_eq!(
            capabilities(b"x\nCapEff:\t0000000000003400").unwrap(),
            ["NET_BIND_SERVICE", "NET_ADMIN", "NET_RAW"]
        );
        assert_eq!(capabilities(b"CapEff:\t8000010000000000").unwrap(), ["CHECKPOINT_RESTORE", "63"]);
        for bad in
            [&b""[..], b"CapPrm:\t0", b"CapEff:\t", b"CapEff:\t+1", b"CapEff:\t10000000000000000", b"CapEff:\t\xff"]
        {
            assert_eq!(capabilities(bad), None);
        }
    }

    #[test]
    fn user_ids() {
        assert_eq!(uid(b"Name:\tx\\nUid:\\t7\nUid:\t1000\t1001\t0\t0\n"), Some(1001));
        assert_eq!(uid(b"Uid:\t1000"), None);
        assert_eq!(uid(b"Uid:\t1000\t4294967296"), None);
    }
}
