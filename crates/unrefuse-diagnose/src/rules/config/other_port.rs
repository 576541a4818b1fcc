//! config/other-port

use super::judge::{self, Decided};
use super::{change, fixes, words};
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::{AttemptOutcome, ConfiguredListen, Origin, catalogue};

cause! {
    /// ## What it means
    ///
    /// The configuration of the service (or, where nothing says it, its default) gives it another port than the one that is
    /// asked. It runs and listens there, or it would if it were started.
    ///
    /// ## How it shows
    ///
    /// Connection refused at the asked port, while the service answers at another. Debian gives a second PostgreSQL
    /// cluster port 5433; a web server was moved to 8080 because another one had 80.
    ///
    /// ## How to confirm by hand
    ///
    /// `ss -ltnp` shows the service's process with the port that the named line says.
    ///
    /// ## How to fix
    ///
    /// Ask the port that it has, or change the named line and restart the service. Who used the old port must be told.
    ///
    /// ## What it is often mistaken for
    ///
    /// `service/stopped`: the service was thought to be down.
    id: "config/other-port",
    title: "the configuration says another port",
    explains: &["listener/other-port", "service/stopped"],
    begins: false,
    needs: &["sockets", "owners", "configurations"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(decided) = judge::elsewhere(view)? else { return Ok(Finding::Clear) };
    let setting = &decided.listen.port_from;
    if setting.beats.iter().any(|beaten| beaten.port == Some(view.case.target.port)) {
        return Ok(Finding::Clear);
    }
    let (port, name) = (decided.listen.port, &decided.config.name);
    let title = match &setting.origin {
        Origin::Default(_) => format!("nothing tells {name} which port to use, and its default is {port}"),
        origin => format!("{} gives {name} port {port}, not {}", words::place(origin), view.case.target.port),
    };
    let mut fired = Fired::new(decided.runner.certainty(view, decided.config), decided.runner.title(title))
        .predicts(&[AttemptOutcome::Refused])
        .evidences(words::evidence(setting, decided.runner));
    fired.fixes = moved(view, &decided).into_iter().collect();
    fired.fixes.extend(fixes::start_and_ask(view, &decided));
    fired.unknown = judge::unread(decided.config).collect();
    Ok(fired.fires())
}

/// The line with the asked port, where its address takes the packet: else it alone would not help.
fn moved(view: &View<'_>, decided: &Decided<'_>) -> Option<Fix> {
    let asked = view.case.target.port;
    // Of several ports that somebody wrote down each has its purpose: none of them is moved.
    let written = |listen: &&ConfiguredListen| !matches!(listen.port_from.origin, Origin::Default(_));
    let mut written = decided.config.listens.iter().filter(written);
    let others = written.any(|listen| listen.port != 0 && listen.port != decided.listen.port);
    // A web server on 80 is where it belongs: who asks for 443 wants more of it, and who asks for 8080 asks amiss.
    let own = catalogue::by_id(&decided.config.service).and_then(|known| known.ports.first()).map(|port| port.port);
    let customary = [own, Some(443)].contains(&Some(decided.listen.port));
    if others || customary || decided.listen.takes(view.ip()?) == Some(false) {
        return None;
    }
    let title = format!(
        "let {} listen on port {asked} in place of {}: who uses the old one must be told",
        decided.config.name, decided.listen.port
    );
    let edit = change::port(decided, asked)?;
    fixes::edited(view, decided.config, decided.runner, edit, Risk::Medium, title, fixes::apply_of(decided.config))
}

#[cfg(test)]
mod tests {
    use super::super::scenes::{Config, line};
    use crate::report::Step;
    use crate::testing::Scene;
    use crate::testing::service::unit;
    use unrefuse_facts::{ActiveState, Clue, ClueKind, Origin};

    #[test]
    fn the_line_that_gives_the_port() {
        let scene = Scene::local("127.0.0.1:5432").listener("127.0.0.1:5433", "postgres");
        let config = Config::of("postgresql", "postgres").unit("postgresql@15-main.service");
        let (address, port) = (Origin::Default("localhost".into()), line("/etc/p.conf", 64, "port = 5433 # x", "5433"));
        let report = config.listen_at("localhost", 5433, address, port).of_last(scene).rst().report();
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "config/other-port");
        assert_eq!(blocker.whys[1].title, "/etc/p.conf:64 gives PostgreSQL port 5433, not 5432");
        let Step::Edit { edit } = &blocker.fixes[0].steps[0] else { panic!() };
        assert_eq!(edit.new, "port = 5432 # x");
    }

    #[test]
    fn address_and_port_in_one() {
        let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:8080", "nginx");
        let origin = line("/etc/nginx/nginx.conf", 3, "listen *:8080;", "*:8080");
        let config = Config::of("nginx", "nginx").unit("nginx.service").listen("0.0.0.0", 8080, origin);
        let report = config.of_last(scene).rst().report();
        let Step::Edit { edit } = &report.blockers[0].fixes[0].steps[0] else { panic!() };
        assert_eq!(edit.new, "listen *:80;");
        let command = "nginx -t && systemctl reload nginx.service".to_owned();
        assert_eq!(report.blockers[0].fixes[0].steps[1], Step::Command { command });
    }

    #[test]
    fn of_several_ports_none_is_moved() {
        let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:443", "nginx").listener("0.0.0.0:8443", "nginx");
        let config = Config::of("nginx", "nginx").unit("nginx.service");
        let config = config.listen("0.0.0.0", 443, line("/n", 1, "listen 443 ssl;", "443"));
        let report =
            config.listen("0.0.0.0", 8443, line("/n", 2, "listen 8443;", "8443")).of_last(scene).rst().report();
        assert_eq!(report.blockers[0].root, "config/other-port");
        assert!(report.blockers[0].fixes.iter().all(|fix| fix.steps.is_empty()));
    }

    #[test]
    fn a_service_is_not_moved_from_its_customary_port() {
        let scene = Scene::local("10.1.0.2:443").listener("0.0.0.0:80", "nginx");
        let config = Config::of("nginx", "nginx").unit("nginx.service");
        let config = config.listen("0.0.0.0", 80, line("/n", 1, "listen 80;", "80"));
        let report = config.of_last(scene).rst().report();
        assert_eq!(report.blockers[0].root, "config/other-port");
        assert!(report.blockers[0].fixes.iter().all(|fix| fix.steps.is_empty()));
        assert_eq!(report.blockers[0].fixes[0].title, "ask port 80");
    }

    #[test]
    fn a_disabled_unit_of_another_service_is_hardly_meant() {
        let mut apache = unit("apache2.service", ActiveState::Inactive, "dead");
        apache.file_state = Some("disabled".into());
        let clue = Clue { kind: ClueKind::Configuration, text: "Listen 80".into(), source: "ports.conf".into() };
        apache.clues.push(clue);
        let origin = line("/etc/nginx/nginx.conf", 3, "listen 8081;", "8081");
        let config = Config::of("nginx", "nginx").unit("nginx.service").listen("0.0.0.0", 8081, origin);
        let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:8081", "nginx").units(vec![apache]);
        assert_eq!(config.of_last(scene).rst().roots(), ["config/other-port"]);
    }

    #[test]
    fn another_service_is_not_meant() {
        let scene = Scene::local("127.0.0.1:5432").listener("127.0.0.1:3307", "mysqld");
        let config = Config::of("mariadb", "mysqld").listen("*", 3307, line("/m", 1, "port=3307", "3307"));
        assert_eq!(config.of_last(scene).rst().roots(), ["listener/none"]);
    }
}
