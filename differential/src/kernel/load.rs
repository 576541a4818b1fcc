//! Puts a ruleset in force in place of the one before.

use super::Host;
use super::setup::{run, sysctl};
use crate::ruleset::{Backend, Script};
use anyhow::Result;
use std::fmt::Write as _;

const BUILTIN: &[(&str, &[&str])] = &[
    ("filter", &["INPUT", "FORWARD", "OUTPUT"]),
    ("nat", &["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"]),
    ("mangle", &["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]),
    ("raw", &["PREROUTING", "OUTPUT"]),
    ("security", &["INPUT", "FORWARD", "OUTPUT"]),
];

/// The restore tool of a backend and family.
pub(crate) const fn restore_tool(backend: Backend, v6: bool) -> &'static str {
    match (backend, v6) {
        (Backend::Legacy, false) => "iptables-legacy-restore",
        (Backend::Legacy, true) => "ip6tables-legacy-restore",
        (Backend::IptablesNft, false) => "iptables-nft-restore",
        (Backend::IptablesNft, true) => "ip6tables-nft-restore",
        (Backend::Nft, _) => "nft",
    }
}

pub(crate) fn load(host: &mut Host, rules: &Script) -> Result<Result<(), String>> {
    for (name, value) in &rules.sysctls {
        sysctl(name, value)?;
    }
    host.proxied = rules.ruleset.to_lowercase().contains("tproxy");
    clear_legacy(host)?;
    if host.nft_used && rules.backend != Backend::Nft {
        if let Err(e) = run("nft", &["flush", "ruleset"], "")? {
            return Ok(Err(e));
        }
        host.nft_used = false;
    }
    remove_sets(host)?;
    if !rules.ipsets.is_empty() {
        host.old_sets.extend(rules.ipset_names());
        if let Err(e) = run("ipset", &["-exist", "restore"], &rules.ipsets)? {
            return Ok(Err(e));
        }
    }
    let result = match rules.backend {
        Backend::Nft => {
            host.nft_used = true;
            run("nft", &["-f", "-"], &format!("flush ruleset\n{}", rules.ruleset))?
        }
        Backend::IptablesNft => {
            host.nft_used = true;
            run(restore_tool(rules.backend, rules.v6), &[], &rules.ruleset)?
        }
        Backend::Legacy => {
            let tables = &mut host.legacy[usize::from(rules.v6)];
            tables.extend(rules.tables());
            run(restore_tool(rules.backend, rules.v6), &[], &rules.ruleset)?
        }
    };
    host.netlink.forget_connections()?;
    host.services.listen_anew()?;
    Ok(result)
}

/// Empties the legacy tables that exist.
fn clear_legacy(host: &Host) -> Result<()> {
    for (v6, tables) in [false, true].into_iter().zip(&host.legacy) {
        if tables.is_empty() {
            continue;
        }
        let mut text = String::new();
        for (name, chains) in BUILTIN.iter().filter(|(name, _)| tables.contains(*name)) {
            let _ = writeln!(text, "*{name}");
            for chain in *chains {
                let _ = writeln!(text, ":{chain} ACCEPT [0:0]");
            }
            text.push_str("COMMIT\n");
        }
        if let Err(e) = run(restore_tool(Backend::Legacy, v6), &[], &text)? {
            anyhow::bail!("legacy tables cannot be emptied: {e}");
        }
    }
    Ok(())
}

/// Destroys sets of earlier rulesets. The kernel lets go of nf_tables rules, and so of their sets, some time later: what
/// is in use still is tried again the next time.
fn remove_sets(host: &mut Host) -> Result<()> {
    if host.old_sets.is_empty() || run("ipset", &["flush"], "")?.is_err() {
        return Ok(());
    }
    let mut left = std::mem::take(&mut host.old_sets);
    if run("ipset", &["destroy"], "")?.is_ok() {
        left.clear();
    }
    left.retain(|name| run("ipset", &["destroy", name], "").is_ok_and(|r| r.is_err_and(|e| e.contains("in use"))));
    host.old_sets = left;
    Ok(())
}
