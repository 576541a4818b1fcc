//! egress/proxy

use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::quote;
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::{When, cause};
use unrefuse_facts::{Attempt, AttemptOutcome, ProxyAttempt, ProxySetting, Reason, text};

cause! {
    /// ## What it means
    ///
    /// A proxy variable is set, so clients of this URL scheme do not connect to the target at all: they connect to the proxy
    /// and ask it for the target. The proxy is what fails.
    ///
    /// ## How it shows
    ///
    /// `curl` says "Failed to connect to PROXY port …", or names the proxy's address in an error about the target; a plain
    /// TCP connection to the target works. It fails in one shell, cron job or container, where the variable is set, and not
    /// in another.
    ///
    /// ## How to confirm by hand
    ///
    /// `env | grep -i proxy`; `curl -v URL` shows where it connects; `curl --noproxy '*' URL` goes past the proxy.
    ///
    /// ## How to fix
    ///
    /// Let the proxy answer; or name the target in `no_proxy`; or unset the variable where it is set (/etc/environment,
    /// /etc/profile.d, ~/.bashrc, systemd's Environment=, the container's configuration).
    ///
    /// ## What it is often mistaken for
    ///
    /// A target that is down, or a firewall on the way to it: nobody has spoken to the target.
    id: "egress/proxy",
    title: "a proxy variable sends the client elsewhere, and the proxy fails",
    needs: &["environment", "attempts to the proxy"],
    likes: &["/etc/environment"],
    when: When::Always,
    check: check,
}

/// Clients of the scheme fail whatever the direct way gives: the cause explains every outcome of it, an open one too.
const ANY: &[AttemptOutcome] = &[
    AttemptOutcome::Open,
    AttemptOutcome::Refused,
    AttemptOutcome::Reset,
    AttemptOutcome::TimedOut,
    AttemptOutcome::Unreachable,
    AttemptOutcome::Denied,
    AttemptOutcome::ClosedOnAccept,
];

/// Schemes whose clients look at the variables (curl(1), "ENVIRONMENT").
const SCHEMES: [&str; 4] = ["http", "https", "ws", "wss"];

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let scheme = view.case.target.scheme.as_deref();
    let Some(scheme) = scheme.filter(|scheme| SCHEMES.contains(scheme)) else { return Ok(Finding::Clear) };
    let proxy = match view.case.proxy.get() {
        Ok(Some(proxy)) => proxy,
        Ok(None) => return Ok(Finding::Clear),
        Err(missing) => return Err(CannotTell::because(format!("whether {scheme} clients use a proxy here"), missing)),
    };
    let (variable, endpoint) = (text::visible(&proxy.variable), text::visible(&proxy.endpoint));
    let (how, certainty, evidence) = match proxy.attempts.get() {
        Ok(attempts) if attempts.iter().any(|a| a.outcome == AttemptOutcome::Open) => return Ok(Finding::Clear),
        Ok(attempts) => match attempts.first() {
            Some(first) => (ended(first), Certainty::Proven, attempts.iter().map(said).collect()),
            None => ("has no address", Certainty::Likely, Vec::new()),
        },
        Err(missing) if missing.reason == Reason::NotLooked => {
            return Err(CannotTell::because(format!("whether the proxy {endpoint} of {variable} answers"), missing));
        }
        Err(missing) => {
            let evidence = vec![Evidence::new(text::visible(&missing.detail), "getaddrinfo")];
            ("does not resolve", Certainty::Proven, evidence)
        }
    };
    let title = format!("{variable} sends {scheme} clients to the proxy {endpoint}, which {how}");
    let fired = Fired::new(certainty, title).predicts(ANY).evidence(set(view, proxy)).evidences(evidence);
    let direct = view.case.attempts.iter().find(|a| a.outcome == AttemptOutcome::Open);
    let fired =
        fired.evidences(direct.map(|a| Evidence::new(format!("the direct way is open: {}", a.address), "connect(2)")));
    let repair = repair(view, proxy, &endpoint);
    Ok(match direct {
        Some(_) => fired.fix(for_the_shell(view)).fix(for_all(view, proxy)).fix(repair),
        // Past the proxy it fails too: the proxy comes first.
        None => fired.fix(repair).fix(for_the_shell(view)).fix(for_all(view, proxy)),
    }
    .fires())
}

