//! What several name rules read of the hosts file, the switch and the name servers' answers.

use crate::View;
use crate::report::Evidence;
use std::net::{IpAddr, SocketAddr};
use unrefuse_facts::{DnsAnswer, HostsEntry, NsSwitch, Protocol, ServerAnswer, text};

/// The name that was asked for; `None` for an address literal or a unix socket.
pub(super) fn name<'a>(view: &View<'a>) -> Option<&'a str> {
    let target = &view.case.target;
    (target.protocol != Protocol::Unix && target.literal().is_none()).then_some(target.host.trim_end_matches('.'))
}

/// The lines of the hosts file that give `name` an address; names are compared without case (hosts(5), RFC 1035).
pub(super) fn giving<'a>(view: &View<'a>, name: &str) -> Vec<&'a HostsEntry> {
    let entries = view.case.host.resolver.hosts.value().map(|file| file.entries.as_slice()).unwrap_or_default();
    entries.iter().filter(|entry| entry.names.iter().any(|n| n.eq_ignore_ascii_case(name))).collect()
}

/// A hosts line as evidence.
pub(super) fn line(entry: &HostsEntry) -> Evidence {
    let said = text::clip(text::visible(entry.text.trim()).as_str(), 120);
    Evidence::new(format!("the line reads: {said}"), &entry.location.path).at(&entry.location)
}

/// What getaddrinfo(3) gave, as evidence.
pub(super) fn resolved(view: &View<'_>) -> Option<Evidence> {
    let addresses = view.case.resolution.result.as_ref().ok()?;
    let list: Vec<String> = addresses.iter().map(|a| a.ip().to_string()).collect();
    Some(Evidence::new(format!("{} resolves to {}", view.case.target.host, list.join(", ")), "getaddrinfo"))
}

/// What the name servers said, where they were asked.
pub(super) fn answers<'a>(view: &View<'a>) -> &'a [ServerAnswer] {
    view.case.host.resolver.answers.value().map(Vec::as_slice).unwrap_or_default()
}

/// The addresses that the DNS gives the name, with the server that said so first.
pub(super) fn dns_addresses(view: &View<'_>) -> Option<(SocketAddr, Vec<IpAddr>)> {
    answers(view).iter().find_map(|a| match &a.answer {
        DnsAnswer::Addresses(addresses) if !addresses.is_empty() => Some((a.server, addresses.clone())),
        _ => None,
    })
}

/// One server's answer as evidence.
pub(super) fn said(answer: &ServerAnswer) -> Evidence {
    let name = text::visible(&answer.name);
    let text = match &answer.answer {
        DnsAnswer::Addresses(addresses) => {
            let list: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
            format!("{name} is {}", list.join(", "))
        }
        DnsAnswer::NoSuchName => format!("{name} does not exist (NXDOMAIN)"),
        DnsAnswer::NoAddress => format!("{name} exists and has no address"),
        DnsAnswer::Failure(code) => format!("{name}: the server answers {}", text::visible(code)),
        DnsAnswer::Refused => "the server's port is closed (ICMP port unreachable)".to_owned(),
        DnsAnswer::Silent => format!("no answer in {} ms", answer.elapsed.as_millis()),
        DnsAnswer::NotSent(why) => format!("the question could not be sent: {}", text::visible(why)),
    };
    Evidence::new(text, format!("DNS {}", answer.server))
}

/// How many sources of the switch that look into the DNS there are: `dns` itself, or `resolve` (nss-resolve(8)).
pub(super) fn asks_dns(switch: &NsSwitch) -> bool {
    switch.services.iter().any(|s| matches!(first_word(s), "dns" | "resolve"))
}

/// Whether the hosts file is asked, and before the DNS.
pub(super) fn files_first(switch: &NsSwitch) -> bool {
    let place = |wanted: &[&str]| switch.services.iter().position(|s| wanted.contains(&first_word(s)));
    match (place(&["files"]), place(&["dns", "resolve"])) {
        (Some(files), Some(dns)) => files < dns,
        (files, _) => files.is_some(),
    }
}

/// The service without its actions.
pub(super) fn first_word(service: &str) -> &str {
    service.split_whitespace().next().unwrap_or_default()
}
