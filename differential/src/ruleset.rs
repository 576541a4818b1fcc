//! A ruleset in parts that can be left out one by one, and its text for the tools that load it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What loads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Backend {
    /// `iptables-legacy-restore`
    Legacy,
    /// `iptables-nft-restore`
    IptablesNft,
    /// `nft -f`
    Nft,
}

impl Backend {
    pub(crate) const ALL: [Self; 3] = [Self::Legacy, Self::IptablesNft, Self::Nft];
}

/// A ruleset and the settings it is loaded under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) backend: Backend,
    /// IPv6 packets are sent; an iptables ruleset is ip6tables'.
    pub(crate) v6: bool,
    /// /proc/sys/net/… by path below `net`, with the value.
    pub(crate) sysctls: BTreeMap<String, String>,
    /// ipsets.
    pub(crate) ipsets: Vec<SetDef>,
    /// Tables.
    pub(crate) tables: Vec<Table>,
}

/// A ruleset as the tools read it, and the settings it is loaded under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    pub(crate) backend: Backend,
    pub(crate) v6: bool,
    /// /proc/sys/net/… by path below `net`, with the value.
    #[serde(default)]
    pub(crate) sysctls: BTreeMap<String, String>,
    /// What `ipset restore` reads.
    #[serde(default)]
    pub(crate) ipsets: String,
    /// What the tool of this backend reads.
    #[serde(default)]
    pub(crate) ruleset: String,
}

impl Script {
    /// Names of the ipsets that it makes.
    pub(crate) fn ipset_names(&self) -> Vec<String> {
        let lines = self.ipsets.lines().filter_map(|l| l.strip_prefix("create "));
        lines.filter_map(|l| l.split(' ').next()).map(str::to_owned).collect()
    }

    /// Names of the iptables tables in it.
    pub(crate) fn tables(&self) -> Vec<String> {
        self.ruleset.lines().filter_map(|l| l.strip_prefix('*')).map(str::to_owned).collect()
    }
}

/// A set. ipset: `head` creates it, elements are what `add NAME` takes. nft: `head` is all before the elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SetDef {
    pub(crate) name: String,
    pub(crate) head: String,
    pub(crate) elements: Vec<String>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    /// nft's family; empty for iptables.
    pub(crate) family: String,
    pub(crate) name: String,
    pub(crate) sets: Vec<SetDef>,
    pub(crate) chains: Vec<Chain>,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) name: String,
    /// nft: `type … policy …;`; iptables: the policy. Empty for a chain that is only jumped to.
    pub(crate) base: String,
    pub(crate) rules: Vec<Rule>,
}

/// A rule: matches that can be left out, and what it does (which may be nothing).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) matches: Vec<String>,
    pub(crate) action: String,
}

impl Rules {
    fn text(&self) -> String {
        let mut out = String::new();
        for table in &self.tables {
            if self.backend == Backend::Nft {
                table.nft(&mut out);
            } else {
                table.iptables(&mut out);
            }
        }
        out
    }

    /// All of it as text.
    pub(crate) fn script(&self) -> Script {
        Script {
            backend: self.backend,
            v6: self.v6,
            sysctls: self.sysctls.clone(),
            ipsets: self.ipset_text(),
            ruleset: self.text(),
        }
    }

    /// What `ipset restore` reads.
    fn ipset_text(&self) -> String {
        let mut out = String::new();
        for set in &self.ipsets {
            let _ = writeln!(out, "create {} {}", set.name, set.head);
        }
        for set in &self.ipsets {
            for element in &set.elements {
                let _ = writeln!(out, "add {} {element}", set.name);
            }
        }
        out
    }

    /// Number of rules.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.tables.iter().flat_map(|t| &t.chains).map(|c| c.rules.len()).sum()
    }
}

impl Table {
    fn iptables(&self, out: &mut String) {
        let _ = writeln!(out, "*{}", self.name);
        for chain in &self.chains {
            let policy = if chain.base.is_empty() { "-" } else { &chain.base };
            let _ = writeln!(out, ":{} {policy} [0:0]", chain.name);
        }
        for chain in &self.chains {
            for rule in &chain.rules {
                let _ = write!(out, "-A {}", chain.name);
                for part in rule.matches.iter().chain(Some(&rule.action)).filter(|p| !p.is_empty()) {
                    let _ = write!(out, " {part}");
                }
                out.push('\n');
            }
        }
        out.push_str("COMMIT\n");
    }

    fn nft(&self, out: &mut String) {
        let _ = writeln!(out, "table {} {} {{", self.family, self.name);
        for set in &self.sets {
            let _ = writeln!(out, "\t{}", set.head);
            if !set.elements.is_empty() {
                let _ = writeln!(out, "\t\telements = {{ {} }}", set.elements.join(", "));
            }
            out.push_str("\t}\n");
        }
        for chain in &self.chains {
            let _ = writeln!(out, "\tchain {} {{", chain.name);
            if !chain.base.is_empty() {
                let _ = writeln!(out, "\t\t{}", chain.base);
            }
            for rule in &chain.rules {
                out.push_str("\t\t");
                for part in &rule.matches {
                    let _ = write!(out, "{part} ");
                }
                // Every rule counts what its matches let through, before it acts.
                let _ = writeln!(out, "counter {}", rule.action);
            }
            out.push_str("\t}\n");
        }
        out.push_str("}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_the_tools_read() {
        let rule = Rule { matches: vec!["-p tcp".into(), "--dport 22".into()], action: "-j DROP".into() };
        let chain = Chain { name: "INPUT".into(), base: "ACCEPT".into(), rules: vec![rule] };
        let table = Table { family: String::new(), name: "filter".into(), sets: Vec::new(), chains: vec![chain] };
        let mut rules = Rules {
            backend: Backend::Legacy,
            v6: false,
            sysctls: BTreeMap::new(),
            ipsets: Vec::new(),
            tables: vec![table],
        };
        assert_eq!(rules.text(), "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp --dport 22 -j DROP\nCOMMIT\n");
        assert_eq!(rules.len(), 1);
        rules.ipsets.push(SetDef { name: "s".into(), head: "hash:ip".into(), elements: vec!["192.0.2.7".into()] });
        assert_eq!(rules.ipset_text(), "create s hash:ip\nadd s 192.0.2.7\n");
    }
}
