//! name/resolver-unreachable

use super::lines;
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::quote;
use crate::report::{Certainty, Edit, Evidence, Fix, Risk, Unknown};
use crate::rule::cause;
use std::net::SocketAddr;
use unrefuse_facts::{DnsAnswer, NameError, NameServer, ResolvConf, ServerAnswer, text};

cause! {
    /// ## What it means
    ///
    /// The name servers that this machine is told to ask do not answer, refuse, or fail. Whether the name exists stays
    /// open: nobody could be asked.
    ///
    /// ## How it shows
    ///
    /// "Temporary failure in name resolution" (`EAI_AGAIN`), after some seconds where a server is silent, at once where
    /// its port is closed. Names of the hosts file still work.
    ///
    /// ## How to confirm by hand
    ///
    /// `cat /etc/resolv.conf`, then `dig @SERVER NAME` for each server in it: "connection timed out" or "connection
    /// refused".
    ///
    /// ## How to fix
    ///
    /// Start the name server (127.0.0.53 is systemd-resolved on this machine), open the way to it, or name another one
    /// in /etc/resolv.conf. Where that file is a symbolic link, change what writes it.
    ///
    /// ## What it is often mistaken for
    ///
    /// A misspelt name (`name/not-found`): there a server answers. A network that is down altogether: compare with an
    /// address in place of the name.
    id: "name/resolver-unreachable",
    title: "no name server answers",
    needs: &["getaddrinfo", "resolv.conf"],
    likes: &["name servers' answers"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(name) = lines::name(view).filter(|_| view.address.is_none()) else { return Ok(Finding::Clear) };
    let Err(error) = view.case.resolution.result else { return Ok(Finding::Clear) };
    let temporary = !matches!(error, NameError::NotFound | NameError::NoAddress);
    let resolver = &view.case.host.resolver;
    if resolver.nsswitch.value().is_some_and(|switch| !lines::asks_dns(switch)) {
        return Ok(Finding::Clear);
    }
    let shown = text::visible(name);
    let answers = lines::answers(view);
    let dead: Vec<&ServerAnswer> = answers.iter().filter(|a| !answered(a) && !answered_otherwise(a, answers)).collect();
    let lives = answers.iter().find(|a| answered(a));
    let Some(first) = dead.first() else {
        // Of a server that answers, the name may be wrong; of one that nobody asked, nothing is known.
        return match (temporary, answers.is_empty()) {
            (false, _) => Ok(Finding::Clear),
            (true, true) => unasked(view, name, error),
            (true, false) => Err(CannotTell::new(
                format!("why this machine's resolver fails for {shown}"),
                "the name servers answer; another source that nsswitch.conf names may hang, or the time was too short",
                format!("time getent ahosts {}; grep hosts: /etc/nsswitch.conf", quote(name).unwrap_or_default()),
            )),
        };
    };
    // With one that answers the name would be found, only late: so it is told by our deadline, not by the error.
    if !temporary && lives.is_some() {
        return Ok(Finding::Clear);
    }
    let certainty = if lives.is_none() { Certainty::Proven } else { Certainty::Likely };
    let mut fired = Fired::new(certainty, title(&shown, &dead, lives.is_some())).evidence(failed(view, error));
    for answer in answers {
        let said = lines::said(answer);
        fired = fired.evidence(match server(view, answer.server).and_then(|s| s.location.as_ref()) {
            Some(location) => said.at(location),
            None => said,
        });
    }
    fired = fired.evidences(nothing_listens(view, &dead));
    if lives.is_some() {
        fired = fired.fix(without_server(view, first.server));
    }
    fired = fired.fix(start_stub(view, &dead));
    Ok(fired.fix(ask_it(view, first.server)).fix(other_server(view, lives.is_some())).fires())
}

/// It said something about the name.
fn answered(answer: &ServerAnswer) -> bool {
    matches!(answer.answer, DnsAnswer::Addresses(_) | DnsAnswer::NoSuchName | DnsAnswer::NoAddress)
}

/// The same server said something when it was asked for another form of the name (the search list).
fn answered_otherwise(answer: &ServerAnswer, all: &[ServerAnswer]) -> bool {
    all.iter().any(|other| other.server == answer.server && answered(other))
}

fn title(shown: &str, dead: &[&ServerAnswer], lives: bool) -> String {
    let mut servers: Vec<String> = dead.iter().map(|a| a.server.ip().to_string()).collect();
    servers.dedup();
    let verb = |one: &'static str, many: &'static str| if servers.len() == 1 { one } else { many };
    let does = match dead.first().map(|a| &a.answer) {
        Some(DnsAnswer::Refused) => verb("refuses", "refuse"),
        Some(DnsAnswer::Failure(_)) => verb("fails", "fail"),
        Some(DnsAnswer::NotSent(_)) => "cannot be reached",
        _ => verb("does not answer", "do not answer"),
    };
    let which = if lives { "another one answers too late" } else { "so its address is not known" };
    format!("asked for {shown}, the name {} {} {does}: {which}", verb("server", "servers"), servers.join(" and "))
}

fn failed(view: &View<'_>, error: NameError) -> Evidence {
    let code = match error {
        NameError::TryAgain => "EAI_AGAIN",
        NameError::ServerFailure => "EAI_FAIL",
        NameError::NotFound => "EAI_NONAME",
        NameError::NoAddress => "EAI_NODATA",
        NameError::TimedOut => "no answer within the deadline",
        NameError::Other => "it failed",
    };
    let detail = view.case.resolution.detail.as_deref().map(|d| format!(": {}", text::visible(d))).unwrap_or_default();
    Evidence::new(format!("{code}{detail} after {} ms", view.case.resolution.elapsed.as_millis()), "getaddrinfo")
}

/// libc gave up and no server was asked by us: the error alone speaks.
fn unasked(view: &View<'_>, name: &str, error: NameError) -> Result<Finding, CannotTell> {
    let shown = text::visible(name);
    let resolver = &view.case.host.resolver;
    let what = format!("which name server fails for {shown}");
    let conf = resolver.resolv_conf.get().map_err(|missing| CannotTell::because(what.clone(), missing))?;
    let servers: Vec<String> = conf.servers.iter().map(|s| s.address.to_string()).collect();
    let mut fired =
        Fired::new(Certainty::Likely, format!("no name server answers for {shown}: {}", servers.join(", ")))
            .evidence(failed(view, error));
    for server in &conf.servers {
        let evidence = Evidence::new(format!("nameserver {}", server.address), "/etc/resolv.conf");
        fired = fired.evidence(server.location.iter().fold(evidence, Evidence::at));
    }
    if let Some(missing) = resolver.answers.missing() {
        fired = fired.unknown(Unknown {
            what,
            why: missing.detail.clone(),
            how_to_know: missing.remedy.clone().unwrap_or_else(|| {
                format!("ask each server with dig, or nslookup {} SERVER", quote(name).unwrap_or_default())
            }),
        });
    }
    Ok(fired.fires())
}

fn conf<'a>(view: &View<'a>) -> Option<&'a ResolvConf> {
    view.case.host.resolver.resolv_conf.value()
}

