//! path/middlebox-reset

use crate::View;
use crate::finding::{CannotTell, Finding, Fired};
use crate::refuser::{Distance, same_connection};
use crate::report::{Certainty, Evidence};
use crate::rule::cause;
use unrefuse_facts::AttemptOutcome;

cause! {
    /// ## What it means
    ///
    /// Something on the way takes part in the connection: the handshake was answered from one distance, and the RST that
    /// ended it came from another. Either a device on the way resets connections in the server's name (a filter of
    /// contents or names, an intrusion prevention system), or it answers handshakes in the server's name (a SYN proxy, a
    /// protection against floods) and the server behind it refuses.
    ///
    /// ## How it shows
    ///
    /// "connection reset by peer" right after connecting, or as soon as something was said; scanners call the port open.
    ///
    /// ## How to confirm by hand
    ///
    /// `tcpdump -nv 'host HOST and tcp port PORT'` while connecting: the TTL of the SYN-ACK differs from that of the RST. On
    /// the server `tcpdump` shows no RST that leaves (it is forged), or a SYN that arrives only after the client's handshake
    /// was complete (a SYN proxy).
    ///
    /// ## How to fix
    ///
    /// Where the RST comes from nearer than the SYN-ACK: allow the connection on the device on the way. Where the SYN-ACK comes
    /// from nearer: look at the server, whether its port is open for the proxy (`unrefuse :PORT` there).
    ///
    /// ## What it is often mistaken for
    ///
    /// `access/closed-on-accept`: there the server itself closes, from the distance it answered from. A host that uses
    /// other initial TTLs for its resets looks alike, which is why this is never proven from one side.
    id: "path/middlebox-reset",
    title: "something on the way answers or resets in the server's name",
    instead_of: &["access/closed-on-accept", "path/router-reject"],
    needs: &["answer packets"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    const RESET: [AttemptOutcome; 2] = [AttemptOutcome::Reset, AttemptOutcome::ClosedOnAccept];
    let Some(attempt) = view.attempt().filter(|attempt| RESET.contains(&attempt.outcome)) else {
        return Ok(Finding::Clear);
    };
    if view.is_local() == Some(true) {
        return Ok(Finding::Clear);
    }
    let Some((rst, accept, distance)) = same_connection(attempt) else { return Ok(Finding::Clear) };
    let (title, meaning) = match distance {
        Distance::Same => return Ok(Finding::Clear),
        Distance::Nearer => (
            format!("something on the way resets connections to {} in the server's name", view.endpoint()),
            "the RST comes from nearer than the host that answered the handshake",
        ),
        Distance::Farther => (
            format!("something on the way answers for {}, and what stands behind it refuses", view.endpoint()),
            "the handshake was answered from nearer than the RST comes from",
        ),
    };
    let text = format!("the SYN-ACK came with TTL {accept}, the RST of the same connection with {rst}: {meaning}");
    Ok(Fired::new(Certainty::Likely, title).predicts(&RESET).evidence(Evidence::new(text, "packet socket")).fires())
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use unrefuse_facts::{Answer, AnswerKind, AttemptOutcome, Errno, Observed, Reference, Source};

    fn scene(outcome: AttemptOutcome, rst: u8, accept: Option<u8>) -> Scene {
        let mut answer = Answer::bare(AnswerKind::Rst);
        (answer.ttl, answer.tos_sent, answer.tos) = (Some(rst), Some(0x48), Some(0));
        if let Some(ttl) = accept {
            let what = "SYN-ACK of the same connection".to_owned();
            let reference = Reference { what, ttl: Some(ttl), tos_kept: None };
            answer.reference = Observed::known(reference, Source::probed("packet socket"));
        }
        Scene::remote("10.9.0.1:80").attempt("10.9.0.1:80", outcome, Some(Errno::ECONNRESET), Some(answer))
    }

    #[test]
    fn a_reset_from_nearer_is_forged() {
        for outcome in [AttemptOutcome::Reset, AttemptOutcome::ClosedOnAccept] {
            let report = scene(outcome, 63, Some(57)).report();
            assert_eq!(report.blockers.len(), 1, "{:?}", report.blockers);
            let blocker = &report.blockers[0];
            assert_eq!((blocker.root.as_str(), blocker.certainty), ("path/middlebox-reset", Certainty::Likely));
            assert!(blocker.whys[0].title.contains("resets connections to 10.9.0.1:80"), "{}", blocker.whys[0].title);
        }
    }

    #[test]
    fn a_handshake_from_nearer_is_a_proxy() {
        let report = scene(AttemptOutcome::Reset, 63, Some(64)).report();
        let why = &report.blockers[0].whys[0];
        assert!(why.title.contains("answers for 10.9.0.1:80"), "{}", why.title);
        assert!(why.evidence[0].text.contains("TTL 64, the RST of the same connection with 63"), "{:?}", why.evidence);
    }

    #[test]
    fn the_same_distance_is_the_server_itself() {
        for outcome in [AttemptOutcome::Reset, AttemptOutcome::ClosedOnAccept] {
            assert_eq!(scene(outcome, 57, Some(57)).roots(), ["access/closed-on-accept"]);
            // Other initial values, and still as far away.
            assert_eq!(scene(outcome, 248, Some(57)).roots(), ["access/closed-on-accept"]);
        }
        assert_eq!(scene(AttemptOutcome::Refused, 63, None).roots(), ["listener/none"], "no handshake, no such cause");
    }
}
