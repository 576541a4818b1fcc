//! The report for a terminal.

use super::{Decider, Destination, Fate, Report, Step, words};
use crate::page::{BODY, Page, Spans};
use crate::style::{Ink, Style};
use std::net::IpAddr;
use unrefuse_diagnose::report::GateStatus;

/// Where the text of a step begins.
const STEP: usize = 16;
/// Assumptions, ignored matches and problems that are listed without `-v`, of each kind.
const FEW: usize = 6;

/// `report` as text that ends with a newline: the verdict, the rule, what the client sees, and the way. Without
/// [`Style::verbose`] the way shows what decided, what changed the packet, and the jumps that led there.
pub fn text(report: &Report, style: &Style) -> String {
    let mut page = Page::new(style);
    verdict(&mut page, report);
    page.gap();
    facts(&mut page, report);
    if !report.way.is_empty() {
        page.gap();
        way(&mut page, "way", &report.way, report.fate, true);
    }
    if let Some(reply) = report.reply.as_ref().filter(|r| r.fate != Fate::Accepted || style.verbose) {
        page.gap();
        way(&mut page, "way of the answer", &reply.way, reply.fate, false);
    }
    list(&mut page, "taken for granted", &report.assumptions);
    list(&mut page, "not understood, or not to be known beforehand", &report.ignored);
    list(&mut page, "not understood in the rules", &report.problems);
    page.finish()
}

fn verdict(page: &mut Page<'_>, report: &Report) {
    let question = &report.question;
    let from = question.from.map_or_else(|| "this machine".to_owned(), |from| from.to_string());
    let to = endpoint(question.to, question.port);
    let line = Spans::new(Ink::Strong, &format!("{from} -> {to}/{}", question.protocol)).then(Ink::Plain, " ");
    let ink = if report.exit_code() == 0 { Ink::Good } else { ink(report.fate) };
    let line = match (report.fate, &report.reason) {
        (Fate::Depends, _) => match &report.decided_by {
            Some(by) => line
                .then(Ink::Doubt, "cannot be told")
                .then(Ink::Plain, ": it depends on ")
                .then(Ink::Strong, &by_whom(page, by)),
            None => line.then(Ink::Doubt, "cannot be told"),
        },
        (Fate::Unknown, reason) => line
            .then(Ink::Doubt, "cannot be told")
            .then(Ink::Plain, &reason.as_ref().map(|r| format!(": {}", page.safe(r))).unwrap_or_default()),
        (fate, _) => by(page, line.then(ink, self::fate(fate)), report.decided_by.as_ref()),
    };
    let line = match report.reply.as_ref().filter(|_| report.fate == Fate::Accepted) {
        Some(reply) => match reply.fate {
            Fate::Accepted => line,
            Fate::Depends | Fate::Unknown => {
                line.then(Ink::Plain, "; ").then(Ink::Doubt, "whether its answer comes back cannot be told")
            }
            stopped => by(
                page,
                line.then(Ink::Plain, ", but ").then(Ink::Bad, &format!("its answer is {}", self::fate(stopped))),
                reply.decided_by.as_ref(),
            ),
        },
        None => line,
    };
    page.hanging(2, &line, "");
}

/// ` by …`, or `: …` where the stack has a reason and where nothing filters.
fn by(page: &Page<'_>, line: Spans, decider: Option<&Decider>) -> Spans {
    match decider {
        Some(decider) if decider.kind == "stack" => {
            line.then(Ink::Plain, ": ").then(Ink::Strong, &page.safe(decider.text.as_deref().unwrap_or_default()))
        }
        Some(decider) => line.then(Ink::Plain, " by ").then(Ink::Strong, &by_whom(page, decider)),
        None => line.then(Ink::Plain, ": nothing filters it"),
    }
}

fn by_whom(page: &Page<'_>, decider: &Decider) -> String {
    let owner = decider.owner.as_ref().map(|owner| format!(" ({})", page.safe(&owner.name))).unwrap_or_default();
    place(page, decider) + &owner
}

