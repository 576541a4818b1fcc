//! Reports made by hand, as the engine makes them.
#![allow(dead_code, reason = "each test takes what it needs")]

use serde_json::{Value, json};
use unrefuse_diagnose::Report;

/// A report of `outcome` whose gates have the statuses `p`ass, `b`locks, `u`nknown or `s`kipped.
fn report(target: (&str, u16), outcome: &str, gates: &str, rest: Value) -> Report {
    let names = ["name", "route", "egress", "path", "ingress", "listener", "access"];
    let summary = |name: &str, status: char| match (name, status) {
        ("name", 'p') => format!("{} is 10.0.0.5", target.0),
        ("route", 'p') => "goes out by eth0 via 10.0.0.1".to_owned(),
        ("path", 's') => "the target is this machine".to_owned(),
        (_, 'p') => "it passes".to_owned(),
        (_, 'b') => "it is stopped here".to_owned(),
        (_, 'u') => "the server's filters were not judged".to_owned(),
        _ => "no connection was made".to_owned(),
    };
    let journey: Vec<Value> = names
        .iter()
        .zip(gates.chars())
        .map(|(name, status)| {
            let word = match status {
                'p' => "pass",
                'b' => "blocks",
                'u' => "unknown",
                _ => "skipped",
            };
            json!({"gate": name, "status": word, "summary": summary(name, status)})
        })
        .collect();
    let mut value = json!({
        "schema": "unrefuse.report/1",
        "target": {"input": target.0, "host": target.0, "port": target.1, "protocol": "tcp"},
        "vantage": {"kind": "local", "host": "web1", "privileged": true},
        "outcome": outcome,
        "attempts": [],
        "journey": journey,
        "blockers": [],
        "notes": [],
        "unknown": [],
        "elapsed_ms": 12,
    });
    for (key, part) in rest.as_object().unwrap() {
        value[key] = part.clone();
    }
    serde_json::from_value(value).unwrap()
}

fn attempt(address: &str, port: u16, outcome: &str, us: u64) -> Value {
    json!({"address": address, "port": port, "outcome": outcome, "elapsed_us": us})
}

/// The report of DESIGN: the listener is on loopback only, and the firewall would drop the packet next.
pub(crate) fn two_blockers() -> Report {
    report(
        ("db1", 5432),
        "refused",
        "ppppbbs",
        json!({
            "attempts": [{
                "address": "10.0.0.5", "port": 5432, "outcome": "refused", "errno": "ECONNREFUSED",
                "error": "Connection refused", "elapsed_us": 412,
                "by": {"kind": "rst", "from": "10.0.0.5", "ttl": 64, "refuser": {
                    "who": "server-kernel", "certainty": "likely",
                    "evidence": [{"text": "a RST from 10.0.0.5 itself, TTL 64: no router answered", "source": "packet socket"},
                                 {"text": "the RST echoes TOS 0x10 of the SYN, which the kernel's own RST does", "source": "packet socket"}]}},
            }],
            "blockers": [
                {"gate": "listener", "root": "config/loopback-bind", "certainty": "proven",
                 "whys": [
                    {"id": "listener/loopback-only", "title": "nothing takes 10.0.0.5:5432", "certainty": "proven", "evidence": [
                        {"text": "postgres[812] (postgresql@15-main.service) listens on 127.0.0.1:5432", "source": "inet_diag"},
                        {"text": "no socket is bound to 10.0.0.5 or to all addresses", "source": "inet_diag"},
                        {"text": "the SYN was answered with a RST in 0.4 ms", "source": "packet socket"},
                        {"text": "the RST's TTL is that of the host's own answers", "source": "packet socket"}]},
                    {"id": "config/loopback-bind", "title": "PostgreSQL is configured to listen on localhost only", "certainty": "proven", "evidence": [
                        {"text": "listen_addresses = 'localhost'", "source": "postgresql.conf",
                         "location": "/etc/postgresql/15/main/postgresql.conf:60"}]}],
                 "fixes": [
                    {"title": "listen on all addresses", "risk": "medium", "persistent": true,
                     "steps": [{"edit": {"path": "/etc/postgresql/15/main/postgresql.conf", "line": 60,
                                          "old": "listen_addresses = 'localhost'\t\t# what IP address(es) to listen on;",
                                          "new": "listen_addresses = '*'\t\t# what IP address(es) to listen on;"}},
                               {"command": "systemctl restart postgresql@15-main.service"}],
                     "undo": [{"edit": {"path": "/etc/postgresql/15/main/postgresql.conf", "line": 60,
                                         "old": "listen_addresses = '*'\t\t# what IP address(es) to listen on;",
                                         "new": "listen_addresses = 'localhost'\t\t# what IP address(es) to listen on;"}},
                              {"command": "systemctl restart postgresql@15-main.service"}],
                     "verify": "unrefuse db1:5432"},
                    {"title": "listen on 10.0.0.5 and localhost", "risk": "low", "persistent": true,
                     "steps": [{"command": "sudo -u postgres psql -c \"alter system set listen_addresses = 'localhost, 10.0.0.5'\""},
                               {"command": "systemctl restart postgresql@15-main.service"}],
                     "undo": [], "verify": "unrefuse db1:5432"},
                    {"title": "ask the administrator of db1 for a tunnel over ssh", "risk": "low", "persistent": false,
                     "steps": [], "undo": [], "verify": "unrefuse db1:5432"}]},
                {"gate": "ingress", "root": "ingress/firewall-drop", "certainty": "likely",
                 "whys": [{"id": "ingress/firewall-drop", "title": "would be dropped next: ufw has no rule for 5432/tcp", "certainty": "likely", "evidence": [
                    {"text": "chain INPUT has policy DROP and no rule that accepts tcp dport 5432 from 10.0.0.9", "source": "iptables-save"}]}],
                 "fixes": [{"title": "let 10.0.0.9 in", "risk": "low", "persistent": true,
                            "steps": [{"command": "ufw allow proto tcp from 10.0.0.9 to any port 5432"}],
                            "undo": [{"command": "ufw delete allow proto tcp from 10.0.0.9 to any port 5432"}],
                            "verify": "unrefuse db1:5432"}]}],
            "notes": [{"text": "postgresql.service is not enabled: it will not start at boot", "source": "systemd"}],
        }),
    )
}

