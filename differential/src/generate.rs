//! Random rulesets and packets.

mod ipset;
mod iptables;
mod nft;

use crate::probe::Probe;
use crate::rng::Rng;
use crate::ruleset::{Backend, Rules};
use std::collections::BTreeMap;

/// A ruleset and the packets that are sent to it.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    pub(crate) rules: Rules,
    pub(crate) probes: Vec<Probe>,
}

/// The round of this number in the run of this seed.
pub(crate) fn round(seed: u64, number: u64, backend: Backend, v6: bool, probes: usize) -> Round {
    let mut rng = Rng::new(seed, number);
    let mut rules = Rules { backend, v6, sysctls: sysctls(&mut rng, v6), ipsets: Vec::new(), tables: Vec::new() };
    match backend {
        Backend::Nft => nft::tables(&mut rng, &mut rules),
        Backend::Legacy | Backend::IptablesNft => iptables::tables(&mut rng, number, &mut rules),
    }
    let probes = (0..probes).map(|n| Probe::random(&mut rng, v6, n)).collect();
    Round { rules, probes }
}

fn sysctls(rng: &mut Rng, v6: bool) -> BTreeMap<String, String> {
    let forward = if rng.percent(90) { "1" } else { "0" };
    let mut all = BTreeMap::new();
    if v6 {
        all.insert("ipv6/conf/all/forwarding".into(), forward.into());
    } else {
        all.insert("ipv4/ip_forward".into(), forward.into());
        all.insert("ipv4/conf/all/rp_filter".into(), rng.choose(&["0", "0", "0", "1", "2"]).into());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats() {
        for backend in Backend::ALL {
            for v6 in [false, true] {
                let (a, b) = (round(7, 3, backend, v6, 20), round(7, 3, backend, v6, 20));
                assert_eq!(a.rules, b.rules);
                assert_eq!(a.probes, b.probes);
                assert_ne!(a.rules, round(8, 3, backend, v6, 20).rules);
            }
        }
    }

    #[test]
    fn rulesets_hold_rules() {
        let rules: usize = (0..50).map(|n| round(1, n, Backend::Legacy, false, 0).rules.len()).sum();
        assert!(rules > 300, "{rules}");
    }

    /// Needs root: says so where it is left out.
    #[test]
    fn the_tools_take_every_ruleset() {
        if !crate::kernel::sys::is_root() {
            eprintln!("SKIPPED the_tools_take_every_ruleset: network namespaces need root");
            return;
        }
        // In a thread of its own: it leaves its network namespace.
        let worker = std::thread::spawn(|| {
            let mut hosts = crate::kernel::Hosts::default();
            for number in 0..60 {
                let backend = Backend::ALL[number as usize % 3];
                let rules = round(11, number, backend, number % 2 == 1, 0).rules;
                let host = hosts.of(backend).unwrap();
                assert_eq!(host.load(&rules.script()).unwrap(), Ok(()), "{}", rules.script().ruleset);
            }
        });
        worker.join().unwrap();
    }
}