/// `ip filter INPUT rule 7`, `the policy of ip filter INPUT`, `the network stack`.
fn place(page: &Page<'_>, decider: &Decider) -> String {
    let (Some(family), Some(table), Some(chain)) = (decider.family, &decider.table, &decider.chain) else {
        return "the network stack".to_owned();
    };
    let chain = format!("{family} {} {}", page.safe(table), page.safe(chain));
    match decider.number {
        Some(number) => format!("{chain} rule {number}"),
        None => format!("the policy of {chain}"),
    }
}

fn facts(page: &mut Page<'_>, report: &Report) {
    if let Some(by) = report.decided_by.as_ref().filter(|by| by.kind != "stack") {
        if let Some(text) = &by.text {
            entry(page, "rule", &page.safe(text));
        }
        entry(page, "stands", &stands(page, by));
        if let Some(owner) = &by.owner {
            let part = match (owner.name.as_str(), &owner.part) {
                ("firewalld", Some(zone)) => format!(", zone {}", page.safe(zone)),
                ("fail2ban", Some(jail)) => format!(", jail {}", page.safe(jail)),
                (_, Some(service)) => format!(", Service {}", page.safe(service)),
                _ => String::new(),
            };
            entry(page, "made by", &(page.safe(&owner.name) + &part));
        } else {
            entry(page, "made by", "hand or a script: no program shows");
        }
        if let Some(comment) = &by.comment {
            entry(page, "comment", &page.safe(comment));
        }
    }
    for by in &report.also_decided_by {
        entry(page, "or by", &by_whom(page, by));
    }
    if report.fate == Fate::Depends {
        if let Some(reason) = &report.reason {
            entry(page, "because", &page.safe(reason));
        }
        let fates: Vec<&str> = report.may_be.iter().map(|f| fate(*f)).collect();
        entry(page, "may be", &fates.join(" or "));
    }
    if let Some(with) = &report.rejected_with {
        let label = if report.fate == Fate::NotSent { "fails with" } else { "answers" };
        entry(page, label, &page.safe(with));
    }
    // Where it was meant to go, and as people expect it to get there: nothing to say.
    let meant = |to: &Destination| {
        (to.local || report.question.way == "out")
            && (to.address, to.port) == (Some(report.question.to), Some(report.question.port))
    };
    for to in report.destinations.iter().filter(|to| !meant(to)) {
        entry(page, "goes to", &destination(page, to));
    }
    let from = report.question.from;
    if let Some(translated) = report.translated.as_ref().filter(|t| from.is_some() && t.from != from) {
        let from = translated.from.map_or_else(|| "an address that is not known".to_owned(), |a| a.to_string());
        entry(page, "comes from", &format!("{from}, after NAT"));
    }
    entry(page, "client sees", &sees(report));
}

fn entry(page: &mut Page<'_>, label: &str, body: &str) {
    page.entry(BODY, Spans::new(Ink::Faint, label), &Spans::new(Ink::Plain, body));
}

/// `line 7 of rules.v4, handle 4 (iptables-legacy), 3 packets, 180 bytes so far`.
fn stands(page: &Page<'_>, by: &Decider) -> String {
    let table = by.table.as_deref().map(|t| page.safe(t)).unwrap_or_default();
    let mut parts = vec![format!("in chain {}", page.safe(by.chain.as_deref().unwrap_or_default()))];
    let backend = match by.backend {
        Some("legacy") => " of iptables-legacy",
        Some("iptables-nft") => " of iptables-nft",
        Some("iptables") => " of iptables",
        _ => "",
    };
    parts.push(format!("table {} {table}{backend}", by.family.unwrap_or_default()));
    match (by.line, &by.file) {
        (Some(line), Some(file)) => parts.push(format!("line {line} of {}", page.safe(file))),
        (Some(line), None) => parts.push(format!("line {line}")),
        (None, Some(file)) => parts.push(format!("in {}", page.safe(file))),
        (None, None) => {}
    }
    if let Some(handle) = by.handle {
        parts.push(format!("handle {handle}"));
    }
    parts.join(", ") + &counted(by)
}

