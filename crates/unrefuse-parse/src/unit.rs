//! Unit files (systemd.syntax(7), systemd.unit(5)), where no manager can be asked.
//!
//! Debian 12's /lib/systemd/system/nginx.service, shortened:
//!
//! ```text
//! [Unit]
//! Description=A high performance web server and a reverse proxy server
//! After=network-online.target
//! [Service]
//! Type=forking
//! ExecStartPre=/usr/sbin/nginx -t -q -g 'daemon on; master_process on;'
//! ExecStart=/usr/sbin/nginx -g 'daemon on; master_process on;'
//! [Install]
//! WantedBy=multi-user.target
//! ```

use crate::lines::numbered;
use crate::secret::{Trust, redact};
use std::collections::HashSet;
use std::net::IpAddr;
use unrefuse_facts::{AddressFamilies, IpPrefix, UnitFacts, UnitListen, text};

/// One assignment of a unit file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// `Unit`, `Service`, `Socket` …
    pub section: String,
    /// `ExecStart`.
    pub key: String,
    /// What follows the `=`, continued lines joined by a blank. Empty: what was said before is taken back.
    pub value: String,
    /// The line it begins on, from 1.
    pub line: u32,
}

impl Assignment {
    /// The section and the list that it adds to or empties: that of its key (systemd.unit(5)), and one of all addresses of a
    /// socket unit (systemd.socket(5), `ListenStream=`).
    fn list(&self) -> (&str, &str) {
        let listens = self.section == "Socket" && self.key.starts_with("Listen");
        (&self.section, if listens { "Listen" } else { &self.key })
    }
}

/// Tells which assignments are in effect, where they come from the last back to the first: an empty value takes back all
/// that stand before it in its list (systemd.unit(5)).
#[derive(Debug, Default)]
pub struct Backwards<'a> {
    emptied: HashSet<(&'a str, &'a str)>,
}

impl<'a> Backwards<'a> {
    /// Whether no later one, which it was told of before, takes this one back.
    pub fn in_effect(&mut self, assignment: &'a Assignment) -> bool {
        let list = assignment.list();
        let kept = !self.emptied.contains(&list);
        if assignment.value.is_empty() {
            self.emptied.insert(list);
        }
        kept
    }
}

/// The assignments of one file, in their order.
///
/// A backslash at the end of a line continues it; comment lines within are left out (systemd.syntax(7)).
pub fn assignments(bytes: &[u8]) -> Vec<Assignment> {
    let mut found = Vec::new();
    let mut section = String::new();
    let mut open: Option<(u32, String)> = None;
    for (number, bytes) in numbered(bytes) {
        let line = text::from_bytes(bytes);
        let trimmed = line.trim();
        if trimmed.starts_with(['#', ';']) || (trimmed.is_empty() && open.is_none()) {
            continue;
        }
        let (first, mut all) = open.take().map_or((number, String::new()), |(first, text)| (first, text + " "));
        match trimmed.strip_suffix('\\') {
            Some(more) => {
                all.push_str(more.trim_end());
                open = Some((first, all));
                continue;
            }
            None => all.push_str(trimmed),
        }
        finish(&mut found, &mut section, first, &all);
    }
    if let Some((first, all)) = open {
        finish(&mut found, &mut section, first, &all);
    }
    found
}

fn finish(found: &mut Vec<Assignment>, section: &mut String, line: u32, text: &str) {
    if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        name.clone_into(section);
    } else if let Some((key, value)) = text.split_once('=') {
        found.push(Assignment {
            section: section.clone(),
            key: key.trim().to_owned(),
            value: value.trim().to_owned(),
            line,
        });
    }
}

/// The words of a command line as systemd.service(5), "COMMAND LINES", parts them: by blanks, with quotes and `\`.
/// Secrets are masked; prefixes of the first word (`-`, `@`, `:`, `+`, `!`) are taken off.
pub fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (_, '\\') => word.get_or_insert_default().extend(chars.next()),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if let Some(first) = words.first_mut() {
        *first = first.trim_start_matches(['-', '@', ':', '+', '!']).to_owned();
    }
    without_secrets(&words)
}

