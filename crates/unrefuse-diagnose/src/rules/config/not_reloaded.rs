//! config/not-reloaded

use super::runner::Runner;
use super::{fixes, judge, words};
use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::fix::quote;
use crate::report::{Evidence, Fix, Risk};
use crate::rule::cause;
use crate::rules::service::reload_fails;
use unrefuse_facts::catalogue::Apply;
use unrefuse_facts::text::visible;
use unrefuse_facts::{AttemptOutcome, ConfiguredListen, ConfiguredProcess, ServiceConfig};

cause! {
    /// ## What it means
    ///
    /// The configuration says what is asked, and the running process does not do it: the file was changed after the
    /// process read it.
    ///
    /// ## How it shows
    ///
    /// The file is right, and the service still listens where it did, or not at all on that port. A changed listening
    /// address of PostgreSQL, MariaDB, Redis and memcached takes effect at a restart only; a reload changes nothing.
    ///
    /// ## How to confirm by hand
    ///
    /// Compare `stat FILE` with `ps -o lstart= -p PID`, and the file's line with `ss -ltnp`.
    ///
    /// ## How to fix
    ///
    /// Check the configuration with the service's own command where it has one (`nginx -t`, `apachectl configtest`,
    /// `sshd -t`, `haproxy -c -f FILE`), then reload or restart the service.
    ///
    /// ## What it is often mistaken for
    ///
    /// `config/overridden`: there the service has read the file, and another line won.
    id: "config/not-reloaded",
    title: "the configuration was changed, and the service has not read it since",
    explains: &[
        "listener/loopback-only",
        "listener/other-address",
        "listener/other-family",
        "listener/other-port",
        "listener/none",
    ],
    begins: false,
    needs: &["sockets", "owners", "configurations"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    if view.is_local() != Some(true) {
        return Ok(Finding::Clear);
    }
    for config in judge::configs(view)? {
        let (Some(process), Some(listen)) = (&config.process, judge::taker(view, config)) else { continue };
        // One of its own sockets takes it: then it is not this.
        if judge::sockets(view, process)
            .iter()
            .any(|socket| socket.local.port() == view.case.target.port && view.takes(socket) == Some(true))
        {
            continue;
        }
        let Some((path, later)) = changed_since(config, process, listen) else {
            return Err(unexplained(view, config, process, listen));
        };
        return Ok(fired(view, config, process, listen, &path, later));
    }
    Ok(Finding::Clear)
}

/// The file that was changed after the process read it, and how much later, in milliseconds: the file of the line itself
/// before others.
fn changed_since(
    config: &ServiceConfig,
    process: &ConfiguredProcess,
    listen: &ConfiguredListen,
) -> Option<(String, i64)> {
    let loaded = process.loaded_ms?;
    let lines = [&listen.address_from.origin, &listen.port_from.origin];
    let own = lines.into_iter().filter_map(|origin| config.file(&origin.line()?.location.path));
    let later = |file: &unrefuse_facts::ConfigFile| {
        let later = file.changed_ms?.checked_sub(loaded)?;
        (later > 0).then(|| (file.path.clone(), later))
    };
    own.chain(&config.files).find_map(later)
}

fn fired(
    view: &View<'_>,
    config: &ServiceConfig,
    process: &ConfiguredProcess,
    listen: &ConfiguredListen,
    path: &str,
    later: i64,
) -> Finding {
    let who = Runner::Process(process).name();
    let path = visible(path);
    let title = format!("{path} was changed after {who} read it: it says {}", listen.endpoint());
    let mut fired = Fired::new(judge::certainty(view, config), title)
        .predicts(&[AttemptOutcome::Refused])
        .evidences(words::both(listen, Runner::Process(process)))
        .evidence(Evidence::new(
            format!("{path} was changed {} after {who} read its configuration", span(later)),
            format!("stat {path}, /proc/{}/stat", process.pid),
        ));
    let running = judge::sockets(view, process);
    let mut ends: Vec<String> = running.iter().map(|socket| socket.local.to_string()).collect();
    ends.sort();
    ends.dedup();
    ends.truncate(5);
    if !ends.is_empty() {
        let source = view.case.host.sockets.source().map_or("socket table", |source| &source.what);
        fired = fired.evidence(Evidence::new(format!("{who} listens on {}", ends.join(", ")), source));
    }
    // An address that takes the place of one that is open needs the old one closed first.
    let port = view.case.target.port;
    let replaces = config.service == "nginx" && running.iter().any(|socket| socket.local.port() == port);
    let apply = if replaces { Apply::Restart } else { fixes::apply_of(config) };
    // A reload that was refused will be refused again.
    if !reload_fails(view, process) {
        fired.fixes.extend(load(view, config, process, apply));
    }
    fired.unknown = judge::unread(config).collect();
    fired.fires()
}

fn load(view: &View<'_>, config: &ServiceConfig, process: &ConfiguredProcess, apply: Apply) -> Option<Fix> {
    let verb = match apply {
        Apply::Reload => "reload",
        Apply::Restart => "restart",
    };
    let title = format!("{verb} {}, so that it reads its configuration", config.name);
    let risk = if apply == Apply::Restart { Risk::Medium } else { Risk::Low };
    let fix = Fix::new(view, risk, title);
    Some(match Runner::Process(process).take_up(view, config, apply) {
        // What the file says lasts.
        Some(command) => fix.command(command).persistent(),
        None if config.service == "nginx" && apply == Apply::Reload => {
            let main = quote(&config.files.first()?.path)?;
            fix.command(format!("nginx -t -c {main} && kill -HUP {}", process.pid)).persistent()
        }
        None => fix,
    })
}

/// `312 s`, `45 min`, `3 h`.
fn span(milliseconds: i64) -> String {
    match milliseconds / 1000 {
        0 => format!("{milliseconds} ms"),
        seconds @ 1..600 => format!("{seconds} s"),
        seconds @ 600..36_000 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

/// It says what is asked, was not changed, and is not what runs.
fn unexplained(
    view: &View<'_>,
    config: &ServiceConfig,
    process: &ConfiguredProcess,
    listen: &ConfiguredListen,
) -> CannotTell {
    let who = Runner::Process(process).name();
    CannotTell::new(
        format!(
            "why {who} does not listen on {} as {} says",
            view.endpoint(),
            words::place(&listen.address_from.origin)
        ),
        format!("no file of {} was changed since {who} read them, as far as times show", config.name),
        match process.unit.as_deref().and_then(quote) {
            Some(unit) => format!("journalctl -u {unit} -b"),
            None => format!("the log of {who}"),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::super::scenes::{Config, line};
    use crate::report::{Certainty, Step};
    use crate::testing::Scene;

    fn redis() -> Config {
        let origin = line("/etc/redis/redis.conf", 87, "bind 127.0.0.1 10.1.0.2", "127.0.0.1 10.1.0.2");
        Config::of("redis", "redis-server")
            .unit("redis-server.service")
            .listen("127.0.0.1", 6379, origin.clone())
            .listen("10.1.0.2", 6379, origin)
    }

    fn scene() -> Scene {
        Scene::local("10.1.0.2:6379").listener("127.0.0.1:6379", "redis-server")
    }

    #[test]
    fn edited_after_the_start() {
        let report = redis().changed_after(312_000).of_last(scene()).rst().report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("config/not-reloaded", Certainty::Proven));
        assert_eq!(
            blocker.whys[1].title,
            "/etc/redis/redis.conf was changed after redis-server[800] read it: it says 10.1.0.2:6379"
        );
        assert!(blocker.whys[1].evidence.iter().any(|e| e.text.contains("changed 312 s after")));
        assert_eq!(
            blocker.fixes[0].steps,
            [Step::Command { command: "systemctl restart redis-server.service".into() }]
        );
    }

    #[test]
    fn a_new_port_is_not_there_yet() {
        let origin = line("/etc/nginx/nginx.conf", 9, "listen 8081;", "8081");
        let config = Config::of("nginx", "nginx").unit("nginx.service").listen("0.0.0.0", 8081, origin);
        let scene = Scene::local("10.1.0.2:8081").listener("0.0.0.0:80", "nginx");
        let report = config.changed_after(5).of_last(scene).rst().report();
        assert_eq!(report.blockers[0].root, "config/not-reloaded");
        let command = "nginx -t && systemctl reload nginx.service".to_owned();
        assert_eq!(report.blockers[0].fixes[0].steps, [Step::Command { command }]);
    }

    #[test]
    fn unchanged_files_are_not_the_reason() {
        let report = redis().changed_after(-5).of_last(scene()).rst().report();
        assert_ne!(report.blockers[0].root, "config/not-reloaded");
        assert!(report.unknown.iter().any(|u| u.what.starts_with("why redis-server[800] does not listen")));
    }
}
