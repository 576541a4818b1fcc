//! One line with a command: its options, core and of modules, in the order and with the freedoms that getopt gives them.
//!
//! iptables merges the core's long options with those of each module as it is loaded; the newest module is asked first
//! (`xtables_merge_options`). What follows a module that is not known belongs to it. An option that is not known makes
//! the module it stands behind not understood, never absent.

use std::borrow::Cow;

use super::options::{Args, Given, Match, Opt, Target, one};
use super::words::Word;
use super::{matches, names, targets};
use crate::model::Counters;

/// What the line does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Command<'a> {
    #[default]
    None,
    Append(Cow<'a, str>),
    /// Chain and place, from 1.
    Insert(Cow<'a, str>, u32),
    Replace(Cow<'a, str>, u32),
    /// `None`: the rule with the same text.
    Delete(Cow<'a, str>, Option<u32>),
    New(Cow<'a, str>),
    Policy(Cow<'a, str>, Cow<'a, str>),
    /// A chain, or all of them.
    Flush(Option<Cow<'a, str>>),
    DeleteChain(Option<Cow<'a, str>>),
    Rename(Cow<'a, str>, Cow<'a, str>),
    /// Lists or zeroes: changes nothing.
    Look,
}

/// A module of a rule.
#[derive(Debug)]
pub(super) struct Loaded<'a, M: 'static> {
    /// Its name as written.
    pub(super) name: Cow<'a, str>,
    /// `None`: not known.
    pub(super) module: Option<&'static M>,
    pub(super) given: Vec<Given<'a>>,
    /// Name and options as written.
    pub(super) text: String,
    /// What was not understood.
    pub(super) wrong: Option<String>,
}

/// A value that may be turned round.
pub(super) type Inverted<'a> = (Cow<'a, str>, bool);

/// A line's content.
#[derive(Debug, Default)]
pub(super) struct Line<'a> {
    pub(super) command: Command<'a>,
    pub(super) table: Option<Cow<'a, str>>,
    pub(super) source: Option<Inverted<'a>>,
    pub(super) destination: Option<Inverted<'a>>,
    pub(super) in_interface: Option<Inverted<'a>>,
    pub(super) out_interface: Option<Inverted<'a>>,
    pub(super) protocol: Option<Inverted<'a>>,
    /// `-f`: turned round or not.
    pub(super) fragment: Option<bool>,
    pub(super) matches: Vec<Loaded<'a, Match>>,
    pub(super) target: Option<Loaded<'a, Target>>,
    /// `-g` instead of `-j`.
    pub(super) goto: bool,
    pub(super) counters: Option<Counters>,
    /// `-4`, `-6`: the line counts for this family only.
    pub(super) only: Option<crate::model::Family>,
    /// What is not understood outside of modules.
    pub(super) wrong: Vec<String>,
}

const CORE: &[(Opt, char)] = &[
    (one("append"), 'A'),
    (one("delete"), 'D'),
    (one("insert"), 'I'),
    (one("replace"), 'R'),
    (one("new-chain").of("new-chain"), 'N'),
    (one("policy"), 'P'),
    (one("flush").args(Args::Maybe), 'F'),
    (one("delete-chain").args(Args::Maybe), 'X'),
    (one("rename-chain").args(Args::Two), 'E'),
    (one("zero").args(Args::Maybe), 'Z'),
    (one("list").args(Args::Maybe), 'L'),
    (one("list-rules").args(Args::Maybe), 'S'),
    (one("check"), 'C'),
    (one("source").inv(), 's'),
    (one("src").of("source").inv(), '\0'),
    (one("destination").inv(), 'd'),
    (one("dst").of("destination").inv(), '\0'),
    (one("protocol").inv(), 'p'),
    (one("in-interface").inv(), 'i'),
    (one("out-interface").inv(), 'o'),
    (one("jump"), 'j'),
    (one("goto"), 'g'),
    (one("match"), 'm'),
    (one("fragments").args(Args::None).inv(), 'f'),
    (one("set-counters").args(Args::Two), 'c'),
    (one("table"), 't'),
    (one("ipv4").args(Args::None), '4'),
    (one("ipv6").args(Args::None), '6'),
    (one("wait").args(Args::Maybe), 'w'),
    (one("wait-interval"), 'W'),
    (one("numeric").args(Args::None), 'n'),
    (one("verbose").args(Args::None), 'v'),
    (one("exact").args(Args::None), 'x'),
    (one("line-numbers").args(Args::None), '\0'),
    (one("modprobe"), 'M'),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Core,
    Match(usize),
    Target,
}

/// Tells whether a table (`None`: the one that is being read) has a chain.
pub(super) type Declared<'f> = &'f dyn Fn(Option<&str>, &str) -> bool;

struct Reader<'w, 'a> {
    words: &'w [Word<'a>],
    at: usize,
    line: Line<'a>,
    last: Last,
    declared: Declared<'w>,
}

/// Reads a line's words.
pub(super) fn read<'w, 'a>(words: &'w [Word<'a>], declared: Declared<'w>) -> Line<'a> {
    let mut reader = Reader { words, at: 0, line: Line::default(), last: Last::Core, declared };
    while reader.at < words.len() {
        reader.option();
    }
    reader.line
}

impl<'a> Reader<'_, 'a> {
    fn option(&mut self) {
        let start = self.at;
        let mut negated = false;
        if self.is_bang() {
            negated = true;
            self.at += 1;
        }
        let Some(word) = self.words.get(self.at) else {
            self.line.wrong.push("a ! at the end".into());
            return;
        };
        self.at += 1;
        let text: &str = &word.text;
        let found = match text.as_bytes() {
            _ if word.quoted => None,
            [b'-', b'-', _, ..] => {
                let (name, attached) = match text[2..].split_once('=') {
                    Some((name, value)) => (name, Some(value)),
                    None => (&text[2..], None),
                };
                self.long(name).map(|(opt, owner)| (opt, owner, attached.map(str::to_owned)))
            }
            [b'-', letter, ..] if *letter != b'-' => {
                let rest = &text[1..];
                let letter = rest.chars().next().unwrap_or('-');
                let attached = &rest[letter.len_utf8()..];
                CORE.iter().find(|(_, l)| *l == letter && letter != '\0').map(|(opt, _)| {
                    // `-nv`: flags in one word.
                    if opt.args == Args::None && !attached.is_empty() {
                        self.line.wrong.push(format!("options in one word: {text}"));
                    }
                    (opt, Last::Core, (!attached.is_empty()).then(|| attached.to_owned()))
                })
            }
            _ => None,
        };
        match found {
            Some((opt, owner, attached)) => self.take(start, opt, owner, negated, attached),
            None => self.unknown(start),
        }
    }

    /// A `!` that turns round what follows.
    fn is_bang(&self) -> bool {
        self.words.get(self.at).is_some_and(|w| !w.quoted && w.text == "!")
    }

    fn starts_option(&self, at: usize) -> bool {
        self.words.get(at).is_none_or(|w| !w.quoted && (w.text == "!" || w.text.starts_with('-') && w.text.len() > 1))
    }

    /// Finds a long option: exactly, then with the module that `-p` loads, then by an unambiguous beginning.
    fn long(&mut self, name: &str) -> Option<(&'static Opt, Last)> {
        let unknown_newest = match self.last {
            Last::Match(i) => self.line.matches[i].module.is_none(),
            Last::Target => {
                self.line.target.as_ref().is_some_and(|t| t.module.is_none() && !self.has_no_options(&t.name))
            }
            Last::Core => false,
        };
        let core = CORE.iter().map(|(opt, _)| opt).find(|o| o.spelled == name).map(|o| (o, Last::Core));
        if core.is_some() || unknown_newest {
            return core;
        }
        if let Some(found) = self.modules().find(|(o, _)| o.spelled == name) {
            return Some(found);
        }
        if self.load_protocol()
            && let Some(found) = self.modules().find(|(o, _)| o.spelled == name)
        {
            return Some(found);
        }
        let core = CORE.iter().map(|(opt, _)| (opt, Last::Core));
        let mut beginnings = core.chain(self.modules()).filter(|(o, _)| o.spelled.starts_with(name));
        let first = beginnings.next()?;
        // getopt takes several that are the same option.
        beginnings.all(|(o, owner)| o.is == first.0.is && owner == first.1).then_some(first)
    }

    /// A chain or a plain verdict: what follows cannot be an option of it.
    fn has_no_options(&self, target: &str) -> bool {
        let plain = matches!(target, "ACCEPT" | "DROP" | "RETURN");
        plain || self.line.goto || (self.declared)(self.line.table.as_deref(), target)
    }

    /// Options of the loaded modules, the newest first.
    fn modules(&self) -> impl Iterator<Item = (&'static Opt, Last)> {
        let target = self.line.target.as_ref().and_then(|t| t.module);
        let target = move || target.into_iter().flat_map(|m| m.options).map(|o| (o, Last::Target));
        let newest = self.last == Last::Target;
        let matches = self.line.matches.iter().enumerate().rev();
        let matches = matches
            .flat_map(|(i, loaded)| loaded.module.iter().flat_map(|m| m.options).map(move |o| (o, Last::Match(i))));
        target().filter(move |_| newest).chain(matches).chain(target().filter(move |_| !newest))
    }

    /// `-p tcp --dport 22` without `-m tcp` loads the match of that name (`load_proto`).
    fn load_protocol(&mut self) -> bool {
        let Some((protocol, false)) = &self.line.protocol else { return false };
        let name = match names::protocol(protocol).or_else(|| protocol.parse().ok()) {
            Some(6) => "tcp",
            Some(17) => "udp",
            Some(1) => "icmp",
            Some(58) => "icmp6",
            Some(132) => "sctp",
            Some(33) => "dccp",
            Some(136) => "udplite",
            Some(50) => "esp",
            Some(51) => "ah",
            Some(135) => "mh",
            _ => return false,
        };
        if self.line.matches.iter().any(|m| m.module.is_some_and(|m| m.name == name)) {
            return false;
        }
        let Some(module) = matches::find(name) else { return false };
        self.line.matches.push(Loaded::new(Cow::Borrowed(name), Some(module)));
        self.last = Last::Match(self.line.matches.len() - 1);
        true
    }

    fn take(&mut self, start: usize, opt: &'static Opt, owner: Last, mut negated: bool, attached: Option<String>) {
        let mut values = Vec::new();
        let wanted = match opt.args {
            Args::None => 0,
            Args::One => 1,
            Args::Two => 2,
            Args::Maybe => usize::from(!self.starts_option(self.at)),
        };
        let had_attached = attached.is_some();
        if let Some(attached) = attached {
            values.push(Cow::Owned(attached));
        }
        // Old style: `-s ! 10.0.0.1`.
        if wanted > 0 && values.is_empty() && opt.invertible && self.is_bang() {
            negated = !negated;
            self.at += 1;
        }
        while values.len() < wanted
            && let Some(word) = self.words.get(self.at)
        {
            values.push(word.text.clone());
            self.at += 1;
        }
        let mut wrong = None;
        if values.len() < wanted || (had_attached && opt.args == Args::None) {
            wrong = Some(format!("--{}: wrong number of arguments", opt.spelled));
        } else if negated && !opt.invertible {
            wrong = Some(format!("! does not go with --{}", opt.spelled));
        }
        if owner == Last::Core {
            if let Some(wrong) = wrong {
                self.line.wrong.push(wrong);
            } else {
                self.core(opt.is, negated, values);
            }
            return;
        }
        let text = self.text(start);
        let given = Given { is: opt.is, negated, values };
        match owner {
            Last::Match(i) => self.line.matches[i].give(given, &text, wrong),
            _ => {
                if let Some(target) = &mut self.line.target {
                    target.give(given, &text, wrong);
                }
            }
        }
    }

    /// A word that is no option, or none that is known: with what follows up to the next option, a part that is not
    /// understood of the module before it.
    fn unknown(&mut self, start: usize) {
        while !self.starts_option(self.at) {
            self.at += 1;
        }
        let text = self.text(start);
        let wrong = format!("not understood: {text}");
        let is_option = self.words[start].text.starts_with(['-', '!']);
        match self.last {
            // A comment that lost its quotes: it tests nothing, whatever it says.
            Last::Match(i) if !is_option && self.line.matches[i].module.is_some_and(|m| m.name == "comment") => {
                let comment = &mut self.line.matches[i];
                comment.text = format!("{} {text}", comment.text);
                if let Some(value) = comment.given.last_mut().and_then(|g| g.values.last_mut()) {
                    *value = Cow::Owned(format!("{value} {text}"));
                }
            }
            Last::Core => self.line.wrong.push(wrong),
            Last::Match(i) => self.line.matches[i].spoil(&text, wrong),
            Last::Target => {
                if let Some(target) = &mut self.line.target {
                    target.spoil(&text, wrong);
                }
            }
        }
    }

    /// Words from `start` on as they may be written.
    fn text(&self, start: usize) -> String {
        let mut out = String::new();
        for word in &self.words[start..self.at] {
            if !out.is_empty() {
                out.push(' ');
            }
            if word.quoted || word.text.is_empty() {
                out.push('"');
                out.push_str(&word.text.replace('\\', "\\\\").replace('"', "\\\""));
                out.push('"');
            } else {
                out.push_str(&word.text);
            }
        }
        out
    }

    fn core(&mut self, is: &'static str, negated: bool, values: Vec<Cow<'a, str>>) {
        let mut values = values.into_iter();
        let value = values.next();
        let second = values.next();
        let Some(first) = value.clone().or(Some(Cow::Borrowed(""))) else { return };
        let line = &mut self.line;
        let slot = match is {
            "source" => &mut line.source,
            "destination" => &mut line.destination,
            "in-interface" => &mut line.in_interface,
            "out-interface" => &mut line.out_interface,
            "protocol" => &mut line.protocol,
            _ => return self.command(is, negated, value, first, second),
        };
        if slot.is_some() {
            line.wrong.push(format!("--{is} twice"));
        } else {
            *slot = Some((first, negated));
        }
    }

    fn command(
        &mut self,
        is: &'static str,
        negated: bool,
        value: Option<Cow<'a, str>>,
        first: Cow<'a, str>,
        second: Option<Cow<'a, str>>,
    ) {
        let command = match is {
            "fragments" => {
                self.line.fragment = Some(negated);
                return;
            }
            "jump" | "goto" => return self.load_target(first, is == "goto"),
            "match" => {
                let module = matches::find(&first);
                self.line.matches.push(Loaded::new(first, module));
                self.last = Last::Match(self.line.matches.len() - 1);
                return;
            }
            "set-counters" => {
                let counts = (first.parse(), second.as_deref().unwrap_or("").parse());
                match counts {
                    (Ok(packets), Ok(bytes)) => self.line.counters = Some(Counters { packets, bytes }),
                    _ => self.line.wrong.push("--set-counters: not two numbers".into()),
                }
                return;
            }
            "table" => {
                self.line.table = Some(first);
                return;
            }
            "ipv4" => {
                self.line.only = Some(crate::model::Family::Ip);
                return;
            }
            "ipv6" => {
                self.line.only = Some(crate::model::Family::Ip6);
                return;
            }
            "append" => Command::Append(first),
            "insert" => Command::Insert(first, self.place().unwrap_or(1)),
            "replace" => match self.place() {
                Some(place) => Command::Replace(first, place),
                None => return self.line.wrong.push("-R without a number".into()),
            },
            "delete" => Command::Delete(first, self.place()),
            "new-chain" => Command::New(first),
            "policy" => {
                let policy = self.words.get(self.at).map_or(Cow::Borrowed(""), |w| w.text.clone());
                self.at += 1;
                Command::Policy(first, policy)
            }
            "flush" => Command::Flush(value),
            "delete-chain" => Command::DeleteChain(value),
            "rename-chain" => Command::Rename(first, second.unwrap_or_default()),
            "zero" | "list" | "list-rules" | "check" => {
                let _ = self.place();
                Command::Look
            }
            // Waiting, output and module loading: nothing of the rule.
            _ => return,
        };
        if self.line.command == Command::None {
            self.line.command = command;
        } else {
            self.line.wrong.push(format!("a second command: --{is}"));
        }
    }

    /// A rule number after the chain.
    fn place(&mut self) -> Option<u32> {
        let number = self.words.get(self.at)?.text.parse().ok()?;
        self.at += 1;
        Some(number)
    }

    fn load_target(&mut self, name: Cow<'a, str>, goto: bool) {
        if self.line.target.is_some() {
            self.line.wrong.push("a second target".into());
            return;
        }
        let module = if goto { None } else { targets::find(&name) };
        let flag = if goto { "-g " } else { "-j " };
        let mut target = Loaded::new(name, module);
        target.text.insert_str(0, flag);
        self.line.target = Some(target);
        self.line.goto = goto;
        self.last = Last::Target;
    }
}

impl<'a, M: 'static> Loaded<'a, M> {
    fn new(name: Cow<'a, str>, module: Option<&'static M>) -> Self {
        Self { text: name.to_string(), name, module, given: Vec::new(), wrong: None }
    }

    fn give(&mut self, given: Given<'a>, text: &str, wrong: Option<String>) {
        self.text.push(' ');
        self.text.push_str(text);
        self.given.push(given);
        if wrong.is_some() {
            self.wrong = wrong;
        }
    }

    fn spoil(&mut self, text: &str, wrong: String) {
        self.text.push(' ');
        self.text.push_str(text);
        self.wrong.get_or_insert(wrong);
    }
}
