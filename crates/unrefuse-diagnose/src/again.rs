//! The command that asks again, or asks something else, as the question itself was asked: from the same place, for the
//! same client, by the same protocol.

use crate::View;
use std::net::SocketAddr;
use unrefuse_facts::{Family, Protocol, VantageKind, text};

/// Said where a word of the command cannot be quoted safely.
const IN_WORDS: &str = "ask unrefuse again";

/// A question that is still to get its endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Again<'a> {
    /// `--netns` or `--container`, with its word.
    place: Option<(&'static str, &'a str)>,
    udp: bool,
    from: Option<&'a str>,
    family: Option<Family>,
}

impl<'a> Again<'a> {
    /// The options of the case's own question.
    pub(crate) fn of(view: &View<'a>) -> Self {
        let vantage = &view.case.vantage;
        let container = vantage.container.as_deref().map(|name| ("--container", name));
        Self {
            place: container.or(vantage.netns.as_deref().map(|name| ("--netns", name))),
            udp: view.case.target.protocol == Protocol::Udp,
            from: vantage.from.as_deref().filter(|_| vantage.kind == VantageKind::From),
            family: vantage.family.filter(|_| view.case.target.protocol != Protocol::Unix),
        }
    }
    /// By UDP, or not.
    #[must_use]
    pub(crate) fn udp(self, udp: bool) -> Self {
        Self { udp, ..self }
    }
    /// By one family only.
    #[must_use]
    pub(crate) fn only(self, family: Family) -> Self {
        Self { family: Some(family), ..self }
    }
    /// In another network namespace of this machine.
    #[must_use]
    pub(crate) fn inside(self, netns: &'a str) -> Self {
        Self { place: Some(("--netns", netns)), ..self }
    }
    /// For that client.
    #[must_use]
    pub(crate) fn from(self, client: &'a str) -> Self {
        Self { from: Some(client), ..self }
    }
    /// For nobody else: this machine itself is the client.
    #[must_use]
    pub(crate) fn for_this_machine(self) -> Self {
        Self { from: None, ..self }
    }
    /// On another machine, where this one's namespaces and containers are not.
    #[must_use]
    pub(crate) fn on_another_machine(self) -> Self {
        Self { place: None, ..self }
    }
    /// The command for `endpoint`; `None` where a word of it cannot be quoted safely.
    pub(crate) fn at(&self, endpoint: &str) -> Option<String> {
        let mut command = "unrefuse".to_owned();
        let mut word = |option: &str, value: &str| -> Option<()> {
            command += &format!(" {option}{}", text::shell_quote(value)?);
            Some(())
        };
        if let Some((option, name)) = self.place {
            word(&format!("{option} "), name)?;
        }
        if let Some(client) = self.from {
            word("--from ", client)?;
        }
        if self.udp {
            word("", "--udp")?;
        }
        // A literal address has its family.
        match self.family.filter(|_| endpoint.parse::<SocketAddr>().is_err()) {
            Some(Family::V4) => word("", "-4")?,
            Some(Family::V6) => word("", "-6")?,
            None => {}
        }
        word("", endpoint)?;
        Some(command)
    }
    /// The same, in words where there is no command.
    pub(crate) fn said(&self, endpoint: &str) -> String {
        self.at(endpoint).unwrap_or_else(|| IN_WORDS.to_owned())
    }
}

#[cfg(test)]
pub(crate) mod held {
    //! Every case that a test of a rule makes is diagnosed once more as if it were asked from a namespace: no command that
    //! it prints may have lost that.

    use crate::{Report, diagnose};
    use std::time::Duration;
    use unrefuse_facts::{Case, Family};

    /// A name that no rule knows.
    const NETNS: &str = "kept-netns";

    /// Panics where a command of the report asks from another place, or a name of any family.
    pub(crate) fn to_the_question(case: &Case) {
        if case.target.protocol == unrefuse_facts::Protocol::Unix {
            return;
        }
        let mut case = case.clone();
        case.vantage.netns = Some(NETNS.to_owned());
        case.vantage.family = Some(Family::V4);
        let report = diagnose(&case, Duration::ZERO);
        for command in commands(&report) {
            assert!(command.contains(" --netns ") || command.contains(" --container "), "loses --netns: {command}");
            let target = command.rsplit(' ').next().unwrap_or_default();
            let literal = target.trim_matches('\'').parse::<std::net::SocketAddr>().is_ok();
            assert!(literal || command.contains(" -4 ") || command.contains(" -6 "), "loses -4: {command}");
            if case.target.protocol == unrefuse_facts::Protocol::Tcp && case.target.port != 53 {
                let other = report.blockers.iter().any(|b| b.root == "listener/other-protocol");
                assert!(other || !command.contains("--udp") || command.contains(":53"), "gains --udp: {command}");
            }
        }
    }

    /// The commands that ask again, and those in sentences that speak of this machine.
    fn commands(report: &Report) -> Vec<String> {
        let fixes = || report.blockers.iter().flat_map(|blocker| &blocker.fixes);
        let sentences = fixes().map(|fix| &fix.title);
        let sentences = sentences.chain(report.unknown.iter().map(|u| &u.how_to_know));
        let sentences = sentences.chain(report.notes.iter().map(|note| &note.text));
        let asks = |text: &String| {
            let here = !text.contains("on the server");
            let (_, after) = text.split_once("unrefuse ")?;
            let first = after.split(' ').next().unwrap_or_default();
            (here && (first.starts_with('-') || first.contains(':'))).then(|| format!("unrefuse {after}"))
        };
        let verify = fixes().map(|fix| &fix.verify).filter(|verify| verify.starts_with("unrefuse "));
        verify.cloned().chain(sentences.filter_map(asks)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Again;
    use crate::View;
    use crate::testing::Scene;
    use unrefuse_facts::{Case, Family, Protocol};

    fn said(change: impl FnOnce(&mut Case), how: impl Fn(Again<'_>) -> Option<String>) -> Option<String> {
        let case = Scene::local("10.1.0.2:53").with(change).case();
        how(Again::of(&View::all(&case)[0]))
    }

    #[test]
    fn what_the_question_had_is_kept() {
        let asked = |case: &mut Case| {
            (case.vantage.netns, case.vantage.family) = (Some("blue".into()), Some(Family::V6));
            case.target.protocol = Protocol::Udp;
        };
        assert_eq!(said(asked, |again| again.at("db:53")).unwrap(), "unrefuse --netns blue --udp -6 db:53");
        assert_eq!(said(asked, |again| again.at("10.1.0.2:53")).unwrap(), "unrefuse --netns blue --udp 10.1.0.2:53");
        let other = said(asked, |again| again.udp(false).inside("red").only(Family::V4).at("db:53"));
        assert_eq!(other.unwrap(), "unrefuse --netns red -4 db:53");
        assert_eq!(
            said(asked, |again| again.on_another_machine().at("[::1]:53")).unwrap(),
            "unrefuse --udp '[::1]:53'"
        );
        let container = |case: &mut Case| case.vantage.container = Some("web app".into());
        assert_eq!(said(container, |again| again.at("db:53")).unwrap(), "unrefuse --container 'web app' db:53");
    }

    #[test]
    fn what_cannot_be_quoted_is_no_command() {
        assert_eq!(said(|case| case.vantage.netns = Some("a\u{202e}b".into()), |again| again.at("db:53")), None);
    }
}
