//! config/networking-disabled

use super::change::{self, Scope};
use super::judge::{self, Decided};
use super::runner::Runner;
use super::{fixes, once_started, words};
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::{AttemptOutcome, Protocol, ServiceConfig, Setting};

cause! {
    /// ## What it means
    ///
    /// The service runs, and its configuration switches TCP off: it can be reached by its unix socket only.
    ///
    /// ## How it shows
    ///
    /// The service's status is fine, clients on the same machine that use its socket work, and nothing listens on its
    /// port. `skip-networking` (MariaDB, MySQL), `listen_addresses = ''` (PostgreSQL), `port 0` (Redis), `-s` or `-p 0`
    /// (memcached) do that.
    ///
    /// ## How to confirm by hand
    ///
    /// `ss -ltnp` has no line of the service's process, `ss -lxp` has one; the named line says why.
    ///
    /// ## How to fix
    ///
    /// Take the named line out or change it, and restart the service. Where only this machine's clients need it, let them
    /// use the socket instead.
    ///
    /// ## What it is often mistaken for
    ///
    /// `service/stopped`; `config/other-port`.
    id: "config/networking-disabled",
    title: "TCP is switched off in the configuration",
    explains: &["listener/none", "service/stopped"],
    begins: false,
    needs: &["sockets", "configurations"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    if view.is_local() != Some(true) {
        return Ok(Finding::Clear);
    }
    for config in judge::configs(view)? {
        let (Some(process), Some(setting)) = (&config.process, &config.disabled) else { continue };
        if judge::is_meant(view, config) && !judge::has_socket(view, process) {
            return Ok(fired(view, config, setting, Runner::Process(process)));
        }
    }
    let stopped =
        once_started::stopped(view).and_then(|(unit, config)| Some((unit, config, config.disabled.as_ref()?)));
    Ok(stopped.map_or(Finding::Clear, |(unit, config, setting)| fired(view, config, setting, Runner::Stopped(unit))))
}

fn fired(view: &View<'_>, config: &ServiceConfig, setting: &Setting, runner: Runner<'_>) -> Finding {
    let title = format!("{} opens no TCP port: {} switches it off", config.name, words::place(&setting.origin));
    let mut fired = Fired::new(runner.certainty(view, config), runner.title(title))
        .predicts(&[AttemptOutcome::Refused])
        .evidences(words::evidence(setting, runner));
    let misses = misses(view, config, runner);
    if let Some(listen) = misses.as_ref().map(|decided| decided.listen) {
        fired = fired.evidences(words::evidence(&listen.address_from, runner));
    }
    for scope in if misses.is_some() { &[Scope::Asked, Scope::Every][..] } else { &[Scope::Asked] } {
        fired.fixes.extend(enabled(view, config, setting, runner, misses.as_ref().map(|decided| (decided, *scope))));
    }
    fired.unknown = judge::unread(config).collect();
    fired.fires()
}

/// The address that it would listen on with TCP, where that is not the asked one either.
fn misses<'a>(view: &View<'_>, config: &'a ServiceConfig, runner: Runner<'a>) -> Option<Decided<'a>> {
    let of_tcp = config.listens.iter().filter(|listen| listen.protocol == Protocol::Tcp);
    let mut all = of_tcp.map(|listen| Decided { config, runner, listen }).peekable();
    let first = Decided { ..*all.peek()? };
    all.all(|decided| decided.misses(view)).then_some(first)
}

/// TCP switched on, and the address opened where it is another one.
fn enabled(
    view: &View<'_>,
    config: &ServiceConfig,
    setting: &Setting,
    runner: Runner<'_>,
    address: Option<(&Decided<'_>, Scope)>,
) -> Option<Fix> {
    let (ip, asked) = (view.ip()?, view.case.target.port);
    let on = change::enable(config, setting.origin.line()?, ip, asked)?;
    let title = |place: &str| format!("let {} listen on {place}{}", config.name, fixes::warning(config));
    let (edits, risk, title) = match address {
        None => (vec![on], Risk::Medium, title(&view.endpoint())),
        Some((decided, scope)) => {
            let edits = change::in_order(vec![on, change::address(decided, ip, scope)?])?;
            let (risk, place) = match scope {
                Scope::Asked => (Risk::Medium, view.endpoint()),
                Scope::Every => (Risk::High, format!("port {asked} of every address")),
            };
            (edits, risk, title(&place))
        }
    };
    fixes::edited(view, config, runner, edits, risk, title, fixes::apply_of(config))
}

#[cfg(test)]
mod tests {
    use super::super::scenes::{Config, line};
    use crate::report::Step;
    use crate::testing::Scene;

    fn mariadb() -> Config {
        let origin = line("/etc/mysql/my.cnf", 12, "skip-networking", "skip-networking");
        Config::of("mariadb", "mariadbd").unit("mariadb.service").disabled(origin)
    }

    #[test]
    fn it_runs_without_tcp() {
        let report = mariadb().of_last(Scene::local("127.0.0.1:3306")).rst().report();
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "config/networking-disabled");
        assert_eq!(blocker.whys[1].title, "MariaDB/MySQL opens no TCP port: /etc/mysql/my.cnf:12 switches it off");
        let Step::Edit { edit } = &blocker.fixes[0].steps[0] else { panic!() };
        assert_eq!(edit.new, "# skip-networking");
        assert_eq!(blocker.fixes[0].steps[1], Step::Command { command: "systemctl restart mariadb.service".into() });
    }

    #[test]
    fn an_empty_list_gets_the_asked_address() {
        let origin = line("/p", 2, "listen_addresses = ''", "''");
        let config = Config::of("postgresql", "postgres").unit("postgresql.service").disabled(origin);
        let report = config.of_last(Scene::local("10.1.0.2:5432")).rst().report();
        let Step::Edit { edit } = &report.blockers[0].fixes[0].steps[0] else { panic!() };
        assert_eq!(edit.new, "listen_addresses = '10.1.0.2'");
    }

    #[test]
    fn an_address_that_is_not_the_asked_one_is_opened_as_well() {
        let origin = line("/etc/mysql/50.cnf", 27, "bind-address = 127.0.0.1", "127.0.0.1");
        let config = mariadb().listen("127.0.0.1", 3306, origin);
        let report = config.of_last(Scene::local("10.1.0.2:3306")).rst().report();
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "config/networking-disabled");
        let edits: Vec<&str> = blocker.fixes[0]
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Edit { edit } => Some(edit.new.as_str()),
                Step::Command { .. } => None,
            })
            .collect();
        assert_eq!(edits, ["bind-address = 10.1.0.2", "# skip-networking"]);
        assert_eq!(blocker.fixes.len(), 2);
    }

    #[test]
    fn another_service_s_switch_is_not_the_reason() {
        assert_eq!(mariadb().of_last(Scene::local("127.0.0.1:5432")).rst().roots(), ["listener/none"]);
    }
}