pub(crate) fn healthy() -> Report {
    report(("db1", 5432), "open", "ppppppp", json!({"attempts": [attempt("10.0.0.5", 5432, "open", 403)]}))
}

pub(crate) fn healthy_with_note() -> Report {
    report(
        ("localhost", 8080),
        "open",
        "pppsppp",
        json!({
            "attempts": [attempt("127.0.0.1", 8080, "open", 38), attempt("::1", 8080, "open", 41)],
            "notes": [{"text": "open from here; from elsewhere: refused, because it listens on 127.0.0.1:8080 and [::1]:8080 only, which is this machine's loopback", "source": "inet_diag"}],
        }),
    )
}

/// Nothing listens; nobody knows why yet.
pub(crate) fn refused() -> Report {
    report(
        ("localhost", 1),
        "refused",
        "pppspbs",
        json!({
            "attempts": [{"address": "127.0.0.1", "port": 1, "outcome": "refused", "errno": "ECONNREFUSED", "error": "Connection refused", "elapsed_us": 49, "by": {"kind": "rst"}}],
            "blockers": [{"gate": "listener", "root": "listener/none", "certainty": "proven",
                "whys": [{"id": "listener/none", "title": "nothing listens on 127.0.0.1:1", "certainty": "proven",
                          "evidence": [{"text": "no TCP socket of this machine listens on port 1", "source": "inet_diag"}]}],
                "fixes": []}],
            "unknown": [
                {"what": "why nothing listens: the service, its configuration or its container", "why": "not looked at", "how_to_know": "see the unit's journal: journalctl -u UNIT"},
                {"what": "whether another network namespace has a listener on port 1", "why": "the namespaces of other users' processes may not be entered", "how_to_know": "run unrefuse as root"},
                {"what": "whether a firewall rejects it before", "why": "reading the ruleset needs CAP_NET_ADMIN", "how_to_know": "run unrefuse as root"},
                {"what": "whether systemd would start it on demand", "why": "no bus", "how_to_know": "systemctl list-sockets"},
                {"what": "what the journal says", "why": "not readable", "how_to_know": "run unrefuse as root"}],
        }),
    )
}

pub(crate) fn mixed() -> Report {
    report(
        ("localhost", 8080),
        "mixed",
        "bppsppp",
        json!({
            "attempts": [
                attempt("::1", 8080, "refused", 31), attempt("127.0.0.1", 8080, "open", 38),
                attempt("127.0.0.1", 8080, "open", 35), attempt("127.0.0.1", 8080, "open", 36)],
            "blockers": [{"gate": "name", "root": "name/localhost-v6-first", "certainty": "proven",
                "whys": [{"id": "name/localhost-v6-first", "title": "localhost gives ::1 first, and python3[4711] listens on 127.0.0.1:8080 only", "certainty": "proven",
                          "evidence": [{"text": "::1 localhost ip6-localhost ip6-loopback", "source": "/etc/hosts", "location": "/etc/hosts:2"},
                                       {"text": "python3[4711] listens on 127.0.0.1:8080", "source": "inet_diag"}]}],
                "fixes": [{"title": "take localhost out of the line of ::1", "risk": "medium", "persistent": true,
                           "steps": [{"edit": {"path": "/etc/hosts", "line": 2, "old": "::1 localhost ip6-localhost ip6-loopback", "new": "::1 ip6-localhost ip6-loopback"}}],
                           "undo": [{"edit": {"path": "/etc/hosts", "line": 2, "old": "::1 ip6-localhost ip6-loopback", "new": "::1 localhost ip6-localhost ip6-loopback"}}],
                           "verify": "unrefuse localhost:8080"}]}],
        }),
    )
}

