//! ufw's files: its settings, and the user rules as it writes them for itself.
//!
//! Beside the rules for iptables-restore(8), ufw keeps each of its own as a comment in `user.rules` and `user6.rules`:
//! ```text
//! ### tuple ### allow tcp 22 0.0.0.0/0 any 10.0.0.0/8 in comment=6261636b757020686f7374
//! -A ufw-user-input -p tcp --dport 22 -s 10.0.0.0/8 -j ACCEPT
//!
//! ### tuple ### deny_log tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 Nginx%20Full - in_eth0
//! ### tuple ### route:allow tcp 25 10.1.0.9 any 0.0.0.0/0 in_eth0!out_eth1
//! ```
//! The fields are action, protocol, destination port, destination, source port, source, then perhaps the application
//! profiles of both, then the direction with interfaces (`_read_rules`, `get_status` in ufw's src/backend_iptables.py,
//! 0.36.2).

use crate::lines;
use std::collections::HashMap;
use unrefuse_facts::{UfwAction, UfwPlaced, UfwRule, text::from_bytes};

/// Rules that are read from both files together.
const MAX_RULES: usize = 100_000;

/// The value of `name` in /etc/ufw/ufw.conf or /etc/default/ufw, without its quotes; the last line counts, as for the
/// shell that reads them (`ufw-init-functions`).
///
/// ```
/// let conf = b"# comment\nENABLED=no\nDEFAULT_INPUT_POLICY=\"DROP\"\nENABLED=yes\n";
/// assert_eq!(unrefuse_parse::ufw::setting(conf, "ENABLED").unwrap(), "yes");
/// assert_eq!(unrefuse_parse::ufw::setting(conf, "DEFAULT_INPUT_POLICY").unwrap(), "DROP");
/// ```
pub fn setting(bytes: &[u8], name: &str) -> Option<String> {
    let value = |line: &[u8]| {
        let line = line.trim_ascii_start().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        // What follows a blank is another word: a comment, mostly.
        let word = lines::words(line).next().unwrap_or_default();
        let quoted = |quote: u8| word.strip_prefix(&[quote])?.split(|&b| b == quote).next();
        Some(from_bytes(quoted(b'"').or_else(|| quoted(b'\'')).unwrap_or(word)))
    };
    lines::numbered(bytes).filter_map(|(_, line)| value(line)).last()
}

/// The user rules of `user.rules` (`v4`) and `user6.rules` (`v6`), numbered as `ufw status numbered` does: those of IPv4
/// first, and rules of one application profile share a number. `to` and `from` are those of `ufw status verbose`, which
/// shows a profile's ports.
///
/// Rules for forwarded packets (`ufw route`) take a number and are left out. What ufw skips as malformed is left out and
/// takes none.
///
/// ```
/// let rules = unrefuse_parse::ufw::user_rules(b"### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n", b"");
/// assert_eq!((rules[0].number, rules[0].to.as_str(), rules[0].from.as_str()), (1, "22/tcp", "Anywhere"));
/// ```
pub fn user_rules(v4: &[u8], v6: &[u8]) -> Vec<UfwRule> {
    let tuples = [(v4, false), (v6, true)]
        .into_iter()
        .flat_map(|(bytes, v6)| lines::numbered(bytes).filter_map(move |(_, line)| Tuple::read(line, v6)));
    let mut numbers = Numbers::default();
    let mut rules = Vec::new();
    for tuple in tuples.take(MAX_RULES) {
        let number = numbers.of(&tuple);
        if !tuple.routed {
            rules.push(tuple.rule(number));
        }
    }
    rules
}

/// Which rules of the kernel the user rules become: the lines for iptables-restore(8) that follow each, counted by chain.
///
/// ```
/// let v4 = b"### tuple ### deny tcp 80 0.0.0.0/0 any 0.0.0.0/0 in\n-A ufw-user-input -p tcp --dport 80 -j DROP\n";
/// let placed = unrefuse_parse::ufw::placed(v4, b"");
/// assert_eq!((placed[0].chain.as_str(), placed[0].position, placed[0].number), ("ufw-user-input", 1, 1));
/// ```
pub fn placed(v4: &[u8], v6: &[u8]) -> Vec<UfwPlaced> {
    let mut numbers = Numbers::default();
    let mut placed = Vec::new();
    for (bytes, v6) in [(v4, false), (v6, true)] {
        let mut filled: HashMap<&[u8], u32> = HashMap::new();
        let mut number = None;
        for (_, line) in lines::numbered(bytes) {
            if line.starts_with(b"###") {
                // What is no rule of the user's ends with the next one that is: `### END RULES ###`.
                number = Tuple::read(line, v6).map(|tuple| numbers.of(&tuple));
                continue;
            }
            let mut words = lines::words(line);
            let (Some(b"-A"), Some(chain)) = (words.next(), words.next()) else { continue };
            let position = filled.entry(chain).or_default();
            *position += 1;
            if let Some(number) = number.filter(|_| placed.len() < MAX_RULES) {
                placed.push(UfwPlaced { chain: from_bytes(chain), position: *position, number });
            }
        }
    }
    placed
}

/// Numbers of rules, as `ufw status numbered` gives them.
#[derive(Default)]
struct Numbers {
    profiles: HashMap<String, u32>,
    last: u32,
}

