//! Commands and blocks: tables, chains, sets, rules.

use super::Reader;
use super::cursor::Cursor;
use super::expression::{elements, left};
use super::json;
use super::lexer::{Kind, Token};
use super::statement::{Parsed, Place, rule};
use crate::model::{Family, Problem, Ruleset, Statement};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Chains without a name within each other, at most.
const DEEPEST: usize = 8;

/// A rule of a file.
#[derive(Debug)]
struct RawRule {
    content: Value,
    rest: bool,
    file: u16,
    line: u32,
    text: String,
}

/// What the commands have made by now, as objects of nft's JSON.
#[derive(Debug, Default)]
pub(super) struct Objects {
    tables: Vec<Value>,
    /// Chains, sets and maps.
    parts: Vec<(&'static str, Value)>,
    rules: Vec<RawRule>,
    unnamed: usize,
}

/// A table's family and name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Table {
    family: &'static str,
    name: String,
}

const FAMILIES: [&str; 6] = ["ip", "ip6", "inet", "arp", "bridge", "netdev"];
/// What a table may hold that decides nothing where it stands.
const OTHERS: [&str; 7] = ["counter", "quota", "limit", "ct", "synproxy", "flowtable", "secmark"];

fn family_of(content: &Value) -> Option<&str> {
    content.get("family").and_then(Value::as_str)
}

fn is_of(content: &Value, table: &Table) -> bool {
    family_of(content) == Some(table.family) && content.get("table").and_then(Value::as_str) == Some(&table.name)
}

fn is_chain(content: &Value, table: &Table, chain: &str) -> bool {
    is_of(content, table) && content.get("chain").and_then(Value::as_str) == Some(chain)
}

fn has_name(content: &Value, name: &str) -> bool {
    content.get("name").and_then(Value::as_str) == Some(name)
}

impl Objects {
    fn table(&mut self, table: &Table) -> &mut Value {
        let is = |known: &Value| family_of(known) == Some(table.family) && has_name(known, &table.name);
        let at = self.tables.iter().position(is).unwrap_or_else(|| {
            self.tables.push(json!({ "family": table.family, "name": table.name }));
            self.tables.len() - 1
        });
        &mut self.tables[at]
    }

    fn part(&mut self, kind: &'static str, table: &Table, name: &str) -> &mut Map<String, Value> {
        let at = self.parts.iter().position(|(k, known)| {
            (*k == "chain") == (kind == "chain") && is_of(known, table) && has_name(known, name)
        });
        let at = at.unwrap_or_else(|| {
            self.parts.push((kind, json!({ "family": table.family, "table": table.name, "name": name })));
            self.parts.len() - 1
        });
        match &mut self.parts[at].1 {
            Value::Object(members) => members,
            _ => unreachable!("every part is made as an object"),
        }
    }

    fn delete(&mut self, table: &Table) {
        self.tables.retain(|known| family_of(known) != Some(table.family) || !has_name(known, &table.name));
        self.parts.retain(|(_, known)| !is_of(known, table));
        self.rules.retain(|rule| !is_of(&rule.content, table));
    }

    /// The ruleset that the objects are.
    pub(super) fn ruleset(self, files: &[Arc<str>]) -> Ruleset {
        let mut ruleset = Ruleset::default();
        let misread = |ruleset: &mut Ruleset, kind: &str, content: &Value| {
            let name = content.get("name").and_then(Value::as_str).unwrap_or_default();
            let text = "a part of it is not understood".to_owned();
            ruleset.problems.push(Problem { place: format!("{kind} {name}"), text });
        };
        for content in &self.tables {
            if json::table(&mut ruleset, content).is_none() {
                misread(&mut ruleset, "table", content);
            }
        }
        for (kind, content) in &self.parts {
            let read = match *kind {
                "chain" => json::chain(&mut ruleset, content),
                _ => json::named_set(&mut ruleset, content),
            };
            if read.is_none() {
                misread(&mut ruleset, kind, content);
            }
        }
        for raw in self.rules {
            match json::rule(&mut ruleset, &raw.content) {
                Some(rule) => {
                    rule.line = Some(raw.line);
                    rule.file = files.get(usize::from(raw.file)).filter(|_| raw.file > 0).cloned();
                    if raw.rest {
                        rule.statements.push(Statement::Unknown(raw.text.clone()));
                    }
                    rule.text = raw.text.into();
                }
                None => {
                    let text = format!("a rule of a chain that is not there: {}", raw.text);
                    let file = files.get(usize::from(raw.file)).map_or("", |name| name);
                    ruleset.problems.push(Problem { place: format!("{file} line {}", raw.line), text });
                }
            }
        }
        json::backends(&mut ruleset);
        ruleset
    }
}

