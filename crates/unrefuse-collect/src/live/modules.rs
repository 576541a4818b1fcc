//! Whether asking the kernel would make it load a module.
//!
//! A request to sock_diag makes the kernel load the module that answers it (`sock_load_diag_module`,
//! net/core/sock_diag.c). unrefuse changes nothing, so it asks only where the answering module is there already.

use super::files;
use std::sync::{Mutex, PoisonError};
use unrefuse_facts::{Missing, Reason};

/// Modules that were there: they are asked for once per namespace, and hardly ever unloaded.
static PRESENT: Mutex<Vec<&str>> = Mutex::new(Vec::new());

/// `Ok` when `module` (`tcp_diag`) is loaded or built in, so that a request to it loads nothing.
pub(super) fn present(module: &'static str) -> Result<(), Missing> {
    let known = || PRESENT.lock().unwrap_or_else(PoisonError::into_inner);
    if known().contains(&module) {
        return Ok(());
    }
    look_for(module)?;
    known().push(module);
    Ok(())
}

fn look_for(module: &str) -> Result<(), Missing> {
    // Without /proc/modules the kernel has no modules at all (CONFIG_MODULES), and whatever is there is built in.
    let loaded = match files::read("/proc/modules") {
        Ok(loaded) => loaded,
        Err(missing) if missing.reason == Reason::Absent => return Ok(()),
        Err(missing) => return Err(missing),
    };
    if is_loaded(&loaded, module) {
        return Ok(());
    }
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let built_in = files::read(&format!("/lib/modules/{release}/modules.builtin")).unwrap_or_default();
    if is_built_in(&built_in, module) {
        return Ok(());
    }
    let detail = format!("the kernel module {module} is not loaded, and unrefuse loads none");
    Err(Missing::new(Reason::Absent, detail).remedy(format!("modprobe {module}")))
}

/// /proc/modules: a line per module, its name first.
fn is_loaded(list: &[u8], module: &str) -> bool {
    list.split(|&byte| byte == b'\n').any(|line| line.split(|&byte| byte == b' ').next() == Some(module.as_bytes()))
}

/// modules.builtin: a path per line, `kernel/net/ipv4/tcp_diag.ko` (depmod(8)).
fn is_built_in(list: &[u8], module: &str) -> bool {
    let name = format!("/{module}.ko");
    list.split(|&byte| byte == b'\n').any(|line| line.ends_with(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_words() {
        let list = b"tcp_diag 16384 0 - Live 0x0\ninet_diag 28672 1 tcp_diag, Live 0x0\n";
        assert!(is_loaded(list, "tcp_diag"));
        assert!(!is_loaded(list, "udp_diag"));
        assert!(!is_loaded(list, "tcp"));
        assert!(is_built_in(b"kernel/net/ipv4/tcp_diag.ko\n", "tcp_diag"));
        assert!(!is_built_in(b"kernel/net/mptcp/mptcp_diag.ko\n", "tcp_diag"));
    }
}
