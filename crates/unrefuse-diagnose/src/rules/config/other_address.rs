//! config/other-address

use super::judge::{self, Kind};
use super::{fixes, words};
use crate::View;
use crate::finding::{CannotTell, Finding};
use crate::rule::cause;

cause! {
    /// ## What it means
    ///
    /// The service's configuration tells it to listen on another address than the one that is asked: another one of the
    /// machine's, an old one, or every address of the other family only.
    ///
    /// ## How it shows
    ///
    /// One address of the machine answers, the asked one is refused. `listen 80;` of nginx and `bind :80` of HAProxy are
    /// IPv4 only; `AddressFamily inet` of sshd and `bind 0.0.0.0` of Redis, too.
    ///
    /// ## How to confirm by hand
    ///
    /// `ss -ltnp 'sport = :PORT'` shows the socket, and the named line of the named file says the same address.
    ///
    /// ## How to fix
    ///
    /// Add the asked address to that line (or a line of its own where the service wants one for each), and restart the
    /// service; reload is enough for nginx, HAProxy and sshd.
    ///
    /// ## What it is often mistaken for
    ///
    /// A firewall on one of two interfaces; a broken IPv6 network, where only the listener for it is missing.
    id: "config/other-address",
    title: "the configuration binds another address",
    explains: &["listener/other-address", "listener/other-family", "listener/loopback-only", "service/stopped"],
    begins: false,
    needs: &["sockets", "owners", "configurations"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some((decided, Kind::OtherAddress)) = judge::misfit(view)? else { return Ok(Finding::Clear) };
    let listen = decided.listen;
    let title = format!(
        "{} tells {} to listen on {}, not on {}",
        words::place(&listen.address_from.origin),
        decided.config.name,
        listen.endpoint(),
        view.endpoint()
    );
    Ok(fixes::bound(view, &decided, title).fires())
}

#[cfg(test)]
mod tests {
    use super::super::scenes::{Config, line};
    use crate::report::{Certainty, Step};
    use crate::testing::Scene;

    fn nginx(address: &str, text: &str, value: &str) -> Config {
        let origin = line("/etc/nginx/sites-enabled/default", 22, text, value);
        Config::of("nginx", "nginx").unit("nginx.service").listen(address, 80, origin)
    }

    #[test]
    fn sshd_gets_no_address_of_a_family_that_may_be_shut_off() {
        let steps = |own: &str| {
            let origin = line("/etc/ssh/sshd_config", 9, &format!("ListenAddress {own}"), own);
            let config = Config::of("sshd", "sshd").unit("ssh.service").listen(own, 22, origin);
            let address = if own.contains(':') { format!("[{own}]:22") } else { format!("{own}:22") };
            let report = config.of_last(Scene::local("10.1.0.2:22").listener(&address, "sshd")).rst().report();
            report.blockers[0].fixes.iter().map(|fix| fix.steps.len()).sum::<usize>()
        };
        // AddressFamily inet6 would have it not start again.
        assert_eq!(steps("fd09::7"), 0);
        assert!(steps("10.7.0.1") > 0);
    }

    #[test]
    fn one_more_line_for_the_asked_address() {
        let scene = Scene::local("10.1.0.2:80").listener("10.7.0.1:80", "nginx");
        let report =
            nginx("10.7.0.1", "\tlisten 10.7.0.1:80 default_server;", "10.7.0.1:80").of_last(scene).rst().report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("config/other-address", Certainty::Proven));
        assert_eq!(
            blocker.whys[1].title,
            "/etc/nginx/sites-enabled/default:22 tells nginx to listen on 10.7.0.1:80, not on 10.1.0.2:80"
        );
        let Step::Edit { edit } = &blocker.fixes[0].steps[0] else { panic!() };
        assert_eq!((edit.line, edit.old.as_str(), edit.new.as_str()), (23, "", "\tlisten 10.1.0.2:80 default_server;"));
        // The main file is not nginx's usual one here.
        let Step::Command { command } = &blocker.fixes[0].steps[1] else { panic!() };
        assert!(command.ends_with("&& systemctl reload nginx.service"), "{command}");
        let Step::Command { command } = &blocker.fixes[1].steps[1] else { panic!() };
        assert!(command.ends_with("&& systemctl restart nginx.service"), "{command}");
    }

    #[test]
    fn a_line_of_the_other_family() {
        let scene = Scene::local("[fd01::2]:80").listener("0.0.0.0:80", "nginx");
        let report = nginx("0.0.0.0", "listen 80;", "80").of_last(scene).rst().report();
        let blocker = &report.blockers[0];
        assert_eq!(blocker.root, "config/other-address");
        assert_eq!(blocker.whys[0].id, "listener/other-family");
        let Step::Edit { edit } = &blocker.fixes[0].steps[0] else { panic!() };
        assert_eq!(edit.new, "listen [fd01::2]:80;");
    }

    #[test]
    fn a_line_among_others_gets_one_more_directive() {
        let scene = Scene::local("10.1.0.2:80").listener("10.7.0.1:80", "nginx");
        let report = nginx("10.7.0.1", "server { listen 10.7.0.1:80; }", "10.7.0.1:80").of_last(scene).rst().report();
        let Step::Edit { edit } = &report.blockers[0].fixes[0].steps[0] else { panic!() };
        assert_eq!(edit.new, "server { listen 10.7.0.1:80; listen 10.1.0.2:80; }");
    }

    #[test]
    fn a_configuration_that_says_what_is_asked_is_not_the_reason() {
        let scene = Scene::local("10.1.0.2:80").listener("10.7.0.1:80", "nginx");
        let config = nginx("10.7.0.1", "listen 10.7.0.1:80;", "10.7.0.1:80").listen(
            "10.1.0.2",
            80,
            line("/b", 1, "listen 10.1.0.2:80;", "10.1.0.2:80"),
        );
        assert_ne!(config.of_last(scene).rst().roots(), ["config/other-address"]);
    }
}
