//! Whether a part of netfilter is there, found out without touching it.
//!
//! A request to a netfilter subsystem makes the kernel load the module that answers (`nfnetlink_rcv_msg`,
//! net/netfilter/nfnetlink.c), and opening the socket loads nfnetlink. unrefuse loads nothing, so it looks first.

use crate::live::files;
use unrefuse_facts::{Missing, Reason};

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Loaded or built in; or the kernel loads no modules at all, and asking is harmless.
    There,
    /// Not there: it filters nothing.
    Not,
    /// It could not be found out.
    Unclear(Missing),
}

/// Looks for a module; `symbol` is a function that only it has, for kernels whose list of built-in modules is not there.
pub(crate) fn look(module: &str, symbol: &str) -> Presence {
    if rustix::fs::stat(format!("/sys/module/{module}")).is_ok() {
        return Presence::There;
    }
    match files::read("/proc/modules") {
        Ok(loaded) if loaded.split(|&b| b == b'\n').any(|line| is_first_word(line, module)) => return Presence::There,
        Ok(_) => {}
        // Without /proc/modules the kernel has no loadable modules (CONFIG_MODULES).
        Err(missing) if missing.reason == Reason::Absent && has_proc() => return Presence::There,
        Err(missing) => return Presence::Unclear(missing),
    }
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let ending = format!("/{module}.ko");
    match files::read(&format!("/lib/modules/{release}/modules.builtin")) {
        Ok(list) if list.split(|&b| b == b'\n').any(|line| line.ends_with(ending.as_bytes())) => Presence::There,
        Ok(_) => Presence::Not,
        // In a container the kernel's files are not there; its symbols are.
        Err(_) => has_symbol(symbol),
    }
}

fn has_proc() -> bool {
    rustix::fs::stat("/proc/version").is_ok()
}

fn is_first_word(line: &[u8], word: &str) -> bool {
    line.split(|&b| b == b' ').next() == Some(word.as_bytes())
}

/// /proc/kallsyms: address, type, name, and the module in brackets. Everybody may read the names.
fn has_symbol(symbol: &str) -> Presence {
    let mut found = false;
    let wanted = format!(" {symbol}");
    let read = files::read_lines("/proc/kallsyms", |lines| {
        found |= lines.split(|&b| b == b'\n').any(|line| {
            let name = line.split(|&b| b == b'\t').next().unwrap_or_default();
            name.ends_with(wanted.as_bytes())
        });
    });
    match read {
        _ if found => Presence::There,
        Ok(()) => Presence::Not,
        Err(missing) => Presence::Unclear(missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_kernel_has_is_not_there() {
        // Without loadable modules everything that answers is built in.
        let fixed = !std::path::Path::new("/proc/modules").exists();
        let found = look("unrefuse_no_such_module", "unrefuse_no_such_symbol");
        assert!(if fixed { found == Presence::There } else { found != Presence::There }, "{found:?}");
    }

    #[test]
    fn symbols_are_whole_names() {
        if files::read_lines("/proc/kallsyms", |_| {}).is_err() {
            eprintln!("SKIPPED: /proc/kallsyms cannot be read");
            return;
        }
        assert_eq!(has_symbol("unrefuse_no_such_symbol"), Presence::Not);
        assert_eq!(has_symbol("tcp_v4_rcv"), Presence::There);
        assert_eq!(has_symbol("cp_v4_rcv"), Presence::Not);
    }
}