impl Numbers {
    fn of(&mut self, tuple: &Tuple) -> u32 {
        let next = self.last + 1;
        let number = match tuple.profile() {
            None => next,
            Some(profile) => *self.profiles.entry(profile).or_insert(next),
        };
        self.last = self.last.max(number);
        number
    }
}

/// One `### tuple ###` line.
struct Tuple {
    action: UfwAction,
    routed: bool,
    out: bool,
    protocol: String,
    to: End,
    from: End,
    comment: Option<String>,
    v6: bool,
}

/// Destination or source.
struct End {
    port: String,
    address: String,
    profile: Option<String>,
    interface: Option<String>,
}

impl Tuple {
    fn read(line: &[u8], v6: bool) -> Option<Self> {
        let line = from_bytes(line.strip_prefix(b"### tuple ###")?);
        // The comment comes last.
        let (fields, comment) = match line.split_once(" comment=") {
            Some((fields, comment)) => (fields, hexadecimal(comment.trim()).map(|bytes| from_bytes(&bytes))),
            None => (line.as_str(), None),
        };
        let fields: Vec<&str> = fields.split_ascii_whitespace().take(10).collect();
        // Old releases wrote no direction: 6 fields, or 8 with profiles.
        let (fields, direction) = match fields.len() {
            6 | 8 => (&fields[..], "in"),
            7 | 9 => fields.split_last().map(|(last, rest)| (rest, *last))?,
            _ => return None,
        };
        let (routed, action) = match fields[0].split_once(':') {
            Some((_, action)) => (true, action),
            None => (false, fields[0]),
        };
        let (direction, inside, outside) = interfaces(direction)?;
        let profile = |at: usize| fields.get(at).filter(|name| **name != "-").map(|name| name.replace("%20", " "));
        let end = |port: usize, at: usize, interface: Option<&str>| End {
            port: fields[port].to_owned(),
            address: fields[port + 1].to_owned(),
            profile: profile(at),
            interface: interface.map(str::to_owned),
        };
        // A forwarded packet comes in from the source's side; of one's own packets, the interface is shown at the end
        // that is this machine.
        let (near, far) = if routed { (outside, inside) } else { (inside, outside) };
        Some(Self {
            action: action_of(action)?,
            routed,
            out: direction == "out",
            protocol: fields[1].to_owned(),
            to: end(2, 6, near),
            from: end(4, 7, far),
            comment,
            v6,
        })
    }

    /// What ufw takes for one rule of application profiles (`get_app_tuple`, src/common.py).
    fn profile(&self) -> Option<String> {
        if self.to.profile.is_none() && self.from.profile.is_none() {
            return None;
        }
        let part = |end: &End| {
            let port = end.profile.as_ref().unwrap_or(&end.port);
            format!("{port}\n{}\n{}", end.address, end.interface.as_deref().unwrap_or_default())
        };
        Some(format!("{}\n{}\n{}\n{}", part(&self.to), part(&self.from), self.out, self.v6))
    }

    fn rule(self, number: u32) -> UfwRule {
        let (to, from) = (self.shown(&self.to), self.shown(&self.from));
        let Self { action, out, v6, comment, .. } = self;
        UfwRule { number, out, action, to, from, v6, comment }
    }

    /// As `ufw status verbose` shows an end.
    fn shown(&self, end: &End) -> String {
        let anywhere = |address: &str| matches!(address, "0.0.0.0/0" | "::/0");
        let any = end.port == "any";
        let mut text = match (anywhere(&end.address), any) {
            (true, true) => "Anywhere".to_owned(),
            (true, false) => end.port.clone(),
            (false, true) => end.address.clone(),
            (false, false) => format!("{} {}", end.address, end.port),
        };
        let (to, from) = (&self.to, &self.from);
        // Without ports on either side, the protocol stands where it doesn't repeat itself.
        let alone = to.port == from.port && (!anywhere(&end.address) || to.address == from.address);
        if self.protocol != "any" && (!any || alone) {
            text = format!("{text}/{}", self.protocol);
        }
        if let Some(profile) = end.profile.as_ref().filter(|_| !any) {
            text = format!("{text} ({profile})");
        }
        let everywhere = anywhere(&to.address) && anywhere(&from.address);
        if self.v6 && anywhere(&end.address) && (any || everywhere) {
            text.push_str(" (v6)");
        }
        match &end.interface {
            Some(interface) => format!("{text} on {interface}"),
            None => text,
        }
    }
}

/// `in`, `out_eth0`, `in_eth0!out_eth1`: the direction and the interfaces in and out.
fn interfaces(text: &str) -> Option<(&str, Option<&str>, Option<&str>)> {
    let direction = text.split('_').next()?;
    if let Some((first, second)) = text.split_once('!') {
        return Some((direction, Some(first.strip_prefix("in_")?), Some(second.strip_prefix("out_")?)));
    }
    match text.split_once('_') {
        None => Some((direction, None, None)),
        Some(("in", name)) => Some((direction, Some(name), None)),
        Some(("out", name)) => Some((direction, None, Some(name))),
        Some(_) => None,
    }
}

/// `allow`, `deny_log`, `reject_log-all`: what follows the underscore is what is logged.
fn action_of(word: &str) -> Option<UfwAction> {
    Some(match word.split('_').next()? {
        "allow" => UfwAction::Allow,
        "deny" => UfwAction::Deny,
        "reject" => UfwAction::Reject,
        "limit" => UfwAction::Limit,
        _ => return None,
    })
}

/// Comments are written as hexadecimal, so that they need no quotes.
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    text.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests;