/// Words of a command line without secrets: what follows an option that speaks of one is masked too.
pub fn without_secrets(words: &[String]) -> Vec<String> {
    let speaks = |word: &str| {
        let word = word.to_ascii_lowercase();
        word.starts_with('-')
            && ["password", "passwd", "secret", "token", "requirepass", "api-key", "apikey"]
                .iter()
                .any(|name| word.contains(name))
    };
    let mut hide = false;
    let one = |word: &String| {
        let hidden = hide;
        hide = speaks(word) && !word.contains('=');
        match word.split_once('=') {
            _ if hidden => "***".to_owned(),
            Some((name, _)) if speaks(word) => format!("{name}=***"),
            _ => redact(word, Trust::Parsed),
        }
    };
    words.iter().map(one).collect()
}

/// The unit that its file and then its drop-ins define, as far as a question about sockets needs it.
pub fn unit(name: &str, files: &[Vec<Assignment>]) -> UnitFacts {
    let mut unit = UnitFacts { name: name.to_owned(), ..UnitFacts::default() };
    for assignment in files.iter().flatten() {
        apply(&mut unit, assignment);
    }
    unit
}

fn apply(unit: &mut UnitFacts, assignment: &Assignment) {
    let value = assignment.value.as_str();
    let list = |list: &mut Vec<String>| {
        if value.is_empty() {
            list.clear();
        }
        list.extend(value.split_whitespace().map(str::to_owned));
    };
    let text = || (!value.is_empty()).then(|| value.to_owned());
    match (assignment.section.as_str(), assignment.key.as_str()) {
        ("Unit", "Requires" | "BindsTo" | "Requisite") => list(&mut unit.requires),
        ("Service", "Type") => unit.kind = text(),
        ("Service", "ExecStart") if value.is_empty() => unit.exec_start.clear(),
        ("Service", "ExecStart") => unit.exec_start = words(value),
        ("Service" | "Socket", "User") => unit.runs_as = text(),
        ("Service" | "Socket", "Slice") => unit.slice = text(),
        ("Service" | "Socket", "PrivateNetwork") => unit.private_network = is_true(value),
        ("Service" | "Socket", "NetworkNamespacePath") => unit.network_namespace = text(),
        ("Service", "AmbientCapabilities") => {
            // One assignment adds to the others; an empty one takes all back.
            let low = value.split_whitespace().any(|word| word == "CAP_NET_BIND_SERVICE");
            unit.may_bind_low_ports = Some(low || (!value.is_empty() && unit.may_bind_low_ports == Some(true)));
        }
        ("Service", "PrivateUsers") => unit.private_users = is_true(value),
        ("Service", "RestrictAddressFamilies") => unit.address_families = families(value, unit.address_families.take()),
        ("Service" | "Socket" | "Slice" | "Scope", "IPAddressDeny") => prefixes(&mut unit.ip_deny, value),
        ("Service" | "Socket" | "Slice" | "Scope", "IPAddressAllow") => prefixes(&mut unit.ip_allow, value),
        ("Service", "SocketBindDeny") => list(&mut unit.bind_deny),
        ("Service", "SocketBindAllow") => list(&mut unit.bind_allow),
        ("Socket", "BindIPv6Only") => unit.bind_ipv6_only = text(),
        ("Socket", "Service") => unit.triggers = vec![value.to_owned()],
        ("Socket", key) if key.starts_with("Listen") => {
            if value.is_empty() {
                unit.listens.clear();
            } else {
                let kind = key.trim_start_matches("Listen").to_owned();
                unit.listens.push(UnitListen { kind, address: value.to_owned() });
            }
        }
        _ => {}
    }
}

