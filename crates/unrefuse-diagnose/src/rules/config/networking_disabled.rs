//! config/networking-disabled

use super::runner::Runner;
use super::{change, fixes, judge, once_started, words};
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::Risk;
use crate::rule::cause;
use unrefuse_facts::{AttemptOutcome, ServiceConfig, Setting};

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
    let stopped = once_started::stopped(view).and_then(|(unit, config)| Some((unit, config, config.disabled.as_ref()?)));
    Ok(stopped.map_or(Finding::Clear, |(unit, config, setting)| fired(view, config, setting, Runner::Stopped(unit))))
}

fn fired(view: &View<'_>, config: &ServiceConfig, setting: &Setting, runner: Runner<'_>) -> Finding {
    let title = format!("{} opens no TCP port: {} switches it off", config.name, words::place(&setting.origin));
    let mut fired = Fired::new(runner.certainty(view, config), runner.title(title))
        .predicts(&[AttemptOutcome::Refused])
        .evidences(words::evidence(setting, runner));
    let line = setting.origin.line();
    let edit = line.zip(view.ip()).and_then(|(line, ip)| change::enable(config, line, ip, view.case.target.port));
    if let Some(edit) = edit {
        let title = format!("let {} listen on {}", config.name, view.endpoint());
        fired = fired.fix(fixes::edited(view, config, runner, edit, Risk::Medium, title, fixes::apply_of(config)));
    }
    fired.unknown = judge::unread(config).collect();
    fired.fires()
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
    fn another_service_s_switch_is_not_the_reason() {
        assert_eq!(mariadb().of_last(Scene::local("127.0.0.1:5432")).rst().roots(), ["listener/none"]);
    }
}
