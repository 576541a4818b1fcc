//! What the stopped service that is meant would do once it is started, as its configuration says.

use super::judge::{self, Decided};
use super::runner::Runner;
use super::words;
use crate::View;
use crate::report::{Evidence, Unknown};
use crate::rules::service;
use unrefuse_facts::text::visible;
use unrefuse_facts::{ConfiguredListen, ListenAddress, Protocol, Reason, ServiceConfig, UnitFacts};

/// What starting a unit would do for the question.
pub(in crate::rules) enum OnceStarted {
    /// It would take what is asked, as that evidence shows; or that cannot be told for sure of the address.
    Takes(Vec<Evidence>),
    /// It would not: in words, what it does in place of it.
    Misses(String),
    /// Its configuration does not tell, for those reasons, if any.
    CannotTell(Vec<Unknown>),
}

/// What the configuration of a unit that does not run says of the asked address and port.
pub(in crate::rules) fn once_started(view: &View<'_>, unit: &UnitFacts) -> OnceStarted {
    if let Some(setting) = service::apart_by(view, unit) {
        return OnceStarted::Misses(format!("{setting} gives it a network of its own"));
    }
    let config = match unit.config.get() {
        Ok(config) => config,
        Err(missing) if missing.reason == Reason::NotLooked => return OnceStarted::CannotTell(Vec::new()),
        Err(missing) => {
            let what = visible(&format!("where {} would listen", unit.name));
            let how_to_know = missing.remedy.clone().unwrap_or_else(|| "its configuration".to_owned());
            return OnceStarted::CannotTell(vec![Unknown { what, why: missing.detail.clone(), how_to_know }]);
        }
    };
    if let Some(setting) = &config.disabled {
        return OnceStarted::Misses(format!("{} switches TCP off", words::place(&setting.origin)));
    }
    match ends(view, config) {
        Ends::Takes(listen) => OnceStarted::Takes(words::both(listen, Runner::Stopped(unit))),
        Ends::OtherAddress(listen) => {
            let only = if matches!(listen.address, ListenAddress::Listed { by: None, .. }) { "" } else { " only" };
            let place = words::place(&listen.address_from.origin);
            OnceStarted::Misses(format!("{place} lets it listen on {}{only}", listen.endpoint()))
        }
        Ends::OtherPort(listen) => {
            OnceStarted::Misses(format!("{} gives it port {}", words::place(&listen.port_from.origin), listen.port))
        }
        Ends::Nowhere => OnceStarted::Misses("its configuration names no address to listen on".to_owned()),
        Ends::CannotTell => OnceStarted::CannotTell(judge::unread(config).collect()),
    }
}

/// Where a configuration would have the service listen, held against the question.
enum Ends<'a> {
    Takes(&'a ConfiguredListen),
    OtherAddress(&'a ConfiguredListen),
    OtherPort(&'a ConfiguredListen),
    Nowhere,
    CannotTell,
}

fn ends<'a>(view: &View<'_>, config: &'a ServiceConfig) -> Ends<'a> {
    let target = &view.case.target;
    let Some(ip) = view.ip().filter(|_| target.protocol != Protocol::Unix) else { return Ends::CannotTell };
    let asked: Vec<&ConfiguredListen> = config
        .listens
        .iter()
        .filter(|listen| listen.port == target.port && listen.protocol == target.protocol && listen.port != 0)
        .collect();
    let may_take =
        |listen: &&&ConfiguredListen| judge::takes(view, listen, ip) != Some(false) && !judge::is_guess(config, listen);
    if let Some(listen) = asked.iter().find(may_take) {
        return Ends::Takes(listen);
    }
    // One of the name's addresses is enough: clients try one after the other.
    let others = view.case.resolution.result.iter().flatten().map(|address| address.ip());
    let by_another = |ip| asked.iter().find(|listen| judge::takes(view, listen, ip) != Some(false));
    if let Some(listen) = others.filter(|other| *other != ip).find_map(by_another) {
        return Ends::Takes(listen);
    }
    // Without a file it is its options that are not known for sure, and these are all there is.
    let all_read = !config.is_uncertain() || config.files.is_empty();
    if !all_read || asked.iter().any(|listen| judge::is_guess(config, listen)) {
        return Ends::CannotTell;
    }
    // Of the same family first: its line is the one to change.
    let other_family = |listen: &&&ConfiguredListen| listen.address.is_v6().is_some_and(|v6| v6 != ip.is_ipv6());
    let has_other_port = |listen: &&ConfiguredListen| {
        let none = matches!(listen.address, ListenAddress::Listed { by: None, .. });
        ![0, target.port].contains(&listen.port) && listen.protocol == target.protocol && !none
    };
    let other_port = config.listens.iter().filter(has_other_port).min_by_key(|listen| judge::moved_first(view, listen));
    // What takes the address at another port is nearer than the other family at the asked one.
    let nearer = other_port.is_some_and(|listen| judge::takes(view, listen, ip) == Some(true));
    let aside = |listen: &&&ConfiguredListen| judge::is_beside(config, listen, ip) || nearer && other_family(listen);
    if let Some(listen) = asked.iter().filter(|listen| !aside(listen)).min_by_key(other_family) {
        return Ends::OtherAddress(listen);
    }
    match other_port {
        Some(listen) if asked.is_empty() || nearer => Ends::OtherPort(listen),
        None if asked.is_empty() && !config.listens.is_empty() || config.files.is_empty() => Ends::CannotTell,
        _ => Ends::Nowhere,
    }
}

/// The stopped unit that is meant and its configuration, where that was read. Where somebody else listens on the port, it
/// is that one's address that is the matter.
pub(super) fn stopped<'a>(view: &View<'a>) -> Option<(&'a UnitFacts, &'a ServiceConfig)> {
    if judge::is_listened_on(view) {
        return None;
    }
    let unit = service::stopped(view)?;
    Some((unit, unit.config.value()?))
}

/// The address on the asked port that the stopped unit's configuration has, where the asked one is not among them.
pub(super) fn misfit<'a>(view: &View<'a>) -> Option<Decided<'a>> {
    let (unit, config) = stopped(view)?;
    let Ends::OtherAddress(listen) = ends(view, config) else { return None };
    Some(Decided { config, runner: Runner::Stopped(unit), listen })
}