impl Reader<'_> {
    pub(super) fn command(&mut self, c: &mut Cursor) -> Option<()> {
        if c.is("table") {
            c.next();
            let table = table(c)?;
            return self.table_block(c, &table);
        }
        let verb = c.one_of(&["flush", "add", "create", "insert", "delete", "destroy", "list"])?;
        if verb == "list" {
            c.statement();
            return Some(());
        }
        let what = c.one_of(&["ruleset", "table", "chain", "rule", "set", "map", "element"]);
        match (verb, what) {
            ("flush", Some("ruleset")) => {
                let family = c.one_of(&FAMILIES);
                self.objects.tables.retain(|known| family.is_some() && family_of(known) != family);
                self.objects.parts.retain(|(_, known)| family.is_some() && family_of(known) != family);
                self.objects.rules.retain(|rule| family.is_some() && family_of(&rule.content) != family);
            }
            ("flush", Some("table")) => {
                let table = table(c)?;
                self.objects.rules.retain(|rule| !is_of(&rule.content, &table));
            }
            ("flush", Some("chain")) => {
                let (table, chain) = (table(c)?, c.name()?);
                self.objects.rules.retain(|rule| !is_chain(&rule.content, &table, &chain));
            }
            ("flush", Some("set" | "map")) => {
                let (table, set) = (table(c)?, c.name()?);
                self.objects.part("set", &table, &set).remove("elem");
            }
            ("delete" | "destroy", Some("table")) => {
                let table = table(c)?;
                self.objects.delete(&table);
            }
            ("add" | "create", Some("table")) => {
                let table = table(c)?;
                self.table_block(c, &table)?;
            }
            ("add" | "create", Some("chain")) => {
                let (table, chain) = (table(c)?, c.name()?);
                self.chain_block(c, &table, &chain)?;
            }
            ("add" | "create", Some(kind @ ("set" | "map"))) => {
                let (table, set) = (table(c)?, c.name()?);
                self.set_block(c, kind, &table, &set)?;
            }
            ("add" | "create", Some("element")) => {
                let (table, set) = (table(c)?, c.name()?);
                self.add_elements(c, &table, &set)?;
            }
            ("add" | "insert", Some("rule")) => self.rule_command(c, verb == "insert")?,
            // `add ip t c tcp dport 22 accept`: a rule without the word.
            _ => return None,
        }
        Some(())
    }

    fn rule_command(&mut self, c: &mut Cursor, first: bool) -> Option<()> {
        let (table, chain) = (table(c)?, c.name()?);
        // Places among rules by number or handle.
        if ["position", "index", "handle"].iter().any(|word| c.is(word)) {
            return None;
        }
        let tokens = c.statement();
        let before = self.objects.rules.len();
        self.rule(c, &table, &chain, tokens, 0);
        if first {
            let at = self.objects.rules.iter().position(|rule| is_chain(&rule.content, &table, &chain))?;
            if at < before {
                let rule = self.objects.rules.pop()?;
                self.objects.rules.insert(at, rule);
            }
        }
        Some(())
    }

    fn table_block(&mut self, c: &mut Cursor, table: &Table) -> Option<()> {
        self.objects.table(table);
        if !c.take("{") {
            return c.is_end().then_some(());
        }
        self.block(c, &format!("table {}", table.name), |reader, c| {
            match c.one_of(&["chain", "set", "map", "flags", "comment"]) {
                Some("chain") => c.name().and_then(|name| reader.chain_block(c, table, &name)),
                Some(kind @ ("set" | "map")) => c.name().and_then(|name| reader.set_block(c, kind, table, &name)),
                Some("flags") => {
                    let flags: Vec<String> = c.statement().iter().map(|token| token.text.to_string()).collect();
                    reader.objects.table(table)["flags"] = json!(flags);
                    Some(())
                }
                Some(_) => {
                    c.statement();
                    Some(())
                }
                None if OTHERS.iter().any(|word| c.is(word)) => {
                    c.statement();
                    Some(())
                }
                None => None,
            }
        })
    }

    /// What stands between braces, up to the closing one, each statement by `read`; one that it does not understand is a
    /// problem, and passed over.
    fn block(
        &mut self,
        c: &mut Cursor,
        of: &str,
        mut read: impl FnMut(&mut Self, &mut Cursor) -> Option<()>,
    ) -> Option<()> {
        loop {
            c.pass_ends();
            if c.take("}") {
                return Some(());
            }
            let first = c.peek()?.clone();
            if self.preprocessed(c).is_some() {
                continue;
            }
            if read(self, c).is_none() {
                let rest = c.statement();
                let text = format!("{of}: not understood: {} {}", first.text, self.source(&rest));
                self.problem(&first, &text);
            }
        }
    }

    fn chain_block(&mut self, c: &mut Cursor, table: &Table, chain: &str) -> Option<()> {
        self.objects.table(table);
        self.objects.part("chain", table, chain);
        if !c.take("{") {
            return c.is_end().then_some(());
        }
        self.chain_body(c, table, chain, 0)
    }

    fn chain_body(&mut self, c: &mut Cursor, table: &Table, chain: &str, depth: usize) -> Option<()> {
        self.block(c, &format!("chain {chain}"), |reader, c| {
            match c.one_of(&["type", "policy", "comment", "flags", "devices"]) {
                Some("type") => hook(c, table, reader.objects.part("chain", table, chain)),
                Some("policy") => c.one_of(&["accept", "drop"]).map(|policy| {
                    reader.objects.part("chain", table, chain).insert("policy".to_owned(), policy.into());
                }),
                Some("devices") => c.want("=").and_then(|()| elements(c)).map(|devices| {
                    reader.objects.part("chain", table, chain).insert("dev".to_owned(), devices.into());
                }),
                Some(_) => {
                    c.statement();
                    Some(())
                }
                None => {
                    let tokens = c.statement();
                    reader.rule(c, table, chain, tokens, depth);
                    Some(())
                }
            }
        })
    }

    fn rule(&mut self, c: &mut Cursor, table: &Table, chain: &str, tokens: Vec<Token>, depth: usize) {
        let Some(first) = tokens.first().cloned() else {
            // Something that is no rule and ends none.
            c.next();
            return;
        };
        let text = self.source(&tokens);
        let (file, line) = (first.file, first.line);
        let mut inner = c.of(tokens);
        let Parsed { expr, comment, rest } = rule(&mut inner, &mut Unnamed { reader: self, table, depth });
        let mut content = json!({ "family": table.family, "table": table.name, "chain": chain, "expr": expr });
        if let Some(comment) = comment {
            content["comment"] = comment.into();
        }
        // `nft -a` writes it behind the rule.
        let handle = c.peek().filter(|token| token.kind == Kind::End).and_then(|token| token.text.parse::<u64>().ok());
        if let Some(handle) = handle {
            content["handle"] = handle.into();
        }
        self.objects.rules.push(RawRule { content, rest, file, line, text });
    }

    fn set_block(&mut self, c: &mut Cursor, kind: &'static str, table: &Table, name: &str) -> Option<()> {
        self.objects.table(table);
        self.objects.part(kind, table, name);
        c.want("{")?;
        loop {
            c.pass_ends();
            if c.take("}") {
                return Some(());
            }
            c.peek()?;
            if self.preprocessed(c).is_some() {
                continue;
            }
            let word = c.one_of(&["type", "typeof", "flags", "elements", "timeout", "comment"]);
            match word {
                Some(how @ ("type" | "typeof")) => {
                    let (key, data) = types(c, how == "typeof").unwrap_or_default();
                    let set = self.objects.part(kind, table, name);
                    set.insert("type".to_owned(), key.into());
                    if !data.is_empty() {
                        set.insert("map".to_owned(), data.into());
                    }
                    c.statement();
                }
                Some("flags") => {
                    let flags: Vec<Value> = c.statement().iter().map(|token| Value::from(&*token.text)).collect();
                    self.objects.part(kind, table, name).insert("flags".to_owned(), flags.into());
                }
                Some("elements") => {
                    c.want("=")?;
                    self.add_elements(c, table, name)?;
                }
                Some("timeout") => {
                    c.statement();
                    let set = self.objects.part(kind, table, name);
                    set.entry("flags").or_insert_with(|| json!(["timeout"]));
                }
                Some("comment") => {
                    let comment = c.name()?.to_string();
                    self.objects.part(kind, table, name).insert("comment".to_owned(), comment.into());
                }
                // Size, policy, gc-interval, auto-merge, counter.
                _ => {
                    if c.statement().is_empty() {
                        c.next();
                    }
                }
            }
        }
    }

    fn add_elements(&mut self, c: &mut Cursor, table: &Table, name: &str) -> Option<()> {
        let mut tokens = Vec::new();
        // Up to their end, so that one that is not understood spoils the set and nothing else.
        c.is("{").then_some(())?;
        tokens.extend(c.statement());
        let mut inner = c.of(tokens);
        // An element that nobody knows makes the set not understood.
        let list =
            elements(&mut inner).filter(|_| inner.is_end()).unwrap_or_else(|| vec![json!({ "not understood": 1 })]);
        let known = self.objects.part("set", table, name).entry("elem").or_insert_with(|| json!([]));
        if let Value::Array(known) = known {
            known.extend(list);
        }
        Some(())
    }
}

