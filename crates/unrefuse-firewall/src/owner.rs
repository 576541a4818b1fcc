//! Who made a rule, as the names of tables, chains and sets and the comments show it.
//!
//! Every program that filters gives its chains names of its own. The names here are those of the programs' sources; where
//! nothing shows a program, the rule counts as made by hand.

use crate::machine::Machine;
use crate::model::{Backend, Chain, Cond, Rule, Statement, Table, Verdict};

/// Who made a rule or a policy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// ufw(8).
    Ufw,
    /// firewalld(1).
    Firewalld {
        /// Zone, from the chain's name.
        zone: Option<String>,
    },
    /// Docker.
    Docker,
    /// kube-proxy.
    KubeProxy {
        /// The Service, `namespace/name:port`, where a comment names it.
        service: Option<String>,
    },
    /// fail2ban.
    Fail2ban {
        /// Jail, from the chain's or set's name.
        jail: Option<String>,
    },
    /// Another program, by name.
    Program(&'static str),
    /// Nothing shows a program.
    Hand,
}

/// Who made `rule` of `chain`, or, without a rule, who set the policy of that base chain.
pub fn owner(table: &Table, chain: &str, rule: Option<&Rule>) -> Owner {
    of(table, chain, table.chains.get(chain), rule)
}

fn of(table: &Table, chain: &str, itself: Option<&Chain>, rule: Option<&Rule>) -> Owner {
    // Users' own rules: Docker and firewalld made the chain, not what is in it.
    let users_own = chain == "DOCKER-USER" || chain.ends_with("_direct");
    let found = by_table(&table.name)
        .or_else(|| (!users_own).then(|| by_chain(chain)).flatten())
        .or_else(|| rule.and_then(|rule| by_rule(rule, users_own)))
        .or_else(|| itself.filter(|_| !users_own).and_then(|itself| by_surroundings(table, chain, itself, rule)))
        .unwrap_or(Owner::Hand);
    detailed(found, chain, rule)
}

/// The same where the chain's rules may be read on demand only ([`Chain::unread`]): who runs a chain shows in its rules.
pub fn owner_read(table: &Table, machine: &dyn Machine, name: &str, rule: Option<&Rule>) -> Owner {
    let Some(chain) = table.chains.get(name).filter(|chain| chain.unread && chain.base.is_some()) else {
        return owner(table, name, rule);
    };
    let rules = machine.chain(table.family, &table.name, name).unwrap_or_default();
    of(table, name, Some(&Chain { rules, unread: false, ..chain.clone() }), rule)
}

/// Tables that belong to one program (nf_tables; iptables' tables have fixed names).
fn by_table(name: &str) -> Option<Owner> {
    const EXACT: &[(&str, &str)] = &[
        ("libvirt_network", "libvirt"),
        ("netavark", "podman"),
        ("sshguard", "sshguard"),
        ("crowdsec", "crowdsec"),
        ("crowdsec6", "crowdsec"),
        ("incus", "incus"),
        ("lxd", "lxd"),
        ("lxc", "lxc"),
        ("inet_lxc", "lxc"),
        ("flannel-ipv4", "flannel"),
        ("flannel-ipv6", "flannel"),
        ("fw4", "OpenWrt"),
        ("nixos-fw", "NixOS"),
        ("io.systemd.nat", "systemd"),
        ("mullvad", "mullvad"),
    ];
    const PREFIX: &[(&str, &str)] = &[
        ("cni_", "CNI"),
        ("calico", "calico"),
        ("cali-", "calico"),
        ("wg-quick-", "wg-quick"),
        ("vyos_", "VyOS"),
        ("nm-shared-", "NetworkManager"),
    ];
    match name {
        // The second one is there in panic mode only (firewalld's core/nftables.py, `set_policy`).
        "firewalld" | "firewalld_policy_drop" => return Some(Owner::Firewalld { zone: None }),
        "kube-proxy" => return Some(Owner::KubeProxy { service: None }),
        "docker-bridges" => return Some(Owner::Docker),
        name if name.starts_with("f2b-") => return Some(Owner::Fail2ban { jail: None }),
        _ => {}
    }
    program(name, EXACT, PREFIX)
}

