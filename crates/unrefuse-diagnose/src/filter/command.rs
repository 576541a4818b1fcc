//! Commands of iptables, nft and sysctl, as text.

use super::Leg;
use super::describe::family;
use crate::View;
use crate::fix::quote;
use crate::report::Fix;
use std::net::IpAddr;
use unrefuse_facts::{ChainPlace, FilterBackend, FilterRule, RuleKeeper, TableFamily};

/// The packets that are to be let through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packets {
    /// Which packet of the connection.
    pub leg: Leg,
    /// The client, where it is limited to one; on the client itself: nobody.
    pub client: Option<IpAddr>,
    /// The server, where it is limited to one.
    pub server: Option<IpAddr>,
    /// The server's port.
    pub port: u16,
    /// `tcp` or `udp`.
    pub transport: &'static str,
}

/// The program that speaks to a table (`iptables`, `ip6tables-legacy`), without `-save` or `-restore`.
pub(crate) fn iptables(place: &ChainPlace) -> &'static str {
    match (place.family == TableFamily::Ip6, place.backend) {
        (false, FilterBackend::Legacy) => "iptables-legacy",
        (false, FilterBackend::IptablesNft) => "iptables-nft",
        (false, _) => "iptables",
        (true, FilterBackend::Legacy) => "ip6tables-legacy",
        (true, FilterBackend::IptablesNft) => "ip6tables-nft",
        (true, _) => "ip6tables",
    }
}

/// `iptables` or `iptables -t mangle`.
pub(crate) fn iptables_table(place: &ChainPlace) -> Option<String> {
    let program = iptables(place);
    Some(if place.table == "filter" { program.to_owned() } else { format!("{program} -t {}", quote(&place.table)?) })
}

/// `inet filter input`, quoted.
pub(crate) fn nft_chain(place: &ChainPlace) -> Option<String> {
    Some(format!("{} {} {}", family(place.family), quote(&place.table)?, quote(&place.chain)?))
}

impl Packets {
    fn is_answer(&self) -> bool {
        matches!(self.leg, Leg::AnswerIn | Leg::AnswerOut)
    }
    /// The packets' source and destination.
    fn ends(&self) -> (Option<IpAddr>, Option<IpAddr>) {
        if self.is_answer() { (self.server, self.client) } else { (self.client, self.server) }
    }
    /// `-s 10.0.0.5 -p tcp --dport 80 -j ACCEPT`.
    pub(crate) fn iptables(&self) -> String {
        let (source, destination) = self.ends();
        let mut words = Vec::new();
        words.extend(source.map(|ip| format!("-s {ip}")));
        words.extend(destination.map(|ip| format!("-d {ip}")));
        words.push(format!(
            "-p {} {} {}",
            self.transport,
            if self.is_answer() { "--sport" } else { "--dport" },
            self.port
        ));
        if self.leg == Leg::AnswerIn {
            words.push("-m conntrack --ctstate ESTABLISHED".to_owned());
        }
        words.push("-j ACCEPT".to_owned());
        words.join(" ")
    }
    /// `ip saddr 10.0.0.5 tcp dport 80 accept`.
    pub(crate) fn nft(&self) -> String {
        let (source, destination) = self.ends();
        let word = |ip: &IpAddr| if ip.is_ipv4() { "ip" } else { "ip6" };
        let mut words = Vec::new();
        words.extend(source.map(|ip| format!("{} saddr {ip}", word(&ip))));
        words.extend(destination.map(|ip| format!("{} daddr {ip}", word(&ip))));
        words.push(format!("{} {} {}", self.transport, if self.is_answer() { "sport" } else { "dport" }, self.port));
        if self.leg == Leg::AnswerIn {
            words.push("ct state established".to_owned());
        }
        words.push("accept".to_owned());
        words.join(" ")
    }
}

/// The specification of a rule without its `-A CHAIN`, quoted anew for the shell; `None` where it cannot be done safely.
///
/// iptables-save(8) writes words with spaces in double quotes, with `\` before quotes and backslashes.
pub(crate) fn specification(rule: &FilterRule) -> Option<String> {
    let mut words = Vec::new();
    let (mut word, mut quoted, mut begun) = (String::new(), false, false);
    let mut chars = rule.text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => word.push(chars.next()?),
            '"' => (quoted, begun) = (!quoted, true),
            ' ' if !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            c => {
                word.push(c);
                begun = true;
            }
        }
    }
    if quoted {
        return None;
    }
    if begun {
        words.push(word);
    }
    let rest = match words.first().map(String::as_str) {
        Some("-A") => words.get(2..)?,
        _ => &words[..],
    };
    let quoted: Option<Vec<String>> = rest.iter().map(|word| quote(word)).collect();
    quoted.map(|words| words.join(" "))
}

