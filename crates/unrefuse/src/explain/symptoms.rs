//! What programs say when a connection fails, and which causes show so: people have the message, not the cause.

/// An error as it is met.
pub(super) struct Symptom {
    /// How programs say it, in lower case; the first is its name.
    said: &'static [&'static str],
    /// Its name and number in errno(3) or getaddrinfo(3).
    code: &'static str,
    /// What it tells by itself.
    means: &'static str,
    /// The causes that show so, the commonest first.
    causes: &'static [&'static str],
}

const SYMPTOMS: [Symptom; 13] = [
    Symptom {
        said: &["connection refused", "econnrefused", "errno 111", "111"],
        code: "ECONNREFUSED, 111",
        means: "An answer came, and it was no: from a kernel without a listener on that port, or from a firewall.",
        causes: &[
            "listener/none",
            "service/stopped",
            "service/failed",
            "service/not-installed",
            "listener/loopback-only",
            "listener/other-port",
            "listener/other-address",
            "listener/other-family",
            "name/localhost-v6-first",
            "container/not-published",
            "container/stopped",
            "container/localhost-inside",
            "listener/other-namespace",
            "ingress/firewall-reject",
            "egress/proxy",
        ],
    },
    Symptom {
        said: &["connection timed out", "etimedout", "timed out", "timeout", "time-out", "errno 110", "110"],
        code: "ETIMEDOUT, 110",
        means: "No answer came: the packets or the answers are dropped. A service that is only down would be refused.",
        causes: &[
            "ingress/firewall-drop",
            "path/filtered",
            "egress/firewall-drop",
            "ingress/rule-order",
            "ingress/banned",
            "ingress/unit-ip-deny",
            "ingress/no-way-back",
            "ingress/forwarding-off",
            "ingress/rp-filter",
            "listener/queue-full",
            "listener/not-accepting",
            "ingress/conntrack-full",
            "container/rules-missing",
            "listener/md5-required",
        ],
    },
    Symptom {
        said: &["no route to host", "ehostunreach", "host is unreachable", "host unreachable", "errno 113", "113"],
        code: "EHOSTUNREACH, 113",
        means: "Mostly there is a route: nobody has that address on its link, or a firewall or a router said no.",
        causes: &[
            "path/host-down",
            "ingress/firewall-reject",
            "path/router-reject",
            "egress/firewall-reject",
            "route/blackhole",
        ],
    },
    Symptom {
        said: &["network is unreachable", "enetunreach", "network unreachable", "errno 101", "101"],
        code: "ENETUNREACH, 101",
        means: "This machine knows no way to that network, or a router on the way knows none.",
        causes: &["route/none", "route/link-down", "name/address-family", "route/blackhole", "path/router-reject"],
    },
    Symptom {
        said: &["connection reset", "econnreset", "errno 104", "104"],
        code: "ECONNRESET, 104",
        means: "The connection was made, or began to be, and was then cut.",
        causes: &[
            "access/closed-on-accept",
            "container/other-container-port",
            "container/app-on-loopback",
            "path/middlebox-reset",
        ],
    },
    Symptom {
        said: &[
            "connection closed",
            "empty reply from server",
            "server closed the connection",
            "closed by remote host",
            "unexpected eof",
        ],
        code: "end of file",
        means: "The connection was made, and the other side ended it without a word.",
        causes: &["access/closed-on-accept", "container/other-container-port", "container/app-on-loopback"],
    },
    Symptom {
        said: &[
            "name or service not known",
            "eai_noname",
            "eai_nodata",
            "enotfound",
            "nxdomain",
            "no such host",
            "unknown host",
            "could not resolve host",
            "no address associated with hostname",
            "name does not resolve",
        ],
        code: "EAI_NONAME, NXDOMAIN",
        means: "Nobody who was asked knows the name: no packet went to the target.",
        causes: &["name/not-found", "container/other-network"],
    },
    Symptom {
        said: &["temporary failure in name resolution", "eai_again", "servfail"],
        code: "EAI_AGAIN",
        means: "No name server gave an answer: whether the name exists stays open.",
        causes: &["name/resolver-unreachable"],
    },
    Symptom {
        said: &["address already in use", "eaddrinuse", "errno 98", "98"],
        code: "EADDRINUSE, 98",
        means: "A service could not open its port, because somebody else has it. `unrefuse who PORT` says who.",
        causes: &["service/address-in-use", "listener/stale-socket"],
    },
    Symptom {
        said: &["cannot assign requested address", "eaddrnotavail", "errno 99", "99"],
        code: "EADDRNOTAVAIL, 99",
        means: "A service wants an address that this machine does not have, or a client found no address or port to ask from.",
        causes: &["service/address-missing", "route/ports-exhausted", "route/source-address"],
    },
    Symptom {
        said: &["permission denied", "eacces", "errno 13", "13"],
        code: "EACCES, 13",
        means: "A service may not open its port, or a route or a router forbids the way.",
        causes: &["service/privileged-port", "service/bind-denied", "route/blackhole", "path/router-reject"],
    },
    Symptom {
        said: &["operation not permitted", "eperm"],
        code: "EPERM, 1",
        means: "Something on this machine forbids the packet: a filter on its way out, or the unit that sends it.",
        causes: &["egress/firewall-drop", "egress/unit-ip-deny", "service/bind-denied"],
    },
    Symptom {
        said: &["invalid argument", "einval", "errno 22"],
        code: "EINVAL, 22",
        means: "The kernel cannot send there: a blackhole route, or a link-local address without its interface.",
        causes: &["route/blackhole", "route/source-address"],
    },
];