/// Chains that belong to one program.
fn by_chain(name: &str) -> Option<Owner> {
    const EXACT: &[(&str, &str)] = &[
        ("sshguard", "sshguard"),
        ("LOCALINPUT", "csf"),
        ("LOCALOUTPUT", "csf"),
        ("DENYIN", "csf"),
        ("DENYOUT", "csf"),
        ("ALLOWIN", "csf"),
        ("ALLOWOUT", "csf"),
        ("LOGDROPIN", "csf"),
        ("LOGDROPOUT", "csf"),
        ("smurfs", "shorewall"),
        ("sha-lh", "shorewall"),
        ("InstanceServices", "Oracle Cloud"),
    ];
    // Longest first where one begins like another.
    const PREFIX: &[(&str, &str)] = &[
        ("KUBE-ROUTER-", "kube-router"),
        ("KUBE-POD-FW-", "kube-router"),
        ("KUBE-NWPLCY-", "kube-router"),
        ("cali-", "calico"),
        ("CILIUM_", "cilium"),
        ("OLD_CILIUM_", "cilium"),
        ("FLANNEL-", "flannel"),
        ("WEAVE-", "weave"),
        ("ANTREA-", "antrea"),
        ("LIBVIRT_", "libvirt"),
        ("NETAVARK", "podman"),
        ("CNI-", "CNI"),
        ("ISTIO_", "istio"),
        ("PROXY_INIT_", "linkerd"),
        ("CROWDSEC_CHAIN", "crowdsec"),
        ("ts-", "tailscale"),
        ("nixos-fw", "NixOS"),
        ("MINIUPNPD", "miniupnpd"),
        ("AS0_", "OpenVPN Access Server"),
    ];
    if name.starts_with("ufw-") || name.starts_with("ufw6-") {
        return Some(Owner::Ufw);
    }
    if name == "DOCKER" || name.starts_with("DOCKER-") {
        return Some(Owner::Docker);
    }
    if name.starts_with("f2b-") || name.starts_with("fail2ban-") {
        return Some(Owner::Fail2ban { jail: None });
    }
    if is_firewalld_chain(name) {
        return Some(Owner::Firewalld { zone: None });
    }
    program(name, EXACT, PREFIX).or_else(|| name.starts_with("KUBE-").then_some(Owner::KubeProxy { service: None }))
}