fn server<'a>(view: &View<'a>, asked: SocketAddr) -> Option<&'a NameServer> {
    conf(view)?.servers.iter().find(|s| s.address == asked.ip())
}

/// Who usually answers at a loopback address that a resolv.conf names.
fn stub(asked: SocketAddr) -> Option<&'static str> {
    match asked.ip().to_string().as_str() {
        "127.0.0.53" | "127.0.0.54" => Some("systemd-resolved"),
        "127.0.1.1" => Some("dnsmasq, as NetworkManager starts it,"),
        _ if asked.ip().is_loopback() => Some("a local resolver (dnsmasq, unbound, BIND)"),
        _ => None,
    }
}

fn nothing_listens(view: &View<'_>, dead: &[&ServerAnswer]) -> Option<Evidence> {
    let asked = dead.iter().find(|a| a.answer == DnsAnswer::Refused && stub(a.server).is_some())?.server;
    let built_in = server(view, asked).is_some_and(|s| s.location.is_none());
    let why = if built_in { "; resolv.conf names no server, so libc asks this machine" } else { "" };
    let who = stub(asked)?.trim_end_matches(',');
    Some(Evidence::new(
        format!("nothing listens on {asked} of this machine, where {who} would answer{why}"),
        format!("DNS {asked}"),
    ))
}