/// A boolean (systemd.syntax(7)).
fn is_true(value: &str) -> bool {
    ["1", "yes", "y", "true", "t", "on"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// `RestrictAddressFamilies=`: a `~` at the beginning denies, `none` allows nothing, empty takes all back.
fn families(value: &str, before: Option<AddressFamilies>) -> Option<AddressFamilies> {
    if value.is_empty() {
        return None;
    }
    if value == "none" {
        return Some(AddressFamilies { allow: true, families: Vec::new() });
    }
    let (allow, names) = value.strip_prefix('~').map_or((true, value), |rest| (false, rest));
    let names = names.split_whitespace().map(str::to_owned);
    match before {
        Some(mut list) if list.allow == allow => {
            list.families.extend(names);
            Some(list)
        }
        // What the other kind names is taken off the list.
        Some(mut list) => {
            let names: Vec<String> = names.collect();
            list.families.retain(|family| !names.contains(family));
            Some(list)
        }
        None => Some(AddressFamilies { allow, families: names.collect() }),
    }
}

/// `IPAddressDeny=` and `IPAddressAllow=` (systemd.resource-control(5)): prefixes, addresses, or words for groups.
fn prefixes(list: &mut Vec<IpPrefix>, value: &str) {
    if value.is_empty() {
        list.clear();
    }
    for word in value.split_whitespace() {
        let group: &[&str] = match word {
            "any" => &["0.0.0.0/0", "::/0"],
            "localhost" => &["127.0.0.0/8", "::1/128"],
            "link-local" => &["169.254.0.0/16", "fe80::/64"],
            "multicast" => &["224.0.0.0/4", "ff00::/8"],
            _ => &[],
        };
        match group {
            [] => list.extend(prefix(word)),
            group => list.extend(group.iter().filter_map(|word| prefix(word))),
        }
    }
}

fn prefix(word: &str) -> Option<IpPrefix> {
    let (address, length) = word.split_once('/').map_or((word, None), |(a, l)| (a, Some(l)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(most), |l| l.parse().ok().filter(|l| *l <= most))?;
    Some(IpPrefix { address, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> UnitFacts {
        unit("x.service", &[assignments(text.as_bytes())])
    }

    #[test]
    fn continued_lines_comments_and_resets() {
        let unit = read("[Service]\nExecStart=/bin/a\nExecStart=\nExecStart=/bin/b \\\n# within\n --port 80\n");
        assert_eq!(unit.exec_start, ["/bin/b", "--port", "80"]);
        let lines = assignments(b"[Unit]\n; c\nA = b\n\nC=d\\");
        assert_eq!(
            lines.iter().map(|a| (a.key.as_str(), a.value.as_str(), a.line)).collect::<Vec<_>>(),
            [("A", "b", 3), ("C", "d", 5)]
        );
    }

    #[test]
    fn a_drop_in_changes_the_file() {
        let file = assignments(b"[Socket]\nListenStream=22\nBindIPv6Only=both\n");
        let drop_in = assignments(b"[Socket]\nListenStream=\nListenStream=127.0.0.1:2222\n");
        let unit = unit("ssh.socket", &[file, drop_in]);
        assert_eq!(unit.listens, [UnitListen { kind: "Stream".into(), address: "127.0.0.1:2222".into() }]);
        assert_eq!(unit.bind_ipv6_only.as_deref(), Some("both"));
    }

    #[test]
    fn words_as_systemd_parts_them() {
        assert_eq!(
            words("-/usr/sbin/nginx -g 'daemon on; x' \"a b\"c ''"),
            ["/usr/sbin/nginx", "-g", "daemon on; x", "a bc", ""]
        );
        assert_eq!(
            words("a --password hunter2 --token=hunter2 postgres://u:hunter2@h/"),
            ["a", "--password", "***", "--token=***", "postgres://u:***@h/"]
        );
    }

    #[test]
    fn lists_of_addresses_and_families() {
        let unit = read("[Service]\nIPAddressDeny=any\nIPAddressAllow=localhost 10.0.0.0/8 10.0.0.0/99 nonsense\n");
        assert_eq!((unit.ip_deny.len(), unit.ip_allow.len()), (2, 3));
        assert!(unit.ip_deny[0].holds("1.2.3.4".parse().unwrap()));
        let families = |text: &str| read(&format!("[Service]\n{text}")).address_families;
        assert!(!families("RestrictAddressFamilies=AF_UNIX").unwrap().allows("AF_INET"));
        assert!(families("RestrictAddressFamilies=~AF_PACKET").unwrap().allows("AF_INET"));
        assert!(!families("RestrictAddressFamilies=none").unwrap().allows("AF_INET"));
        assert_eq!(families("RestrictAddressFamilies=AF_UNIX\nRestrictAddressFamilies=\n"), None);
    }

    #[test]
    fn nonsense_is_read_as_far_as_it_goes() {
        assert!(assignments(b"").is_empty());
        assert_eq!(assignments(b"\\\n\\\nA=\xff\\")[0].value, "\\xff");
        assert_eq!(read("[Service\nType=simple\n").kind, None);
    }
}