/// Chains of firewalld's iptables backend (firewalld/core/ipXtables.py).
fn is_firewalld_chain(name: &str) -> bool {
    ["INPUT_ZONES", "FORWARD_IN_ZONES", "FORWARD_OUT_ZONES", "FORWARD_POLICIES", "INPUT_POLICIES", "OUTPUT_POLICIES"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || ["_log", "_deny", "_allow", "_pre", "_post"].iter().any(|suffix| name.ends_with(suffix))
            && zone(name).is_some()
        || ["IN_", "FWD_", "FWDI_", "FWDO_"].iter().any(|prefix| name.starts_with(prefix)) && zone(name).is_some()
}

/// What the rule itself shows: its comment, the sets it asks, the chain it jumps to.
fn by_rule(rule: &Rule, users_own: bool) -> Option<Owner> {
    let comment = rule.comment.as_deref().unwrap_or_default();
    const COMMENTS: &[(&str, &str)] = &[
        ("cali:", "calico"),
        ("flanneld ", "flannel"),
        ("generated for LXD", "lxd"),
        ("generated for Incus", "incus"),
        ("cilium", "cilium"),
        ("kube-router", "kube-router"),
        ("!fw3", "OpenWrt"),
        ("!fw4", "OpenWrt"),
    ];
    if let Some((_, name)) = COMMENTS.iter().find(|(prefix, _)| comment.starts_with(prefix)) {
        return Some(Owner::Program(name));
    }
    if comment.starts_with("kubernetes ") || comment.ends_with("has no endpoints") {
        return Some(Owner::KubeProxy { service: None });
    }
    for set in sets(rule) {
        if set.starts_with("f2b-") || set.starts_with("addr-set-") || set.starts_with("fail2ban-") {
            return Some(Owner::Fail2ban { jail: None });
        }
        if set.starts_with("crowdsec") {
            return Some(Owner::Program("crowdsec"));
        }
        if set.starts_with("cali40") || set.starts_with("cali60") {
            return Some(Owner::Program("calico"));
        }
    }
    if users_own {
        return None;
    }
    targets(rule).find_map(by_chain)
}

/// A base chain's policy, and the rule without a name at its end, belong to who runs the chain.
fn by_surroundings(table: &Table, name: &str, chain: &Chain, rule: Option<&Rule>) -> Option<Owner> {
    chain.base.as_ref()?;
    let runs = |owner: &Owner| jumps(chain).any(|target| by_chain(target).as_ref() == Some(owner));
    if let Some(rule) = rule {
        // firewalld's own last words in INPUT and FORWARD have no mark (iptables backend).
        let last_words = rule.text().contains("icmp-host-prohibited")
            || rule.text().contains("icmp6-adm-prohibited")
            || rule.text().contains("--ctstate INVALID");
        let firewalld = Owner::Firewalld { zone: None };
        return (table.backend != Backend::Nft && last_words && runs(&firewalld)).then_some(firewalld);
    }
    // Both set policies: ufw's are the ones that hold, it is loaded with the machine's own rules.
    if runs(&Owner::Ufw) {
        return Some(Owner::Ufw);
    }
    let firewalld = Owner::Firewalld { zone: None };
    if runs(&firewalld) {
        return Some(firewalld);
    }
    // Docker sets the policy of FORWARD, and of no other chain.
    if name == "FORWARD" && jumps(chain).any(|target| target.starts_with("DOCKER")) {
        return Some(Owner::Docker);
    }
    // shorewall and csf run the whole table.
    if table.chains.contains_key("shorewall") {
        return Some(Owner::Program("shorewall"));
    }
    (table.chains.contains_key("LOCALINPUT") && table.chains.contains_key("LOGDROPIN")).then_some(Owner::Program("csf"))
}

/// Adds zone, jail or Service.
fn detailed(owner: Owner, chain: &str, rule: Option<&Rule>) -> Owner {
    match owner {
        Owner::Firewalld { .. } => Owner::Firewalld {
            zone: zone(chain).or_else(|| rule.and_then(|rule| targets(rule).find_map(zone))).map(str::to_owned),
        },
        Owner::Fail2ban { .. } => Owner::Fail2ban { jail: jail(chain, rule).map(str::to_owned) },
        Owner::KubeProxy { .. } => {
            Owner::KubeProxy { service: rule.and_then(|r| r.comment.as_deref()).and_then(service).map(str::to_owned) }
        }
        other => other,
    }
}

/// `public` of `filter_IN_public_deny`, `IN_public`, `nat_PRE_public_allow`. Policies (`…_policy_NAME`) have no zone.
fn zone(chain: &str) -> Option<&str> {
    let name = ["filter_", "nat_", "mangle_", "raw_"].iter().find_map(|p| chain.strip_prefix(p)).unwrap_or(chain);
    let name = ["IN_", "FWDI_", "FWDO_", "FWD_", "PRE_", "POST_"].iter().find_map(|p| name.strip_prefix(p))?;
    let name = ["_pre", "_log", "_deny", "_allow", "_post"].iter().find_map(|s| name.strip_suffix(s)).unwrap_or(name);
    (!name.is_empty() && !name.starts_with("policy_")).then_some(name)
}

/// `sshd` of the chain `f2b-sshd`, of the ipset `f2b-sshd` and of the nft set `addr-set-sshd`.
fn jail<'a>(chain: &'a str, rule: Option<&'a Rule>) -> Option<&'a str> {
    let of = |name: &'a str| {
        let jail = ["f2b-", "fail2ban-", "addr6-set-", "addr-set-"].iter().find_map(|p| name.strip_prefix(p))?;
        // IPv6 twins of ipset (`f2b-sshd6`) cannot be told from a jail of that name; the nft chain is nobody's.
        (!jail.is_empty() && jail != "chain" && jail != "table").then_some(jail)
    };
    rule.and_then(|rule| sets(rule).into_iter().find_map(of).or_else(|| targets(rule).find_map(of)))
        .or_else(|| of(chain))
}

/// `default/web:http` of `default/web:http has no endpoints`.
fn service(comment: &str) -> Option<&str> {
    let first = comment.split_whitespace().next()?;
    (first.contains('/') && !first.starts_with('/')).then_some(first)
}

fn program(name: &str, exact: &[(&str, &'static str)], prefix: &[(&str, &'static str)]) -> Option<Owner> {
    let by_name = exact.iter().find(|(known, _)| *known == name);
    by_name.or_else(|| prefix.iter().find(|(known, _)| name.starts_with(known))).map(|(_, owner)| Owner::Program(owner))
}