/// Where chains without a name go.
struct Unnamed<'a, 'r> {
    reader: &'a mut Reader<'r>,
    table: &'a Table,
    depth: usize,
}

impl Place for Unnamed<'_, '_> {
    fn family(&self) -> Family {
        json::family(self.table.family).unwrap_or(Family::Inet)
    }

    fn chain(&mut self, c: &mut Cursor) -> Option<String> {
        (self.depth < DEEPEST).then_some(())?;
        c.want("{")?;
        let name = format!("__chain{}", self.reader.objects.unnamed);
        self.reader.objects.unnamed += 1;
        self.reader.objects.part("chain", self.table, &name);
        self.reader.chain_body(c, self.table, &name, self.depth + 1)?;
        Some(name)
    }
}

fn table(c: &mut Cursor) -> Option<Table> {
    let family = c.one_of(&FAMILIES).unwrap_or("ip");
    Some(Table { family, name: c.name()?.to_string() })
}

/// `filter hook input priority filter + 10`, with devices between.
fn hook(c: &mut Cursor, table: &Table, chain: &mut Map<String, Value>) -> Option<()> {
    let kind = c.one_of(&["filter", "nat", "route"])?;
    c.want("hook")?;
    let hook = c.word()?;
    match c.one_of(&["device", "devices"]) {
        Some("device") => drop(chain.insert("dev".to_owned(), json!(&*c.name()?))),
        Some(_) => {
            c.want("=")?;
            chain.insert("dev".to_owned(), elements(c)?.into());
        }
        None => {}
    }
    c.want("priority")?;
    let priority = priority(c, table)?;
    c.is_end().then_some(())?;
    chain.insert("type".to_owned(), kind.into());
    chain.insert("hook".to_owned(), hook.to_string().into());
    chain.insert("prio".to_owned(), priority.into());
    Some(())
}

