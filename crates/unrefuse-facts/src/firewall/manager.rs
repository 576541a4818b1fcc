//! Who made a rule, and what the tools that make rules have in their files.

use crate::{Location, Observed};
use serde::{Deserialize, Serialize};

/// Who made a rule or a policy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleOwner {
    /// ufw(8).
    Ufw {
        /// Number of the user rule, as `ufw status numbered` counts; `None` for ufw's own rules, or where it is not known.
        rule: Option<u32>,
    },
    /// firewalld(1).
    Firewalld {
        /// Zone, read from the chain's name.
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
        /// The jail, read from the chain's or set's name.
        jail: Option<String>,
    },
    /// Another program, by name: `calico`, `libvirt`, `podman`, `crowdsec`.
    Program {
        /// Its name.
        name: String,
    },
    /// Nothing shows a program: made by hand, or by a script.
    Hand,
}

impl RuleOwner {
    /// What to call the owner; `None` where nothing shows one.
    pub fn name(&self) -> Option<&str> {
        Some(match self {
            Self::Ufw { .. } => "ufw",
            Self::Firewalld { .. } => "firewalld",
            Self::Docker => "Docker",
            Self::KubeProxy { .. } => "kube-proxy",
            Self::Fail2ban { .. } => "fail2ban",
            Self::Program { name } => name,
            Self::Hand => return None,
        })
    }
}

/// What files would load at the next boot or reload.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SavedRules {
    /// What each file or tool says of the client's packet to the target's port.
    pub rules: Vec<SavedRule>,
    /// What keeps hand-made rules over a reboot here.
    pub keeper: Observed<RuleKeeper>,
}

/// Which tool reads a saved rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SavedKind {
    /// An iptables-save file (`/etc/iptables/rules.v4`, `/etc/sysconfig/iptables`).
    Iptables,
    /// An ip6tables-save file.
    Ip6tables,
    /// An nft file (`/etc/nftables.conf`).
    Nftables,
    /// ufw's configuration.
    Ufw,
    /// firewalld's permanent configuration.
    Firewalld,
}

/// What a saved configuration says of the client's packet to the target's port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedRule {
    /// Which tool reads it.
    pub kind: SavedKind,
    /// The file.
    pub path: String,
    /// What it says.
    pub says: Observed<SavedSays>,
    /// Whether a unit that is enabled loads it at boot.
    pub loaded_at_boot: Observed<bool>,
}

/// Verdict of a saved configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSays {
    /// It lets the packet in; else it stops it.
    pub accepts: bool,
    /// A rule says so that was made for this port or client; else a policy, a catch-all or the lack of any rule.
    pub by_rule: bool,
    /// The rule that says so, as it stands there.
    pub text: String,
    /// Where it stands.
    pub location: Option<Location>,
}

/// What keeps hand-made rules over a reboot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleKeeper {
    /// Debian's `netfilter-persistent` with its iptables plugins.
    NetfilterPersistent,
    /// An nft file that `nftables.service` loads.
    Nftables {
        /// The file: `/etc/nftables.conf`, `/etc/sysconfig/nftables.conf`.
        path: String,
    },
    /// iptables-save files that a service loads (RHEL's iptables-services, Arch).
    IptablesFiles {
        /// IPv4's file.
        v4: String,
        /// IPv6's file.
        v6: String,
    },
}

/// ufw, as its configuration has it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UfwFacts {
    /// `ENABLED=yes`.
    pub enabled: bool,
    /// User rules, in order.
    pub rules: Vec<UfwRule>,
    /// What happens to incoming packets that no rule names (`DEFAULT_INPUT_POLICY`): `DROP`, `REJECT`, `ACCEPT`.
    pub default_input: Option<String>,
    /// Where the rules of the kernel that the user rules become stand, as the files have them.
    #[serde(default)]
    pub placed: Vec<UfwPlaced>,
}

/// A rule of the kernel that a user rule becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UfwPlaced {
    /// Chain: `ufw-user-input`, `ufw6-user-input` …
    pub chain: String,
    /// Number in it, from 1.
    pub position: u32,
    /// Number of the user rule, as `ufw status numbered` counts.
    pub number: u32,
}

/// Action of a ufw rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are ufw's own (ufw(8))")]
pub enum UfwAction {
    Allow,
    Deny,
    Reject,
    Limit,
}

/// A user rule of ufw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UfwRule {
    /// Number, as `ufw status numbered` counts.
    pub number: u32,
    /// For outgoing packets.
    pub out: bool,
    /// Action.
    pub action: UfwAction,
    /// Destination as ufw shows it: `80/tcp`, `Anywhere`, `10.0.0.5 443/tcp`.
    pub to: String,
    /// Source as ufw shows it: `Anywhere`, `10.0.0.0/8`.
    pub from: String,
    /// IPv6 rule (`(v6)`).
    pub v6: bool,
    /// Comment.
    pub comment: Option<String>,
}

/// firewalld, for the interface that the client's packets come in by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FirewalldFacts {
    /// The zone that takes them (by source, else by interface, else the default zone).
    pub zone: Option<String>,
    /// The interface.
    pub interface: Option<String>,
    /// That zone's target: `default`, `ACCEPT`, `DROP`, `%%REJECT%%`.
    pub target: Option<String>,
    /// Services that are let in.
    pub services: Vec<String>,
    /// Ports that are let in: `80/tcp`, `8000-8010/tcp`.
    pub ports: Vec<String>,
    /// Rich rules.
    pub rich_rules: Vec<String>,
    /// A service that firewalld knows for the target's port alone: `https`.
    pub service_of_port: Option<String>,
    /// Another zone that lets the port in, where one does.
    pub open_in_zone: Option<String>,
    /// What of the zone lets the port in, by the permanent configuration: `service http`, `port 8000-8010/tcp`.
    #[serde(default)]
    pub opened_by: Option<String>,
    /// The zone's file.
    #[serde(default)]
    pub zone_file: Option<String>,
}