pub(crate) fn unresolved() -> Report {
    report(
        ("db1.example.internal", 5432),
        "unresolved",
        "bssssss",
        json!({
            "vantage": {"kind": "netns", "host": "web1", "privileged": false, "from": "blue"},
            "blockers": [{"gate": "name", "root": "name/resolver-unreachable", "certainty": "likely",
                "whys": [{"id": "name/resolver-unreachable", "title": "the resolver 10.0.0.53 does not answer", "certainty": "likely",
                          "evidence": [{"text": "getaddrinfo: Temporary failure in name resolution (EAI_AGAIN)", "source": "getaddrinfo(3)"},
                                       {"text": "nameserver 10.0.0.53", "source": "resolv.conf", "location": "/etc/resolv.conf:3"}]}],
                "fixes": [{"title": "start the resolver on 10.0.0.53, or name another one in /etc/resolv.conf", "risk": "medium", "persistent": false, "steps": [], "undo": [], "verify": "unrefuse db1.example.internal:5432"}]}],
        }),
    )
}

pub(crate) fn silent() -> Report {
    report(
        ("192.0.2.7", 443),
        "timed-out",
        "sppuuus",
        json!({
            "attempts": [{"address": "192.0.2.7", "port": 443, "outcome": "timed-out", "error": "given up after 3 s", "elapsed_us": 3_000_100}],
            "unknown": [{"what": "what stops the packets to 192.0.2.7:443", "why": "the attempt was not answered, and nothing that was read explains it",
                         "how_to_know": "run unrefuse as root here, and on the server: unrefuse 192.0.2.7:443"}],
        }),
    )
}

/// Every string tries to do something to a terminal, a reader or a shell.
pub(crate) fn hostile() -> Report {
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2Jrm -rf\r\n\u{202e}txt\u{9b}31m\u{200b}漢字🧀";
    let long = "title ".repeat(11_000);
    let word = "x".repeat(1 << 16);
    report(
        (evil, 80),
        "refused",
        "ppppbbs",
        json!({
            "target": {"input": evil, "host": evil, "port": 80, "protocol": evil},
            "vantage": {"kind": evil, "host": evil, "privileged": false, "from": evil},
            "attempts": [{"address": "fe80::1", "port": 80, "outcome": "refused", "errno": evil, "error": evil, "elapsed_us": 1,
                          "by": {"kind": evil, "refuser": {"who": evil, "certainty": "possible", "evidence": [{"text": evil, "source": evil, "location": evil}]}}}],
            "journey": [{"gate": "name", "status": "pass", "summary": evil}, {"gate": "listener", "status": "blocks", "summary": long}],
            "blockers": [{"gate": "listener", "root": evil, "certainty": "possible",
                "whys": [{"id": evil, "title": long, "certainty": "possible", "evidence": [{"text": word, "source": evil, "location": evil}]},
                         {"id": evil, "title": evil, "certainty": "possible", "evidence": [{"text": evil, "source": word}]}],
                "fixes": [{"title": evil, "risk": "high", "persistent": false,
                           "steps": [{"command": format!("echo {evil}")}, {"command": "echo harmless"}, {"command": format!("echo {word}")},
                                     {"edit": {"path": format!("/etc/{evil}"), "line": 7, "old": evil, "new": word}}],
                           "undo": [{"command": "a\tb"}], "verify": evil}]},
                {"gate": "access", "root": evil, "certainty": "possible", "whys": [], "fixes": []}],
            "notes": [{"text": evil, "source": evil}, {"text": word}],
            "unknown": [{"what": evil, "why": word, "how_to_know": evil}],
        }),
    )
}

/// All of them.
pub(crate) fn all() -> Vec<(&'static str, Report)> {
    vec![
        ("two blockers", two_blockers()),
        ("healthy", healthy()),
        ("healthy with a note", healthy_with_note()),
        ("refused", refused()),
        ("mixed", mixed()),
        ("unresolved", unresolved()),
        ("silent", silent()),
        ("hostile", hostile()),
    ]
}
