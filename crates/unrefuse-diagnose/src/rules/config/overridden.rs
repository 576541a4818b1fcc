//! config/overridden

use super::judge::{self, Decided, Kind};
use super::{change, fixes, words};
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::{AttemptOutcome, Setting};

cause! {
    /// ## What it means
    ///
    /// A line of the configuration says what is asked, and has no say: a later line, a later file or an option of the
    /// command line says otherwise and wins.
    ///
    /// ## How it shows
    ///
    /// The file was edited, the service restarted, and it still listens where it did. Later files are those of an include
    /// folder (`conf.d/99-….conf`, `mariadb.conf.d/`), PostgreSQL's postgresql.auto.conf, which `ALTER SYSTEM` writes,
    /// and options in the unit's `ExecStart=`.
    ///
    /// ## How to confirm by hand
    ///
    /// Look at both named lines. PostgreSQL: `SELECT * FROM pg_file_settings;`; MariaDB: `mariadbd --print-defaults`;
    /// the running process: `tr '\0' ' ' </proc/PID/cmdline`.
    ///
    /// ## How to fix
    ///
    /// Take the winning line out, or change it, and restart the service.
    ///
    /// ## What it is often mistaken for
    ///
    /// `config/not-reloaded`: there the service has not read the file since the edit.
    id: "config/overridden",
    title: "a later line or option overrides the one that says it",
    explains: &["listener/loopback-only", "listener/other-address", "listener/other-family", "listener/other-port", "service/stopped"],
    begins: false,
    needs: &["sockets", "owners", "configurations"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    if let Some((decided, Kind::Overridden)) = judge::misfit(view)? {
        let mut fixes = unsay(view, &decided, &decided.listen.address_from);
        fixes.extend(fixes::addresses(view, &decided));
        return Ok(fired(view, &decided, &decided.listen.address_from, &decided.listen.endpoint(), fixes));
    }
    let Some(decided) = judge::elsewhere(view)? else { return Ok(Finding::Clear) };
    let setting = &decided.listen.port_from;
    if !setting.beats.iter().any(|beaten| beaten.port == Some(view.case.target.port)) {
        return Ok(Finding::Clear);
    }
    // Where the address is not the asked one either, that line taken out would open nothing.
    let fixes = match decided.misses(view) {
        true => fixes::endpoints(view, &decided),
        false => unsay(view, &decided, setting),
    };
    Ok(fired(view, &decided, setting, &format!("port {}", decided.listen.port), fixes))
}

fn fired(view: &View<'_>, decided: &Decided<'_>, setting: &Setting, what: &str, fixes: Vec<Fix>) -> Finding {
    let wanted = setting.beats.last().map(|beaten| words::place(&beaten.origin)).unwrap_or_default();
    let title =
        format!("{} says {what} and overrides {wanted} of {}", words::place(&setting.origin), decided.config.name);
    let mut fired = Fired::new(decided.runner.certainty(view, decided.config), decided.runner.title(title))
        .predicts(&[AttemptOutcome::Refused])
        .evidences(words::evidence(setting, decided.runner));
    fired.fixes = fixes;
    fired.unknown = judge::unread(decided.config).collect();
    fired.fires()
}

/// The winning line made a comment, where the one that it beats last says what is asked.
fn unsay(view: &View<'_>, decided: &Decided<'_>, setting: &Setting) -> Vec<Fix> {
    let says = setting.beats.last().is_some_and(|beaten| {
        let ip = view.ip();
        let takes = |a: &unrefuse_facts::ListenAddress| ip.and_then(|ip| a.takes(ip, None)) == Some(true);
        beaten.port == Some(view.case.target.port) || beaten.addresses.iter().any(takes)
    });
    let fix = || {
        let line = setting.origin.line()?;
        let title = format!(
            "take out {}, so that {} says where {} listens",
            line.location,
            words::place(&setting.beats.last()?.origin),
            decided.config.name
        );
        let apply = fixes::apply_of(decided.config);
        let edits = vec![change::without(decided.config, line)?];
        fixes::edited(view, decided.config, decided.runner, edits, Risk::Medium, title, apply)
    };
    if says { fix().into_iter().collect() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::scenes::{Config, line};
    use crate::report::Step;
    use crate::testing::Scene;
    use unrefuse_facts::Origin;

    fn postgres(winner: Origin) -> Config {
        let beaten = line("/etc/postgresql.conf", 60, "listen_addresses = '*'", "'*'");
        Config::of("postgresql", "postgres").unit("postgresql.service").listen("localhost", 5432, winner).beats(
            &["*"],
            None,
            beaten,
        )
    }

    fn scene() -> Scene {
        Scene::local("10.1.0.2:5432").listener("127.0.0.1:5432", "postgres")
    }

    #[test]
    fn a_later_file_wins() {
        let auto = line("/d/postgresql.auto.conf", 3, "listen_addresses = 'localhost'", "'localhost'");
        let report = postgres(auto).of_last(scene()).rst().report();
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "config/overridden");
        assert_eq!(
            blocker.whys[1].title,
            "/d/postgresql.auto.conf:3 says localhost:5432 and overrides /etc/postgresql.conf:60 of PostgreSQL"
        );
        let places: Vec<_> = blocker.whys[1].evidence.iter().filter_map(|e| e.location.as_deref()).collect();
        assert_eq!(places, ["/d/postgresql.auto.conf:3", "/etc/postgresql.conf:60"]);
        let Step::Edit { edit } = &blocker.fixes[0].steps[0] else { panic!() };
        assert_eq!(
            (edit.path.as_str(), edit.new.as_str()),
            ("/d/postgresql.auto.conf", "# listen_addresses = 'localhost'")
        );
    }

    #[test]
    fn the_command_line_wins() {
        let report =
            postgres(Origin::CommandLine("-c listen_addresses=localhost".into())).of_last(scene()).rst().report();
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "config/overridden");
        assert!(blocker.whys[1].evidence[0].text.ends_with("was started with -c listen_addresses=localhost"));
        assert!(blocker.fixes.iter().all(|fix| fix.steps.is_empty()), "the unit's command is not edited from here");
    }

    #[test]
    fn a_port_is_overridden_too() {
        let (winner, loser) = (line("/b", 2, "port = 5433", "5433"), line("/a", 1, "port = 5432", "5432"));
        let config = Config::of("postgresql", "postgres").listen("*", 5433, winner).beats(&[], Some(5432), loser);
        let scene = Scene::local("10.1.0.2:5432").listener("0.0.0.0:5433", "postgres");
        assert_eq!(config.of_last(scene).rst().roots(), ["config/overridden"]);
    }

    #[test]
    fn a_beaten_line_that_says_no_better_is_not_the_reason() {
        let auto = line("/d/postgresql.auto.conf", 3, "listen_addresses = 'localhost'", "'localhost'");
        let beaten = line("/etc/postgresql.conf", 60, "listen_addresses = '127.0.0.1'", "'127.0.0.1'");
        let config =
            Config::of("postgresql", "postgres").listen("localhost", 5432, auto).beats(&["127.0.0.1"], None, beaten);
        assert_eq!(config.of_last(scene()).rst().roots(), ["config/loopback-bind"]);
    }
}