/// A number, or a name with a number added (nft(8), "Standard priority names").
fn priority(c: &mut Cursor, table: &Table) -> Option<i64> {
    let bridge = table.family == "bridge";
    let named = match c.one_of(&["raw", "mangle", "dstnat", "filter", "security", "srcnat", "out"]) {
        Some("raw") if !bridge => Some(-300),
        Some("mangle") if !bridge => Some(-150),
        Some("dstnat") => Some(if bridge { -300 } else { -100 }),
        Some("filter") => Some(if bridge { -200 } else { 0 }),
        Some("security") if !bridge => Some(50),
        Some("srcnat") => Some(if bridge { 300 } else { 100 }),
        Some("out") if bridge => Some(100),
        Some(_) => return None,
        None => None,
    };
    let number = |c: &mut Cursor| i64::try_from(c.number()?).ok().filter(|number| *number <= i64::from(i32::MAX));
    Some(match (named, c.one_of(&["+", "-"])) {
        (None, None) => number(c)?,
        (Some(named), None) => named,
        (named, Some("-")) => named.unwrap_or(0) - number(c)?,
        (named, Some(_)) => named.unwrap_or(0) + number(c)?,
    })
}

/// `ipv4_addr . inet_service : verdict`, or fields of such types.
fn types(c: &mut Cursor, of_fields: bool) -> Option<(Vec<Value>, Vec<Value>)> {
    let one = |c: &mut Cursor| -> Option<Vec<Value>> {
        if c.take("verdict") {
            return Some(vec!["verdict".into()]);
        }
        if of_fields {
            let fields = left(c)?;
            let parts = fields.get("concat").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![fields]);
            return parts.iter().map(|part| Some(Value::from(type_of(part)?))).collect();
        }
        let mut list = vec![Value::from(c.word()?.to_string())];
        while c.take(".") {
            list.push(c.word()?.to_string().into());
        }
        Some(list)
    };
    let key = one(c)?;
    let data = if c.take(":") { one(c)? } else { Vec::new() };
    Some((key, data))
}