/// The one stub whose unit is known for certain by its address (systemd-resolved.service(8)).
fn start_stub(view: &View<'_>, dead: &[&ServerAnswer]) -> Option<Fix> {
    let refused = |a: &&&ServerAnswer| a.answer == DnsAnswer::Refused && a.server.ip().to_string() == "127.0.0.53";
    // From another namespace its address is not that namespace's own loopback.
    dead.iter().find(refused).filter(|_| !view.is_apart())?;
    let fix = Fix::new(view, Risk::Low, "start systemd-resolved, which answers at 127.0.0.53");
    Some(fix.command("systemctl start systemd-resolved").undo("systemctl stop systemd-resolved"))
}

/// The edit that takes the dead server out. It fits the usual form of the line, and applies only to that.
fn without_server(view: &View<'_>, asked: SocketAddr) -> Option<Fix> {
    let server = server(view, asked)?;
    let location = server.location.as_ref()?;
    let scope = server.scope.as_ref().map(|s| format!("%{s}")).unwrap_or_default();
    let old = format!("nameserver {}{scope}", server.address);
    if text::visible(&old) != old {
        return None;
    }
    let edit = Edit { path: location.path.clone(), line: location.line, new: format!("# {old}"), old };
    let written = conf(view).and_then(|conf| conf.link_target.as_deref());
    let again =
        written.map(|target| format!(" (it is {}, and what writes that may put it back)", text::visible(target)));
    let title = format!("take {} out of {}{}", asked.ip(), location.path, again.as_deref().unwrap_or_default());
    let fix = Fix::new(view, Risk::Medium, title).edit(edit);
    Some(if written.is_none() { fix.persistent() } else { fix })
}

fn ask_it(view: &View<'_>, asked: SocketAddr) -> Option<Fix> {
    // What answers at the machine's loopback address does not in a namespace apart.
    if view.is_apart() && asked.ip().is_loopback() {
        return None;
    }
    let verify = view.again().for_this_machine().udp(true).at(&asked.to_string())?;
    let title = match stub(asked) {
        Some(who) => format!("let {who} answer on {asked}"),
        None => format!("let the name server {} answer, or open the way to it", asked.ip()),
    };
    Some(Fix::new(view, Risk::Low, title).verify(verify))
}

