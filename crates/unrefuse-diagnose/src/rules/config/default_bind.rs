//! config/default-bind

use super::fixes;
use super::judge::{self, Kind};
use crate::View;
use crate::finding::{CannotTell, Finding};
use crate::rule::cause;

cause! {
    /// ## What it means
    ///
    /// Nothing in the service's configuration says where to listen, and its own default does not include the asked
    /// address. PostgreSQL and MongoDB listen on localhost until told otherwise.
    ///
    /// ## How it shows
    ///
    /// The service works on its own machine and is refused from elsewhere; the configuration has the setting only as a
    /// comment, which shows the default.
    ///
    /// ## How to confirm by hand
    ///
    /// `ss -ltnp 'sport = :PORT'` shows loopback; in the configuration the line begins with `#`, or is not there. For
    /// PostgreSQL: `SHOW listen_addresses;` and the view pg_settings, whose `source` is then `default`.
    ///
    /// ## How to fix
    ///
    /// Add the setting with the asked address and restart the service. Before opening a database to the network, see that
    /// it asks for a password and that the firewall lets in only who should come.
    ///
    /// ## What it is often mistaken for
    ///
    /// `config/loopback-bind`, where a line says it; a firewall.
    id: "config/default-bind",
    title: "nothing is configured, and the default is another address",
    explains: &["listener/loopback-only", "listener/other-address", "listener/other-family", "service/stopped"],
    begins: false,
    needs: &["sockets", "owners", "configurations"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some((decided, Kind::Default)) = judge::misfit(view)? else { return Ok(Finding::Clear) };
    let listen = decided.listen;
    let title = format!(
        "nothing tells {} where to listen, and its default is {}, not {}",
        decided.config.name,
        listen.endpoint(),
        view.endpoint()
    );
    let fired = fixes::bound(view, &decided, title).evidences(decided.config.files.iter().take(3).map(|file| {
        let path = unrefuse_facts::text::visible(&file.path);
        crate::report::Evidence::new(format!("{path} does not say it"), path)
    }));
    Ok(fired.fires())
}

#[cfg(test)]
mod tests {
    use super::super::scenes::{Config, line};
    use crate::report::Step;
    use crate::testing::Scene;
    use unrefuse_facts::Origin;

    #[test]
    fn the_default_is_localhost() {
        let scene = Scene::local("10.1.0.2:5432").listener("127.0.0.1:5432", "postgres");
        let origin = Origin::Default("without `listen_addresses` PostgreSQL listens on localhost".into());
        let port = line("/etc/postgresql.conf", 64, "port = 5432", "5432");
        let config = Config::of("postgresql", "postgres").unit("postgresql@15-main.service");
        let report = config.listen_at("localhost", 5432, origin, port).of_last(scene).rst().report();
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "config/default-bind");
        assert_eq!(
            blocker.whys[1].title,
            "nothing tells PostgreSQL where to listen, and its default is localhost:5432, not 10.1.0.2:5432"
        );
        let Step::Edit { edit } = &blocker.fixes[0].steps[0] else { panic!() };
        assert_eq!((edit.path.as_str(), edit.line, edit.old.as_str()), ("/etc/main.conf", 9, ""));
        assert_eq!(edit.new, "listen_addresses = 'localhost,10.1.0.2'");
        assert_eq!(
            blocker.fixes[0].steps[1],
            Step::Command { command: "systemctl restart postgresql@15-main.service".into() }
        );
    }

    #[test]
    fn where_a_file_is_closed_to_this_user_no_default_is_claimed() {
        let scene = Scene::local("10.1.0.2:5432").listener("127.0.0.1:5432", "postgres");
        let origin = Origin::Default("without `listen_addresses` PostgreSQL listens on localhost".into());
        let config = Config::of("postgresql", "postgres").listen("localhost", 5432, origin);
        let report = config.problem("/etc/postgresql.conf", "permission denied").of_last(scene).rst().report();
        assert_eq!(report.blockers[0].root, "listener/loopback-only");
        let unknown = report.unknown.iter().filter(|unknown| unknown.what.contains("/etc/postgresql.conf"));
        assert_eq!(unknown.map(|unknown| unknown.why.as_str()).collect::<Vec<_>>(), ["permission denied"]);
    }

    #[test]
    fn a_line_that_says_localhost_is_no_default() {
        let scene = Scene::local("10.1.0.2:5432").listener("127.0.0.1:5432", "postgres");
        let origin = line("/etc/postgresql.conf", 60, "listen_addresses = 'localhost'", "'localhost'");
        let roots = Config::of("postgresql", "postgres").listen("localhost", 5432, origin).of_last(scene).rst().roots();
        assert_eq!(roots, ["config/loopback-bind"]);
    }
}