/// How the attempt to the proxy ended, as a verb.
fn ended(attempt: &Attempt) -> &'static str {
    match attempt.outcome {
        AttemptOutcome::Open => "is open",
        AttemptOutcome::Refused => "refuses",
        AttemptOutcome::Reset | AttemptOutcome::ClosedOnAccept => "closes the connection",
        AttemptOutcome::TimedOut => "does not answer",
        AttemptOutcome::Unreachable | AttemptOutcome::Denied => "cannot be reached",
    }
}

fn said(attempt: &Attempt) -> Evidence {
    let error = attempt.errno.map_or_else(|| "no answer".to_owned(), |errno| errno.to_string());
    Evidence::new(format!("the proxy {}: {error}", attempt.address), "connect(2)")
}

fn setting<'a>(view: &View<'a>, variable: &str) -> Option<&'a ProxySetting> {
    view.case.host.own.proxies.iter().find(|p| p.variable == variable)
}

fn set(view: &View<'_>, proxy: &ProxyAttempt) -> Evidence {
    let setting = setting(view, &proxy.variable);
    let value = setting.map_or(proxy.endpoint.as_str(), |s| s.value.as_str());
    let evidence = Evidence::new(format!("{}={}", text::visible(&proxy.variable), text::visible(value)), "environment");
    match setting.and_then(|s| s.location.as_ref()) {
        Some(location) => evidence.at(location),
        None => evidence,
    }
}

fn repair(view: &View<'_>, proxy: &ProxyAttempt, endpoint: &str) -> Fix {
    let fix = Fix::new(view, Risk::Low, format!("let the proxy {endpoint} answer; unrefuse says why it does not"));
    match view.again().udp(false).at(&proxy.endpoint) {
        Some(verify) => fix.verify(verify),
        None => fix,
    }
}

/// What no_proxy must say: what it says now, and the target. Clients read either spelling (curl(1): the lower one first).
fn no_proxy<'a>(view: &View<'a>) -> (Option<&'a str>, String) {
    let old = setting(view, "no_proxy").or_else(|| setting(view, "NO_PROXY")).map(|s| s.value.as_str());
    let host = &view.case.target.host;
    match old.map(|old| old.trim().trim_end_matches(',')).filter(|old| !old.is_empty()) {
        Some(old) => (Some(old), format!("{old},{host}")),
        None => (None, host.clone()),
    }
}

fn for_the_shell(view: &View<'_>) -> Option<Fix> {
    let (old, new) = no_proxy(view);
    let new = quote(&new)?;
    let undo = match old {
        Some(old) => {
            let old = quote(old)?;
            format!("export no_proxy={old} NO_PROXY={old}")
        }
        None => "unset no_proxy NO_PROXY".to_owned(),
    };
    let title = format!("let this shell's clients reach {} without the proxy", text::visible(&view.case.target.host));
    Some(Fix::new(view, Risk::Low, title).command(format!("export no_proxy={new} NO_PROXY={new}")).undo(undo))
}