/// The type of a field's values (nft(8), DATA TYPES).
fn type_of(field: &Value) -> Option<&'static str> {
    let text = |space: &str, member: &str| field.get(space).and_then(|f| f.get(member)).and_then(Value::as_str);
    if let (Some(protocol), Some(name)) = (text("payload", "protocol"), text("payload", "field")) {
        return Some(match (protocol, name) {
            ("ip", "saddr" | "daddr") => "ipv4_addr",
            ("ip6", "saddr" | "daddr") => "ipv6_addr",
            ("ether", "saddr" | "daddr") => "ether_addr",
            (_, "sport" | "dport") => "inet_service",
            ("ip", "protocol") | ("ip6", "nexthdr") => "inet_proto",
            ("icmp", "type") => "icmp_type",
            ("icmpv6", "type") => "icmpv6_type",
            _ => return None,
        });
    }
    match text("meta", "key").or_else(|| text("ct", "key"))? {
        "mark" => Some("mark"),
        "iif" | "oif" | "iifname" | "oifname" => Some("ifname"),
        "l4proto" => Some("inet_proto"),
        "nfproto" => Some("nf_proto"),
        "protocol" if field.get("meta").is_some() => Some("ether_type"),
        "protocol" => Some("inet_proto"),
        "state" => Some("ct_state"),
        "status" => Some("ct_status"),
        "pkttype" => Some("pkt_type"),
        "skuid" => Some("uid"),
        "skgid" => Some("gid"),
        _ => None,
    }
}