fn other_server(view: &View<'_>, lives: bool) -> Option<Fix> {
    if lives {
        return None;
    }
    let title = match &view.case.vantage.container {
        Some(name) => format!(
            "start {} anew with the address of a server that answers (--dns, or dns: of a compose file): its resolv.conf is written at its start",
            text::visible(name)
        ),
        None => "name a server that answers in /etc/resolv.conf, or in what writes it".to_owned(),
    };
    Some(Fix::new(view, Risk::Medium, title))
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Step};
    use crate::testing::Scene;
    use unrefuse_facts::{DnsAnswer, NameError};

    fn scene(error: NameError) -> Scene {
        Scene::remote("10.9.0.1:80")
            .unresolved("db.example", error)
            .nsswitch("files dns")
            .hosts(&["127.0.0.1 localhost"])
    }

    #[test]
    fn a_silent_server_proves_it() {
        let report = scene(NameError::TryAgain).dns("10.1.0.53", DnsAnswer::Silent).report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("name/resolver-unreachable", Certainty::Proven));
        assert!(blocker.whys[0].evidence.iter().any(|e| e.location.as_deref() == Some("/etc/resolv.conf:1")));
        assert_eq!(report.exit_code(), 1);
    }

    #[test]
    fn the_stub_of_the_machine_does_not_answer_in_a_namespace_apart() {
        let apart = |change: fn(&mut unrefuse_facts::Case)| {
            let report = scene(NameError::TryAgain).dns("127.0.0.53", DnsAnswer::Refused).with(change).report();
            let fixes = &report.blockers[0].fixes;
            assert!(fixes.iter().all(|fix| fix.steps.is_empty()), "{fixes:?}");
            fixes.iter().map(|fix| fix.title.clone()).collect::<Vec<_>>()
        };
        let netns = apart(|case| case.vantage.netns = Some("blue".into()));
        assert_eq!(netns, ["name a server that answers in /etc/resolv.conf, or in what writes it"]);
        let container = apart(|case| case.vantage.container = Some("app".into()));
        assert!(container.len() == 1 && container[0].starts_with("start app anew"), "{container:?}");
        // That of process 1 is the machine's own, whatever it is called.
        let own = scene(NameError::TryAgain).dns("127.0.0.53", DnsAnswer::Refused);
        let own = own.with(|case| (case.vantage.netns, case.host.own.netns_is_init) = (Some("1".into()), Some(true)));
        assert!(!own.report().blockers[0].fixes[0].steps.is_empty());
    }

    #[test]
    fn the_stub_of_this_machine_is_started() {
        let report = scene(NameError::TryAgain).dns("127.0.0.53", DnsAnswer::Refused).report();
        let Some(Step::Command { command }) = report.blockers[0].fixes[0].steps.first() else {
            panic!("{:?}", report.blockers)
        };
        assert_eq!(command, "systemctl start systemd-resolved");
        let other = scene(NameError::TryAgain).dns("127.0.0.1", DnsAnswer::Refused).report();
        assert!(other.blockers[0].fixes.iter().all(|f| f.steps.is_empty()), "which unit it is is not known");
    }

    #[test]
    fn a_dead_first_server_is_taken_out() {
        let report = scene(NameError::TimedOut)
            .dns("10.1.0.53", DnsAnswer::Silent)
            .dns("10.1.0.54", DnsAnswer::Addresses(vec!["10.9.0.1".parse().unwrap()]))
            .report();
        assert_eq!(report.blockers[0].root, "name/resolver-unreachable");
        let Some(Step::Edit { edit }) = report.blockers[0].fixes[0].steps.first() else {
            panic!("{:?}", report.blockers)
        };
        assert_eq!(
            (edit.line, edit.old.as_str(), edit.new.as_str()),
            (1, "nameserver 10.1.0.53", "# nameserver 10.1.0.53")
        );
    }

    #[test]
    fn without_an_answer_of_ours_the_error_alone_makes_it_likely() {
        let report = scene(NameError::TryAgain).dns("10.1.0.53", DnsAnswer::Silent);
        let report = report.with(|case| case.host.resolver.answers = unrefuse_facts::Observed::default()).report();
        assert_eq!(report.blockers[0].certainty, Certainty::Likely);
        assert_eq!(report.unknown.len(), 1, "{:?}", report.unknown);
    }

    #[test]
    fn where_every_server_answers_another_source_hangs() {
        let report = scene(NameError::TimedOut).dns("10.1.0.53", DnsAnswer::NoSuchName).report();
        assert!(report.blockers.is_empty(), "{:?}", report.blockers);
        assert!(
            report.unknown.iter().any(|u| u.what.contains("resolver fails for db.example")),
            "{:?}",
            report.unknown
        );
    }

    #[test]
    fn a_server_that_says_nxdomain_answers() {
        let roots = scene(NameError::NotFound)
            .dns("10.1.0.53", DnsAnswer::Silent)
            .dns("10.1.0.54", DnsAnswer::NoSuchName)
            .roots();
        assert_eq!(roots, ["name/not-found"]);
    }
}