/// `; 3 packets, 180 bytes so far`.
fn counted(by: &Decider) -> String {
    match by.counters {
        Some(c) => {
            let packets = if c.packets == 1 { "packet" } else { "packets" };
            format!("; {} {packets}, {} bytes so far", c.packets, c.bytes)
        }
        None => String::new(),
    }
}

fn destination(page: &Page<'_>, to: &Destination) -> String {
    let address = match (to.address, to.port) {
        (Some(address), Some(port)) => endpoint(address, port),
        (Some(address), None) => address.to_string(),
        (None, Some(port)) => format!("port {port} of an address that is not known"),
        (None, None) => "an address that is not known".to_owned(),
    };
    match (&to.iface, to.local) {
        (_, true) => format!("{address}, on this machine"),
        (Some(iface), false) => format!("{address}, by {}", page.safe(iface)),
        (None, false) => address,
    }
}

fn endpoint(address: IpAddr, port: u16) -> String {
    match address {
        IpAddr::V4(address) => format!("{address}:{port}"),
        IpAddr::V6(address) => format!("[{address}]:{port}"),
    }
}

fn sees(report: &Report) -> String {
    let (seen, udp) = (&report.client_sees, report.question.protocol == "udp");
    let ends = match seen.errno {
        Some(errno) if udp => format!("; a connected socket fails with {errno}"),
        Some(errno) => format!(": connect() fails with {errno}"),
        None => String::new(),
    };
    match (seen.kind, seen.icmp_version, seen.icmp_type, seen.icmp_code) {
        ("answer", ..) => "the answer of whatever listens there, or a refusal where nothing does".to_owned(),
        ("silence", ..) if udp => "nothing".to_owned(),
        ("silence", ..) => format!("nothing{ends} after its retries"),
        ("reset", ..) => format!("a TCP reset{ends}"),
        ("icmp", Some(version), Some(kind), Some(code)) => format!("{}{ends}", words::icmp(version, kind, code)),
        ("errno", ..) => format!("{} at once: no packet leaves", seen.errno.unwrap_or("an error")),
        _ => "cannot be told".to_owned(),
    }
}

fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Accepted => "accepted",
        Fate::Dropped => "dropped",
        Fate::Rejected => "rejected",
        Fate::NotSent => "not sent",
        Fate::Depends | Fate::Unknown => "cannot be told",
    }
}

fn ink(fate: Fate) -> Ink {
    match fate {
        Fate::Accepted => Ink::Plain,
        Fate::Dropped | Fate::Rejected | Fate::NotSent => Ink::Bad,
        Fate::Depends | Fate::Unknown => Ink::Doubt,
    }
}

/// `told`: the rule that decides stands above already.
fn way(page: &mut Page<'_>, title: &str, steps: &[Step], fate: Fate, told: bool) {
    let shown = if page.style.verbose { vec![true; steps.len()] } else { telling(steps) };
    page.entry(0, Spans::default(), &Spans::new(Ink::Strong, title));
    let status = match fate {
        Fate::Accepted => GateStatus::Pass,
        Fate::Depends | Fate::Unknown => GateStatus::Unknown,
        _ => GateStatus::Blocks,
    };
    let mut hook = "";
    for (step, _) in steps.iter().zip(&shown).filter(|(_, shown)| **shown) {
        let (mark, ink) = if step.decides { page.style.mark(status) } else { ("", Ink::Plain) };
        let pad = if mark.is_empty() { " " } else { "" };
        let name = if hook == step.by.hook { "" } else { step.by.hook };
        hook = step.by.hook;
        let label = Spans::new(ink, &format!("  {mark}{pad} ")).then(Ink::Faint, name);
        let body = match step.by.kind {
            "stack" => {
                Spans::new(Ink::Plain, "routing: ").then(Ink::Plain, &page.safe(step.by.text.as_deref().unwrap_or("")))
            }
            "policy" => Spans::new(Ink::Plain, &format!("{}: ", chain(page, &step.by)))
                .then(if step.decides { Ink::Strong } else { Ink::Plain }, &page.safe(&step.does)),
            _ => {
                let number = step.by.number.unwrap_or_default();
                Spans::new(Ink::Plain, &format!("{} {number}: ", chain(page, &step.by)))
                    .then(if step.decides { Ink::Strong } else { Ink::Plain }, &page.safe(&step.does))
            }
        };
        page.entry(STEP, label, &body);
        let told = jumps_to(step).is_some() || told && step.decides;
        let told = told && !page.style.verbose;
        let text = step.by.text.as_ref().filter(|_| step.by.kind == "rule" && !told).map(|text| page.safe(text));
        let found = if page.style.verbose { found_by(page, &step.by) } else { String::new() };
        for line in text.into_iter().chain(Some(found).filter(|found| !found.is_empty())) {
            page.entry(STEP + 2, Spans::default(), &Spans::new(Ink::Faint, &line));
        }
    }
    page.left_out(4, shown.iter().filter(|shown| !**shown).count());
}