/// Adds the step that keeps a change of an iptables table over a reboot, where it is known what does that here.
pub(crate) fn keep(fix: Fix, place: &ChainPlace, keeper: Option<&RuleKeeper>) -> Fix {
    let command = match keeper {
        Some(RuleKeeper::NetfilterPersistent) if place.backend != FilterBackend::Nft => {
            "netfilter-persistent save".to_owned()
        }
        Some(RuleKeeper::IptablesFiles { v4, v6 }) if place.backend != FilterBackend::Nft => {
            match quote(if place.family == TableFamily::Ip6 { v6 } else { v4 }) {
                Some(path) => format!("{}-save > {path}", iptables(place)),
                None => return until_reboot(fix),
            }
        }
        Some(RuleKeeper::Nftables { path }) if place.backend == FilterBackend::Nft => {
            let mut fix = until_reboot(fix);
            fix.title =
                format!("{}; to keep it, write the rule into {}", fix.title, unrefuse_facts::text::visible(path));
            return fix;
        }
        _ => return until_reboot(fix),
    };
    fix.command(command.clone()).undo(command).persistent()
}

fn until_reboot(mut fix: Fix) -> Fix {
    fix.title.push_str(" (until the next boot or reload)");
    fix
}

/// The name of a setting of an interface, in the form that sysctl(8) takes for a name with dots in it.
pub(crate) fn setting_name(family: &str, interface: &str, setting: &str) -> String {
    if interface.contains('.') {
        format!("net/{family}/conf/{interface}/{setting}")
    } else {
        format!("net.{family}.conf.{interface}.{setting}")
    }
}

/// Sets a kernel setting now and, of the machine's own namespace, at every boot (sysctl.d(5)); `None` where the name cannot
/// be quoted.
pub(crate) fn keep_setting(view: &View<'_>, fix: Fix, name: &str, new: &str, old: Option<&str>) -> Option<Fix> {
    const FILE: &str = "/etc/sysctl.d/90-unrefuse.conf";
    let (set, line) = (quote(&format!("{name}={new}"))?, quote(&format!("{name} = {new}"))?);
    let pattern: String = name.chars().flat_map(|c| (c == '.').then_some('\\').into_iter().chain([c])).collect();
    let remove = quote(&format!("\\|^{pattern} = {new}$|d"))?;
    let fix = fix.command(format!("sysctl -w {set}"));
    let fix = match old.and_then(|old| quote(&format!("{name}={old}"))) {
        Some(old) => fix.undo(format!("sysctl -w {old}")),
        None => fix,
    };
    if view.is_apart() {
        return Some(fix);
    }
    let fix = fix.command(format!("printf '%s\\n' {line} >> {FILE}")).persistent();
    Some(fix.undo(format!("sed -i {remove} {FILE}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::filter::iptables;
    use unrefuse_facts::FilterHook;

    fn spec(text: &str) -> Option<String> {
        specification(&iptables(FilterHook::Input, text))
    }

    #[test]
    fn a_specification_is_quoted_anew() {
        assert_eq!(spec("-A INPUT -p tcp -j DROP").as_deref(), Some("-p tcp -j DROP"));
        assert_eq!(
            spec(r#"-A INPUT -m comment --comment "it's $(reboot) \"now\"" -j DROP"#).as_deref(),
            Some(r#"-m comment --comment 'it'\''s $(reboot) "now"' -j DROP"#)
        );
        assert_eq!(
            spec(r#"-A INPUT -m comment --comment "" -j DROP"#).as_deref(),
            Some("-m comment --comment '' -j DROP")
        );
        assert_eq!(spec(r#"-A INPUT -m comment --comment "open"#), None, "a quote that does not end");
        assert_eq!(spec("-A INPUT -m comment --comment \"a\u{1b}[2J\" -j DROP"), None, "it would act on the terminal");
        assert_eq!(spec("-A INPUT ; reboot").as_deref(), Some("';' reboot"));
    }

    #[test]
    fn ipv6_has_its_own_program_and_words() {
        let mut place = iptables(FilterHook::Input, "").place;
        (place.family, place.table) = (TableFamily::Ip6, "mangle".into());
        assert_eq!(iptables_table(&place).as_deref(), Some("ip6tables-nft -t mangle"));
        let client = Some("fd01::9".parse().unwrap());
        let packets = Packets { leg: Leg::In, client, server: None, port: 53, transport: "udp" };
        assert_eq!(packets.iptables(), "-s fd01::9 -p udp --dport 53 -j ACCEPT");
        assert_eq!(packets.nft(), "ip6 saddr fd01::9 udp dport 53 accept");
    }
}