/// The address that the stopped unit's configuration has, where it has none on the asked port.
pub(super) fn elsewhere<'a>(view: &View<'a>) -> Option<Decided<'a>> {
    let (unit, config) = stopped(view)?;
    let Ends::OtherPort(listen) = ends(view, config) else { return None };
    Some(Decided { config, runner: Runner::Stopped(unit), listen })
}

#[cfg(test)]
mod tests {
    use super::super::scenes::{Config, line};
    use crate::Report;
    use crate::report::{Certainty, Step};
    use crate::testing::Scene;
    use crate::testing::service::{commands, unit};
    use unrefuse_facts::{ActiveState, Clue, ClueKind, ConfigFile, Missing, Observed, Origin, Reason, UnitFacts};

    fn postgres() -> Config {
        Config::of("postgresql", "postgres")
    }

    fn report(asked: &str, units: Vec<UnitFacts>) -> Report {
        Scene::local(asked).rst().units(units).report()
    }

    fn edited(report: &Report) -> &str {
        let Step::Edit { edit } = &report.blockers[0].fixes[0].steps[0] else { panic!("{report:?}") };
        &edit.new
    }

    #[test]
    fn a_line_that_takes_what_is_asked_proves_it() {
        let config = postgres().listen("*", 5432, line("/p", 64, "port = 5432", "5432"));
        let report = report("10.1.0.2:5432", vec![config.of_stopped("postgresql@15-main.service")]);
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("service/stopped", Certainty::Proven));
        assert!(blocker.whys[1].evidence.iter().any(|e| e.location.as_deref() == Some("/p:64")), "{blocker:?}");
        assert_eq!(commands(&report, 0), ["systemctl start postgresql@15-main.service"]);
    }

    #[test]
    fn another_port_is_changed_and_then_it_is_started() {
        let config = postgres().listen("*", 5433, line("/p", 64, "port = 5433", "5433"));
        let mut unit = config.of_stopped("postgresql@15-main.service");
        let text = "the configuration of PostgreSQL has the number 5432".to_owned();
        unit.clues.push(Clue { kind: ClueKind::Configuration, text, source: "/q:1".into() });
        let report = report("10.1.0.2:5432", vec![unit]);
        let blocker = &report.blockers[0];
        let ids: Vec<&str> = blocker.whys.iter().map(|why| why.id.as_str()).collect();
        assert_eq!(ids, ["listener/none", "service/stopped", "config/other-port"]);
        assert_eq!(blocker.certainty, Certainty::Likely, "custom alone speaks for it");
        assert_eq!(
            blocker.whys[2].title,
            "postgresql@15-main.service is not running, and /p:64 gives PostgreSQL port 5433, not 5432"
        );
        assert!(!blocker.whys[1].evidence.iter().any(|e| e.text.contains("the number 5432")), "it was overruled");
        assert_eq!(edited(&report), "port = 5432");
        assert_eq!(commands(&report, 0), ["systemctl start postgresql@15-main.service"]);
        assert!(blocker.fixes[1].steps.is_empty() && blocker.fixes[1].verify.ends_with(":5433"));
        assert!(blocker.fixes.iter().all(|fix| fix.steps.len() != 1), "starting alone opens another port");
    }

    #[test]
    fn loopback_asked_from_the_network_is_opened_and_started() {
        let config = Config::of("redis", "redis-server").listen(
            "127.0.0.1",
            6379,
            line("/r", 87, "bind 127.0.0.1", "127.0.0.1"),
        );
        let unit = config.of_stopped("redis-server.service");
        let elsewhere = report("10.1.0.2:6379", vec![unit.clone()]);
        assert_eq!(elsewhere.blockers[0].root, "config/loopback-bind");
        assert_eq!(edited(&elsewhere), "bind 127.0.0.1 10.1.0.2");
        assert_eq!(report("127.0.0.1:6379", vec![unit]).blockers[0].root, "service/stopped");
    }

    #[test]
    fn the_one_whose_configuration_has_the_port_is_meant() {
        let nginx = Config::of("nginx", "nginx").listen("*", 8081, line("/n", 3, "listen 8081;", "8081"));
        let apache = Config::of("apache", "apache2").listen("*", 80, line("/a", 5, "Listen 80", "80"));
        let units = vec![nginx.of_stopped("nginx.service"), apache.of_stopped("apache2.service")];
        let report = report("10.1.0.2:80", units);
        assert!(report.blockers[0].whys[1].title.starts_with("apache2.service"));
        assert_eq!(report.blockers[0].certainty, Certainty::Proven);
    }

    #[test]
    fn what_a_package_brought_proves_nothing_beside_what_somebody_wants() {
        let nginx = Config::of("nginx", "nginx").listen("*", 8081, line("/n", 3, "listen 8081;", "8081"));
        let apache = Config::of("apache", "apache2").listen("*", 80, line("/a", 5, "Listen 80", "80"));
        let mut apache = apache.of_stopped("apache2.service");
        apache.file_state = Some("disabled".into());
        let report = report("10.1.0.2:80", vec![nginx.of_stopped("nginx.service"), apache]);
        assert!(report.blockers[0].whys[1].title.starts_with("apache2.service"));
        assert_eq!(report.blockers[0].certainty, Certainty::Likely);
    }

    #[test]
    fn the_unit_that_stands_for_clusters_is_none_of_them() {
        let config = postgres().listen("*", 5433, line("/p", 64, "port = 5433", "5433"));
        let all = unit("postgresql.service", ActiveState::Active, "exited");
        let report = report("10.1.0.2:5432", vec![all, config.of_stopped("postgresql@15-main.service")]);
        assert_eq!(report.blockers[0].root, "config/other-port");
    }

    #[test]
    fn a_configuration_without_an_address_is_not_healed_by_a_start() {
        let mut haproxy = Config::of("haproxy", "haproxy").of_stopped("haproxy.service");
        let Observed::Known { value, .. } = &mut haproxy.config else { panic!() };
        value.files.push(ConfigFile { path: "/etc/haproxy/haproxy.cfg".into(), size: 1, changed_ms: None });
        let report = report("10.1.0.2:80", vec![haproxy]);
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("service/stopped", Certainty::Likely));
        assert!(blocker.fixes[0].steps.is_empty() && blocker.fixes[0].title.contains("no address"), "{blocker:?}");
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let config = postgres().listen("*", 5433, line("/p", 64, "port = 5433", "5433"));
        let partly = config.problem("/p.d", "permission denied").of_stopped("postgresql.service");
        let told = report("10.1.0.2:5432", vec![partly]);
        assert_eq!(
            (told.blockers[0].root.as_str(), told.blockers[0].certainty),
            ("service/stopped", Certainty::Likely)
        );
        assert!(told.unknown.iter().any(|unknown| unknown.what.contains("/p.d")));
        let mut late = unit("postgresql.service", ActiveState::Inactive, "dead");
        late.config = Observed::Missing(Missing::new(Reason::TimedOut, "no time was left"));
        let told = report("10.1.0.2:5432", vec![late]);
        assert!(told.unknown.iter().any(|unknown| unknown.why == "no time was left"));
    }

    #[test]
    fn the_same_family_at_another_port_is_nearer_than_the_other_family() {
        let config = Config::of("nginx", "nginx")
            .listen("::", 80, line("/n", 3, "listen [::]:80;", "[::]:80"))
            .v6only()
            .listen("0.0.0.0", 8080, line("/n", 2, "listen 8080;", "8080"));
        let report = report("10.1.0.2:80", vec![config.of_stopped("nginx.service")]);
        assert_eq!(report.blockers[0].root, "config/other-port");
        assert!(report.blockers[0].fixes[1].title.ends_with("/n:2 gives it port 8080"), "{report:?}");
    }

    #[test]
    fn a_default_of_the_other_family_is_none_of_this_one() {
        let none = Config::of("bind", "named").listen("::", 53, Origin::Default("every address".into())).v6only();
        let mut unit = none.of_stopped("named.service");
        let Observed::Known { value, .. } = &mut unit.config else { panic!() };
        value.files.push(ConfigFile { path: "/etc/bind/named.conf".into(), size: 1, changed_ms: None });
        let report = report("10.1.0.2:53", vec![unit]);
        assert_eq!(report.blockers[0].root, "service/stopped");
        assert!(report.blockers[0].fixes[0].steps.is_empty(), "{report:?}");
    }

    #[test]
    fn one_address_of_several_that_takes_it_is_enough() {
        let config =
            Config::of("redis", "redis-server").listen("127.0.0.1", 6379, line("/r", 1, "bind 127.0.0.1", "127.0.0.1"));
        let scene = Scene::local("[::1]:6379").rst().with(|case| {
            case.resolution.result = Ok(vec!["[::1]:6379".parse().unwrap(), "127.0.0.1:6379".parse().unwrap()]);
        });
        let roots = scene.units(vec![config.of_stopped("redis-server.service")]).roots();
        assert_eq!(roots[0], "service/stopped");
    }
}