/// `line 7 of rules.v4, handle 4; 3 packets, 180 bytes so far`.
fn found_by(page: &Page<'_>, by: &Decider) -> String {
    let line = by.line.map(|line| match &by.file {
        Some(file) => format!("line {line} of {}", page.safe(file)),
        None => format!("line {line}"),
    });
    let place: Vec<String> = line.into_iter().chain(by.handle.map(|handle| format!("handle {handle}"))).collect();
    let counted = counted(by);
    match (place.is_empty(), counted.strip_prefix("; ")) {
        (true, Some(counted)) => counted.to_owned(),
        _ => place.join(", ") + &counted,
    }
}

fn chain(page: &Page<'_>, by: &Decider) -> String {
    let [family, table, chain] = [by.family, by.table.as_deref(), by.chain.as_deref()].map(Option::unwrap_or_default);
    format!("{family} {} {}", page.safe(table), page.safe(chain))
}

fn jumps_to(step: &Step) -> Option<&str> {
    step.does.strip_prefix("jump ").or_else(|| step.does.strip_prefix("goto "))
}

/// Which steps tell something: what decided, what a rule accepted, dropped or changed, and the jumps that led there.
fn telling(steps: &[Step]) -> Vec<bool> {
    const DOES: [&str; 16] = [
        "accept",
        "drop",
        "reject",
        "queue",
        "stops",
        "dnat",
        "snat",
        "masquerade",
        "redirect",
        "netmap",
        "tproxy",
        "notrack",
        "meta",
        "ct",
        "policy drop",
        "payload",
    ];
    let mut shown: Vec<bool> = steps
        .iter()
        .map(|step| {
            let rest = |word: &str| step.does.strip_prefix(word).is_some_and(|r| r.is_empty() || r.starts_with(' '));
            step.decides || DOES.into_iter().any(rest)
        })
        .collect();
    // From the end: a jump is shown when the chain that it leads to shows something behind it.
    for index in (0..steps.len()).rev() {
        let Some(target) = jumps_to(&steps[index]) else { continue };
        let jump = &steps[index].by;
        let led = steps[index + 1..]
            .iter()
            .zip(&shown[index + 1..])
            .take_while(|(step, _)| step.by.hook == jump.hook && step.by.table == jump.table)
            // Back in the chain of the jump: what follows is not behind it.
            .take_while(|(step, _)| step.by.chain != jump.chain)
            .any(|(step, shown)| *shown && step.by.chain.as_deref() == Some(target));
        shown[index] |= led;
    }
    shown
}

fn list(page: &mut Page<'_>, title: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    page.gap();
    page.entry(0, Spans::default(), &Spans::new(Ink::Strong, title));
    let shown = if page.style.verbose { items.len() } else { FEW };
    for item in items.iter().take(shown) {
        let item = page.safe(item);
        page.entry(4, Spans::new(Ink::Faint, "  -"), &Spans::new(Ink::Plain, &item));
    }
    page.left_out(4, items.len().saturating_sub(shown));
}
