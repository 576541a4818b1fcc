//! config/loopback-bind

use super::judge::{self, Kind};
use super::{fixes, words};
use crate::View;
use crate::finding::{CannotTell, Finding};
use crate::rule::cause;

cause! {
    /// ## What it means
    ///
    /// The service's configuration tells it to listen on a loopback address only. The line that wins is named, after
    /// includes and overrides.
    ///
    /// ## How it shows
    ///
    /// The service works on its own machine by `localhost` and is refused by every other address. The configuration holds
    /// `bind 127.0.0.1` (Redis), `bind-address = 127.0.0.1` (MariaDB, MySQL), `listen 127.0.0.1:80` (nginx),
    /// `-l 127.0.0.1` (memcached) or the like.
    ///
    /// ## How to confirm by hand
    ///
    /// `ss -ltnp 'sport = :PORT'` shows the socket, and the named line of the named file says the same address.
    ///
    /// ## How to fix
    ///
    /// Change that line: add the asked address, or every address where that is meant, and restart the service (reload is
    /// enough for nginx, HAProxy and sshd). Packages bind databases to loopback for a good reason: before opening one, see
    /// that it asks for a password and that the firewall lets in only who should come.
    ///
    /// ## What it is often mistaken for
    ///
    /// A firewall, since the refusal looks the same; `config/default-bind`, where no line says it.
    id: "config/loopback-bind",
    title: "the configuration binds loopback",
    explains: &["listener/loopback-only", "listener/other-address", "service/stopped"],
    begins: false,
    needs: &["sockets", "owners", "configurations"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some((decided, Kind::Loopback)) = judge::misfit(view)? else { return Ok(Finding::Clear) };
    let listen = decided.listen;
    let title = format!(
        "{} binds {} to loopback ({})",
        words::place(&listen.address_from.origin),
        decided.config.name,
        listen.endpoint()
    );
    Ok(fixes::bound(view, &decided, title).fires())
}

#[cfg(test)]
mod tests {
    use super::super::scenes::{Config, line};
    use crate::report::{Certainty, Risk, Step};
    use crate::testing::Scene;

    fn redis(value: &str) -> Config {
        let text = format!("bind {value}");
        Config::of("redis", "redis-server").unit("redis-server.service").listen(
            value.split(' ').next().unwrap(),
            6379,
            line("/etc/redis/redis.conf", 87, &text, value),
        )
    }

    #[test]
    fn the_line_is_named_and_changed() {
        let scene = Scene::local("10.1.0.2:6379").listener("127.0.0.1:6379", "redis-server");
        let report = redis("127.0.0.1").of_last(scene).rst().report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("config/loopback-bind", Certainty::Proven));
        let why = &blocker.whys[1];
        assert_eq!(why.title, "/etc/redis/redis.conf:87 binds Redis/Valkey to loopback (127.0.0.1:6379)");
        assert_eq!(why.evidence[0].location.as_deref(), Some("/etc/redis/redis.conf:87"));
        assert_eq!(why.evidence[0].text, "bind 127.0.0.1");
        let fix = &blocker.fixes[0];
        let Step::Edit { edit } = &fix.steps[0] else { panic!("{fix:?}") };
        assert_eq!((edit.old.as_str(), edit.new.as_str()), ("bind 127.0.0.1", "bind 127.0.0.1 10.1.0.2"));
        assert_eq!(fix.steps[1], Step::Command { command: "systemctl restart redis-server.service".into() });
        assert_eq!((fix.risk, blocker.fixes[1].risk), (Risk::Medium, Risk::High));
        let Step::Edit { edit } = &blocker.fixes[1].steps[0] else { panic!() };
        assert_eq!(edit.new, "bind * -::*");
    }

    fn edited(report: &crate::Report, fix: usize) -> (&str, &str) {
        let Step::Edit { edit } = &report.blockers[0].fixes[fix].steps[0] else { panic!("{:?}", report.blockers) };
        (&edit.old, &edit.new)
    }

    #[test]
    fn a_server_block_on_one_line_gets_one_more_listen() {
        let text = "server { listen 127.0.0.1:80 default_server; server_name a; }";
        let config = Config::of("nginx", "nginx").unit("nginx.service");
        let config = config.listen("127.0.0.1", 80, line("/etc/nginx/a.conf", 1, text, "127.0.0.1:80"));
        let report = config.of_last(Scene::local("10.1.0.2:80").listener("127.0.0.1:80", "nginx")).rst().report();
        let new = "server { listen 127.0.0.1:80 default_server; listen 10.1.0.2:80 default_server; server_name a; }";
        assert_eq!(edited(&report, 0), (text, new));
        assert_eq!(report.blockers[0].fixes[0].title, "let nginx listen on 10.1.0.2, too");
    }

    #[test]
    fn sshd_keeps_the_port_of_the_line() {
        let text = "ListenAddress 127.0.0.1:2200";
        let config = Config::of("sshd", "sshd").unit("ssh.service");
        let config = config.listen("127.0.0.1", 2200, line("/etc/ssh/sshd_config", 15, text, "127.0.0.1:2200"));
        let report = config.of_last(Scene::local("10.1.0.2:2200").listener("127.0.0.1:2200", "sshd")).rst().report();
        assert_eq!(edited(&report, 0), ("", "ListenAddress 10.1.0.2:2200"));
        assert_eq!(edited(&report, 1), (text, "ListenAddress 0.0.0.0:2200"));
    }

    #[test]
    fn what_is_replaced_is_not_called_too() {
        let text = "ExecStart=/opt/app --listen 127.0.0.1:80";
        let config = Config::of("app", "app").unit("app.service");
        let config = config.listen("127.0.0.1", 80, line("/etc/systemd/system/app.service", 4, text, "127.0.0.1:80"));
        let report = config.of_last(Scene::local("10.1.0.2:80").listener("127.0.0.1:80", "app")).rst().report();
        assert_eq!(report.blockers[0].fixes[0].title, "let app listen on 10.1.0.2, in place of what it has");
    }

    #[test]
    fn without_a_unit_there_are_no_steps() {
        let scene = Scene::local("10.1.0.2:6379").listener("127.0.0.1:6379", "redis-server");
        let mut config = redis("127.0.0.1");
        config.no_unit();
        let report = config.of_last(scene).rst().report();
        assert!(report.blockers[0].fixes[0].steps.is_empty());
        assert!(
            report.blockers[0].fixes[0].title.contains("`bind 127.0.0.1 10.1.0.2`, then restart redis-server[800]")
        );
    }

    #[test]
    fn what_was_not_read_lowers_the_certainty() {
        let scene = Scene::local("10.1.0.2:6379").listener("127.0.0.1:6379", "redis-server");
        let report =
            redis("127.0.0.1").problem("/etc/redis/local.conf", "permission denied").of_last(scene).rst().report();
        assert_eq!(report.blockers[0].certainty, Certainty::Likely);
        assert!(report.unknown.iter().any(|u| u.what.contains("/etc/redis/local.conf")));
    }

    #[test]
    fn a_stopped_service_s_line_is_not_the_reason_for_another_one_s_socket() {
        let mut stopped = Config::of("dnsmasq", "dnsmasq");
        stopped = stopped.listen("127.0.0.1", 53, line("/d", 1, "listen-address=127.0.0.1", "127.0.0.1"));
        let scene = Scene::local("10.1.0.2:53").listener("127.0.0.1:53", "named").rst();
        assert_eq!(scene.units(vec![stopped.of_stopped("dnsmasq.service")]).roots(), ["listener/loopback-only"]);
    }

    #[test]
    fn another_service_s_line_is_not_the_reason() {
        let scene =
            Scene::local("10.1.0.2:6379").listener("127.0.0.1:6379", "redis-server").listener("127.0.0.1:1", "x");
        assert_ne!(redis("127.0.0.1").of_last(scene).rst().roots(), ["config/loopback-bind"]);
    }

    #[test]
    fn a_line_that_is_not_the_socket_s_is_not_the_reason() {
        let scene = Scene::local("10.1.0.2:6379").listener("127.0.0.1:6379", "redis-server");
        assert_ne!(redis("10.9.9.9").of_last(scene).rst().roots(), ["config/loopback-bind"]);
    }
}