impl Symptom {
    /// The symptom that is asked for: by its message alone, by its code, or by a whole line that a program printed.
    pub(super) fn find(asked: &str) -> Option<&'static Self> {
        let asked = words(asked);
        let says = |said: &str| {
            let said = words(said);
            // A number alone may mean anything within a line.
            let alone = said.iter().all(|word| word.bytes().all(|b| b.is_ascii_digit()));
            if alone { asked == said } else { asked.windows(said.len()).any(|part| part == said) }
        };
        SYMPTOMS.iter().find(|symptom| symptom.said.iter().any(|said| says(said)))
    }

    /// Its name, and its code.
    pub(super) fn head(&self) -> (&'static str, &'static str) {
        (self.said[0], self.code)
    }

    /// What it means and what is behind it, as a page.
    pub(super) fn page(&self) -> String {
        let mut page = format!("## What it means\n\n{}\n\n## What is behind it, the commonest first\n\n", self.means);
        for rule in self.causes.iter().filter_map(|id| unrefuse_diagnose::find(id)) {
            page += &format!("- `{}`: {}\n", rule.id, rule.title);
        }
        page + "\n## How to find out which\n\n`unrefuse HOST:PORT` names it, `unrefuse explain ID` prints the page of one.\n"
    }
}

fn words(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    parts.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(asked: &str) -> Option<&'static str> {
        Symptom::find(asked).map(|symptom| symptom.head().0)
    }

    #[test]
    fn every_cause_that_is_named_has_its_page() {
        for symptom in &SYMPTOMS {
            for id in symptom.causes {
                assert!(unrefuse_diagnose::find(id).is_some(), "{id}");
            }
        }
    }

    #[test]
    fn what_programs_print_is_recognised() {
        for (line, wanted) in [
            ("ECONNREFUSED", "connection refused"),
            ("111", "connection refused"),
            ("curl: (7) Failed to connect to localhost port 80 after 0 ms: Connection refused", "connection refused"),
            ("Error: connect ECONNREFUSED 127.0.0.1:5432", "connection refused"),
            ("Connection refused (os error 111)", "connection refused"),
            ("dial tcp 10.0.0.5:5432: i/o timeout", "connection timed out"),
            ("dial tcp: lookup db1: no such host", "name or service not known"),
            ("ssh: connect to host db1 port 22: No route to host", "no route to host"),
            ("read: Connection reset by peer", "connection reset"),
            ("bind: Address already in use", "address already in use"),
        ] {
            assert_eq!(name(line), Some(wanted), "{line}");
        }
    }

    #[test]
    fn other_words_are_no_symptom() {
        for words in ["docker", "port 111", "refused by ufw", "route", "listener/none", "timeouts", ""] {
            assert_eq!(name(words), None, "{words}");
        }
    }
}
