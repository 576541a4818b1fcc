//! listener/stale-socket

use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::text::visible;
use unrefuse_facts::{AttemptOutcome, Protocol};

cause! {
    /// ## What it means
    ///
    /// The socket's file is there, but no process listens behind it. A file outlives the socket that made it: when a
    /// service is killed it does not remove it.
    ///
    /// ## How it shows
    ///
    /// `connect()` gives `ECONNREFUSED` on a path that exists. (A path that does not exist gives `ENOENT`.)
    ///
    /// ## How to confirm by hand
    ///
    /// `ss -xlp | grep PATH` prints nothing while `ls -l PATH` shows a socket.
    ///
    /// ## How to fix
    ///
    /// Start the service that owns the path. Most services remove their own stale socket when they start; where one
    /// says "address already in use" instead, remove the file by hand after making sure that nobody listens on it.
    ///
    /// ## What it is often mistaken for
    ///
    /// Missing permission, which gives `EACCES` and not a refusal; a service that runs, because "the socket is there".
    id: "listener/stale-socket",
    title: "only a stale unix socket is left",
    needs: &["unix socket"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    if view.case.target.protocol != Protocol::Unix || view.outcome() != Some(AttemptOutcome::Refused) {
        return Ok(Finding::Clear);
    }
    let path = visible(&view.case.target.host);
    let fact = &view.case.host.unix_socket;
    let socket = fact.get().map_err(|m| CannotTell::because(format!("whether somebody listens on {path}"), m))?;
    if !socket.exists || !socket.is_socket || socket.listening {
        return Ok(Finding::Clear);
    }
    let source = fact.source().map_or("/proc/net/unix", |s| &s.what);
    Ok(Fired::new(Certainty::Proven, format!("the socket {path} is stale: its file is left and no process listens on it"))
        .predicts(&[AttemptOutcome::Refused])
        .evidence(Evidence::new(format!("{path} exists and is a socket"), "stat(2)"))
        .evidence(Evidence::new(format!("no socket of this machine listens on {path}"), source))
        .fix(Fix::new(
            view,
            Risk::Low,
            format!("start the service that owns {path}; it makes the socket anew, as a rule after removing the stale file itself"),
        ))
        .fires())
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use unrefuse_facts::{Answer, AnswerKind, AttemptOutcome, Errno, Observed, Protocol, Source, UnixSocket};

    const PATH: &str = "/run/postgresql/.s.PGSQL.5432";

    /// A target in the file system.
    fn scene(exists: bool, is_socket: bool, listening: bool, outcome: AttemptOutcome, errno: Errno) -> Scene {
        let local = Some(Answer::bare(AnswerKind::Local));
        Scene::local("0.0.0.0:0").attempt("0.0.0.0:0", outcome, Some(errno), local).with(|c| {
            (c.target.protocol, c.target.host, c.target.input) = (Protocol::Unix, PATH.into(), PATH.into());
            let socket = UnixSocket { path: PATH.into(), exists, is_socket, listening, writable: true };
            c.host.unix_socket = Observed::known(socket, Source::running("/proc/net/unix"));
        })
    }

    #[test]
    fn a_file_without_a_listener() {
        let report = scene(true, true, false, AttemptOutcome::Refused, Errno::ECONNREFUSED).report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("listener/stale-socket", Certainty::Proven));
        assert!(blocker.whys[0].title.contains(PATH));
        assert!(blocker.fixes.iter().all(|f| f.steps.is_empty()), "nothing is removed by command");
    }

    #[test]
    fn no_file_is_nothing_at_all() {
        let report = scene(false, false, false, AttemptOutcome::Unreachable, Errno::ENOENT).report();
        assert_eq!(report.blockers[0].root, "listener/none");
        assert_eq!(report.blockers[0].certainty, Certainty::Proven);
        assert_eq!(report.blockers[0].whys[0].title, format!("nothing listens: there is no socket {PATH}"));
    }

    #[test]
    fn a_file_that_is_no_socket_was_never_one() {
        let report = scene(true, false, false, AttemptOutcome::Refused, Errno::ECONNREFUSED).report();
        assert_eq!(report.blockers[0].root, "listener/none");
        assert_eq!(report.blockers[0].whys[0].title, format!("nothing listens: {PATH} is not a socket"));
    }

    #[test]
    fn a_listener_that_may_not_be_spoken_to_is_not_stale() {
        assert!(scene(true, true, true, AttemptOutcome::Denied, Errno::EACCES).roots().is_empty());
    }
}