/// The same for everybody, where the variable comes from /etc/environment. Of two lines pam_env(8) takes the last one.
fn for_all(view: &View<'_>, proxy: &ProxyAttempt) -> Option<Fix> {
    let path = &setting(view, &proxy.variable)?.location.as_ref()?.path;
    let line = format!("no_proxy={}", no_proxy(view).1);
    // The line must mean the same to pam_env, to the shell and to sed when it is taken out again.
    if !line.chars().all(|c| c.is_ascii_alphanumeric() || "=.,:_-/*".contains(c)) {
        return None;
    }
    let (quoted, path_quoted) = (quote(&line)?, quote(path)?);
    let pattern: String =
        line.chars().flat_map(|c| [('.' == c || c == '*').then_some('\\'), Some(c)]).flatten().collect();
    let remove = quote(&format!("\\|^{pattern}$|d"))?;
    let fix = Fix::new(
        view,
        Risk::Medium,
        format!("the same for everybody from the next login on, in {}", text::visible(path)),
    );
    let fix = fix.command(format!("printf '%s\\n' {quoted} >> {path_quoted}"));
    Some(fix.undo(format!("sed -i {remove} {path_quoted}")).persistent())
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Step};
    use crate::testing::Scene;
    use unrefuse_facts::{
        Attempt, AttemptOutcome, Errno, Location, Missing, Observed, ProxyAttempt, ProxySetting, Reason, Source,
    };

    fn scene(outcome: AttemptOutcome) -> Scene {
        Scene::remote("10.9.0.1:80").open().with(|case| {
            case.target.scheme = Some("http".into());
            let address = "10.1.0.8:3128".parse().unwrap();
            let errno = (outcome == AttemptOutcome::Refused).then_some(Errno::ECONNREFUSED);
            let attempts = vec![Attempt { address, outcome, errno, answer: None, ..case.attempts[0].clone() }];
            let setting = |variable: &str, value: &str| ProxySetting {
                variable: variable.into(),
                value: value.into(),
                location: None,
            };
            case.host.own.proxies =
                vec![setting("http_proxy", "http://10.1.0.8:3128"), setting("no_proxy", "localhost,.lan")];
            let attempts = Observed::known(attempts, Source::probed("connect"));
            let proxy = ProxyAttempt { variable: "http_proxy".into(), endpoint: "10.1.0.8:3128".into(), attempts };
            case.proxy = Observed::known(Some(proxy), Source::running("environment"));
        })
    }
    fn command(step: &Step) -> &str {
        match step {
            Step::Command { command } => command,
            Step::Edit { .. } => panic!("{step:?}"),
        }
    }

    #[test]
    fn the_proxy_refuses_and_the_direct_way_is_open() {
        let report = scene(AttemptOutcome::Refused).report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("egress/proxy", Certainty::Proven));
        assert_eq!(report.exit_code(), 1, "clients of that scheme fail");
        let shell = &blocker.fixes[0];
        assert_eq!(
            command(&shell.steps[0]),
            "export no_proxy=localhost,.lan,10.9.0.1 NO_PROXY=localhost,.lan,10.9.0.1"
        );
        assert_eq!(command(&shell.undo[0]), "export no_proxy=localhost,.lan NO_PROXY=localhost,.lan");
        assert_eq!(blocker.fixes[1].verify, "unrefuse 10.1.0.8:3128");
    }

    #[test]
    fn a_variable_of_etc_environment_is_answered_there() {
        let report = scene(AttemptOutcome::Refused)
            .with(|case| {
                case.host.own.proxies[0].location = Some(Location { path: "/etc/environment".into(), line: 2 })
            })
            .report();
        let fix = &report.blockers[0].fixes[1];
        assert_eq!(command(&fix.steps[0]), "printf '%s\\n' no_proxy=localhost,.lan,10.9.0.1 >> /etc/environment");
        assert_eq!(command(&fix.undo[0]), "sed -i '\\|^no_proxy=localhost,\\.lan,10\\.9\\.0\\.1$|d' /etc/environment");
        assert!(fix.persistent);
    }

    #[test]
    fn the_name_of_the_proxy_does_not_resolve() {
        let report = scene(AttemptOutcome::Refused)
            .with(|case| {
                let Observed::Known { value: Some(proxy), .. } = &mut case.proxy else { panic!() };
                proxy.attempts =
                    Observed::Missing(Missing::new(Reason::Failed, "proxy.example: name or service not known"));
            })
            .report();
        assert!(report.blockers[0].whys[0].title.contains("does not resolve"), "{:?}", report.blockers);
    }

    #[test]
    fn an_open_proxy_is_no_fault() {
        assert!(scene(AttemptOutcome::Open).roots().is_empty());
    }

    #[test]
    fn clients_of_other_schemes_know_no_proxy() {
        assert!(
            scene(AttemptOutcome::Refused).with(|case| case.target.scheme = Some("redis".into())).roots().is_empty()
        );
    }
}