/// Chains that a rule jumps or goes to.
fn targets(rule: &Rule) -> impl Iterator<Item = &str> {
    rule.statements.iter().filter_map(|statement| match statement {
        Statement::Verdict(Verdict::Jump(chain) | Verdict::Goto(chain)) => Some(chain.as_str()),
        _ => None,
    })
}

fn jumps(chain: &Chain) -> impl Iterator<Item = &str> {
    chain.rules.iter().flat_map(targets)
}

/// Sets that a rule asks.
fn sets(rule: &Rule) -> Vec<&str> {
    fn of<'a>(cond: &'a Cond, into: &mut Vec<&'a str>) {
        match cond {
            Cond::InSet { set, .. } | Cond::InIpset { set, .. } => into.push(set),
            Cond::Any(inner) | Cond::All(inner) => inner.iter().for_each(|cond| of(cond, into)),
            Cond::Not(inner) | Cond::Lenient(inner) => of(inner, into),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for statement in &rule.statements {
        match statement {
            Statement::If(cond) => of(cond, &mut found),
            Statement::VerdictMap { set, .. } => found.push(set),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Base, ChainKind, Family, Hook, Policy};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn table(backend: Backend, name: &str) -> Table {
        let (family, dormant) = (Family::Ip, false);
        Table { family, name: name.into(), backend, dormant, chains: BTreeMap::new(), sets: BTreeMap::new() }
    }
    fn base(table: &mut Table, name: &str, hook: Hook, jumps: &[&str]) {
        let base =
            Base { hook, priority: 0, kind: ChainKind::Filter, policy: Policy::Drop, devices: Vec::new(), order: None };
        let rules = jumps.iter().map(|to| jump(to)).collect();
        table.chains.insert(name.into(), Chain { base: Some(base), rules: Arc::new(rules), ..Default::default() });
    }
    fn jump(to: &str) -> Rule {
        let statements = vec![Statement::Verdict(Verdict::Jump(to.into()))];
        Rule { text: format!("-j {to}").into(), statements, ..Default::default() }
    }
    fn rule(text: &str, comment: Option<&str>) -> Rule {
        Rule { text: text.into(), comment: comment.map(str::to_owned), ..Default::default() }
    }
    fn of_chain(chain: &str) -> Owner {
        owner(&table(Backend::IptablesNft, "filter"), chain, Some(&rule("-j DROP", None)))
    }
    fn zone_of(name: &str) -> Owner {
        Owner::Firewalld { zone: Some(name.into()) }
    }

    #[test]
    fn chains_name_their_program() {
        assert_eq!(of_chain("ufw-user-input"), Owner::Ufw);
        assert_eq!(of_chain("ufw6-before-input"), Owner::Ufw);
        assert_eq!(of_chain("DOCKER-ISOLATION-STAGE-1"), Owner::Docker);
        assert_eq!(of_chain("f2b-nginx-http-auth"), Owner::Fail2ban { jail: Some("nginx-http-auth".into()) });
        assert_eq!(of_chain("LIBVIRT_FWI"), Owner::Program("libvirt"));
        assert_eq!(of_chain("NETAVARK_ISOLATION_2"), Owner::Program("podman"));
        assert_eq!(of_chain("CNI-ADMIN"), Owner::Program("CNI"));
        assert_eq!(of_chain("cali-tw-cali1234"), Owner::Program("calico"));
        assert_eq!(of_chain("KUBE-ROUTER-INPUT"), Owner::Program("kube-router"));
        assert_eq!(of_chain("KUBE-FIREWALL"), Owner::KubeProxy { service: None });
        assert_eq!(of_chain("LOGDROPIN"), Owner::Program("csf"));
        assert_eq!(of_chain("INPUT"), Owner::Hand);
        assert_eq!(of_chain("my_deny"), Owner::Hand, "a suffix alone is no firewalld chain");
    }

    #[test]
    fn firewalld_chains_name_their_zone_in_both_backends() {
        assert_eq!(of_chain("IN_public_deny"), zone_of("public"));
        assert_eq!(of_chain("IN_dmz"), zone_of("dmz"));
        assert_eq!(of_chain("INPUT_ZONES"), Owner::Firewalld { zone: None });
        let nft = table(Backend::Nft, "firewalld");
        let of = |chain: &str| owner(&nft, chain, Some(&rule("reject with icmpx admin-prohibited", None)));
        assert_eq!(of("filter_IN_home_allow"), zone_of("home"));
        assert_eq!(of("filter_INPUT"), Owner::Firewalld { zone: None });
        assert_eq!(of("filter_IN_policy_allow-host-ipv6_deny"), Owner::Firewalld { zone: None });
    }

    #[test]
    fn the_last_reject_of_a_base_chain_is_firewallds_only_where_firewalld_runs_it() {
        let reject = rule("-A INPUT -j REJECT --reject-with icmp-host-prohibited", None);
        let mut table = table(Backend::IptablesNft, "filter");
        base(&mut table, "INPUT", Hook::Input, &["INPUT_direct", "INPUT_ZONES"]);
        assert_eq!(owner(&table, "INPUT", Some(&reject)), Owner::Firewalld { zone: None });
        base(&mut table, "INPUT", Hook::Input, &[]);
        assert_eq!(owner(&table, "INPUT", Some(&reject)), Owner::Hand, "iptables-services has the same rule");
        assert_eq!(owner(&table, "INPUT_direct", Some(&reject)), Owner::Hand);
    }

    #[test]
    fn a_policy_is_of_who_runs_the_chain() {
        let mut filter = table(Backend::IptablesNft, "filter");
        base(&mut filter, "INPUT", Hook::Input, &["ufw-before-logging-input", "ufw-before-input"]);
        base(&mut filter, "FORWARD", Hook::Forward, &["DOCKER-USER", "DOCKER-FORWARD"]);
        base(&mut filter, "OUTPUT", Hook::Output, &[]);
        assert_eq!(owner(&filter, "INPUT", None), Owner::Ufw);
        assert_eq!(owner(&filter, "FORWARD", None), Owner::Docker);
        assert_eq!(owner(&filter, "OUTPUT", None), Owner::Hand);
        assert_eq!(owner(&filter, "DOCKER-USER", Some(&rule("-j DROP", None))), Owner::Hand, "the user's own chain");
    }

    #[test]
    fn kube_proxy_names_the_service() {
        let filter = table(Backend::IptablesNft, "filter");
        let reject = rule("-j REJECT", Some("default/web:http has no endpoints"));
        let web = Owner::KubeProxy { service: Some("default/web:http".into()) };
        assert_eq!(owner(&filter, "KUBE-SERVICES", Some(&reject)), web);
        let nft = table(Backend::Nft, "kube-proxy");
        assert_eq!(owner(&nft, "reject-chain", Some(&rule("reject", None))), Owner::KubeProxy { service: None });
    }

    #[test]
    fn fail2ban_by_set() {
        let asks = |set: &str, ipset: bool| Rule {
            statements: vec![Statement::If(if ipset {
                Cond::InIpset { set: set.into(), source: vec![true], negated: false }
            } else {
                Cond::InSet { key: Vec::new(), set: set.into(), negated: false }
            })],
            ..Default::default()
        };
        let sshd = Owner::Fail2ban { jail: Some("sshd".into()) };
        let nft = table(Backend::Nft, "f2b-table");
        assert_eq!(owner(&nft, "f2b-chain", Some(&asks("addr-set-sshd", false))), sshd);
        assert_eq!(owner(&nft, "f2b-chain", Some(&asks("addr6-set-sshd", false))), sshd);
        let legacy = table(Backend::Legacy, "filter");
        assert_eq!(owner(&legacy, "INPUT", Some(&asks("f2b-sshd", true))), sshd);
        assert_eq!(owner(&legacy, "INPUT", Some(&asks("bad", true))), Owner::Hand);
        assert_eq!(owner(&legacy, "INPUT", Some(&jump("f2b-sshd"))), sshd);
    }

    #[test]
    fn comments_of_programs_without_chains() {
        let nat = table(Backend::IptablesNft, "nat");
        let of = |comment| owner(&nat, "POSTROUTING", Some(&rule("-j MASQUERADE", Some(comment))));
        assert_eq!(of("flanneld masq"), Owner::Program("flannel"));
        assert_eq!(of("generated for LXD network lxdbr0"), Owner::Program("lxd"));
        assert_eq!(of("cali:E-_4wvp2"), Owner::Program("calico"));
        assert_eq!(of("the office"), Owner::Hand);
    }
}
