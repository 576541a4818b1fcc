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
    if decided.misses(view) && decided.listen.address_from.origin != setting.origin {
        fired = fired.evidences(words::evidence(&decided.listen.address_from, decided.runner));
    }
    fired.fixes = moved(view, &decided);
    fired.fixes.extend(fixes::start_and_ask(view, &decided));
    fired.unknown = judge::unread(decided.config).collect();
    Ok(fired.fires())
}

/// The line with the asked port; where its address does not take the packet, that changed as well: one alone would not help.
fn moved(view: &View<'_>, decided: &Decided<'_>) -> Vec<Fix> {
    let asked = view.case.target.port;
    // Of several ports that somebody wrote down each has its purpose: none of them is moved.
    let written = |listen: &&ConfiguredListen| !matches!(listen.port_from.origin, Origin::Default(_));
    let mut written = decided.config.listens.iter().filter(written);
    let others = written.any(|listen| listen.port != 0 && listen.port != decided.listen.port);
    // A web server on 80 is where it belongs: who asks for 443 wants more of it, and who asks for 8080 asks amiss.
    let own = catalogue::by_id(&decided.config.service).and_then(|known| known.ports.first()).map(|port| port.port);
    let customary = [own, Some(443)].contains(&Some(decided.listen.port));
    if others || customary {
        return Vec::new();
    }
    if decided.misses(view) {
        return fixes::endpoints(view, decided);
    }
    let title = format!(
        "let {} listen on port {asked} in place of {}: who uses the old one must be told",
        decided.config.name, decided.listen.port
    );
    let apply = fixes::apply_of(decided.config);
    let fix = |edit| fixes::edited(view, decided.config, decided.runner, vec![edit], Risk::Medium, title, apply);
    change::port(decided, asked).and_then(fix).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::scenes::{Config, line};
    use crate::report::{Fix, Step};
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

    fn edits(fix: &Fix) -> Vec<(u32, &str, &str)> {
        let edits = fix.steps.iter().filter_map(|step| match step {
            Step::Edit { edit } => Some((edit.line, edit.old.as_str(), edit.new.as_str())),
            Step::Command { .. } => None,
        });
        edits.collect()
    }

    #[test]
    fn another_address_is_changed_with_the_port() {
        let scene = || Scene::local("10.1.0.2:5432").rst();
        let config = Config::of("postgresql", "postgres");
        let (address, port) = (Origin::Default("localhost".into()), line("/etc/p.conf", 64, "port = 5433", "5433"));
        let config = config.listen_at("localhost", 5433, address, port);
        let report = scene().units(vec![config.of_stopped("postgresql@15-main.service")]).report();
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "config/other-port");
        let new = "listen_addresses = 'localhost,10.1.0.2'";
        assert_eq!(edits(&blocker.fixes[0]), [(64, "port = 5433", "port = 5432"), (9, "", new)]);
        assert!(blocker.fixes[0].title.starts_with("let PostgreSQL listen on 10.1.0.2:5432;"));
        assert!(blocker.fixes[0].title.contains("; who uses port 5433 must be told"), "{}", blocker.fixes[0].title);
        assert_eq!(edits(&blocker.fixes[1])[1].2, "listen_addresses = '*'");
        assert!(blocker.whys[2].evidence.iter().any(|evidence| evidence.text == "localhost"));
    }

    #[test]
    fn a_line_with_address_and_port_gets_another_beside_it() {
        let config = Config::of("nginx", "nginx");
        let config = config.listen("127.0.0.1", 8081, line("/n", 3, "listen 127.0.0.1:8081;", "127.0.0.1:8081"));
        let units = vec![config.of_stopped("nginx.service")];
        let report = Scene::local("10.1.0.2:80").rst().units(units).report();
        let fixes = &report.blockers[0].fixes;
        assert_eq!(edits(&fixes[0]), [(4, "", "listen 10.1.0.2:80;")]);
        assert_eq!(fixes[0].title, "let nginx listen on 10.1.0.2:80, and start nginx.service");
        assert_eq!(edits(&fixes[1]), [(3, "listen 127.0.0.1:8081;", "listen 80;")]);
    }

    #[test]
    fn options_of_one_line_are_changed_together() {
        let text = "ExecStart=/usr/bin/redis-server --port 7000 --bind 127.0.0.1";
        let path = "/etc/systemd/system/redis.service";
        let (address, port) = (line(path, 4, text, "127.0.0.1"), line(path, 4, text, "7000"));
        let config = Config::of("redis", "redis-server").listen_at("127.0.0.1", 7000, address, port);
        let report = Scene::local("10.1.0.2:6379").rst().units(vec![config.of_stopped("redis.service")]).report();
        let new = "ExecStart=/usr/bin/redis-server --port 6379 --bind 127.0.0.1 10.1.0.2";
        assert_eq!(edits(&report.blockers[0].fixes[0]), [(4, text, new)]);
    }

    #[test]
    fn what_somebody_had_running_comes_before_what_only_a_package_brought() {
        let mut bind = unit("named.service", ActiveState::Inactive, "dead");
        bind.file_state = Some("disabled".into());
        let config = Config::of("dnsmasq", "dnsmasq").listen("*", 5353, line("/d", 1, "port=5353", "5353"));
        let units = vec![bind, config.of_stopped("dnsmasq.service")];
        let report = Scene::local("10.1.0.2:53").rst().units(units.clone()).report();
        assert_eq!(report.blockers[0].root, "config/other-port");
        let mut read = units.clone();
        let default = Config::of("bind", "named").listen("0.0.0.0", 53, Origin::Default("its port is 53".into()));
        read[0] = default.of_stopped("named.service");
        read[0].file_state = Some("disabled".into());
        assert_eq!(Scene::local("10.1.0.2:53").rst().units(read).roots(), ["config/other-port"]);
        let mut wanted = units;
        wanted[0].file_state = Some("enabled".into());
        assert_eq!(Scene::local("10.1.0.2:53").rst().units(wanted).roots(), ["service/stopped"]);
    }

    #[test]
    fn what_only_a_package_brought_stands_back_behind_what_was_tried() {
        let config = Config::of("dnsmasq", "dnsmasq").listen("*", 53, Origin::Default("its port is 53".into()));
        let mut dnsmasq = config.of_stopped("dnsmasq.service");
        dnsmasq.file_state = Some("disabled".into());
        let bind = unit("named.service", ActiveState::Failed, "failed");
        let report = Scene::local("10.1.0.2:53").rst().units(vec![dnsmasq, bind]).report();
        assert!(report.blockers[0].whys[1].title.starts_with("named.service failed"), "{report:?}");
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
    fn a_unit_that_was_to_run_on_the_port_goes_first() {
        let mut app = unit("app.service", ActiveState::Inactive, "dead");
        app.file_state = Some("enabled".into());
        let clue = Clue { kind: ClueKind::UnitFile, text: "--port 8080".into(), source: "app.service".into() };
        app.clues.push(clue);
        let config = Config::of("nginx", "nginx").unit("nginx.service");
        let config = config.listen("0.0.0.0", 80, line("/etc/nginx/nginx.conf", 3, "listen 80;", "80"));
        let scene = Scene::local("10.1.0.2:8080").listener("0.0.0.0:80", "nginx").units(vec![app]);
        assert_eq!(config.of_last(scene).rst().roots(), ["service/stopped"]);
    }

    #[test]
    fn another_service_is_not_meant() {
        let scene = Scene::local("127.0.0.1:5432").listener("127.0.0.1:3307", "mysqld");
        let config = Config::of("mariadb", "mysqld").listen("*", 3307, line("/m", 1, "port=3307", "3307"));
        assert_eq!(config.of_last(scene).rst().roots(), ["listener/none"]);
    }
}
