//! service/not-installed

use super::meant::{facts, meant};
use super::act;
use crate::View;
use crate::containers;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::ServiceFacts;
use unrefuse_facts::catalogue::{self, KnownService};
use unrefuse_facts::text::visible;

cause! {
    /// ## What it means
    ///
    /// Nothing on this machine could serve that port: no known service of it has a unit or an executable here. It was
    /// never installed, was removed, or lives on another machine or in a container.
    ///
    /// ## How it shows
    ///
    /// The connection is refused at once; the machine's manager and package manager know no such service.
    ///
    /// ## How to confirm by hand
    ///
    /// `systemctl list-unit-files | grep NAME`; `command -v NAME`; the package manager's list.
    ///
    /// ## How to fix
    ///
    /// Install the service, or ask the machine that has it.
    ///
    /// ## What it is often mistaken for
    ///
    /// A service that is installed and stopped (`service/stopped`).
    id: "service/not-installed",
    title: "nothing that serves that port is installed",
    explains: &["listener/none"],
    begins: false,
    needs: &["units", "executables"],
    check: check,
}

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(facts) = facts(view)? else { return Ok(Finding::Clear) };
    let sought: Vec<&KnownService> = facts.sought.iter().filter_map(|id| catalogue::by_id(id)).collect();
    // In a container only what it is for is installed; whatever else was meant is elsewhere.
    let inside = containers::known(view).and_then(containers::stood_in).is_some();
    if inside || meant(view)?.is_some() || !facts.installed.is_empty() || !facts.others.is_empty() || sought.is_empty() {
        return Ok(Finding::Clear);
    }
    // A unit that was found and set aside (its configuration says another port) is installed.
    let has_unit = |service: &&KnownService| facts.units.iter().any(|unit| unit.service.as_deref() == Some(service.id));
    if sought.iter().any(has_unit) {
        return Ok(Finding::Clear);
    }
    let names: Vec<&str> = sought.iter().map(|service| service.name).collect();
    // A port that many programs use says little of what was meant; so does a machine that runs containers.
    let plain = sought.len() == 1 && facts.container_engines.is_empty();
    let certainty = if plain { Certainty::Likely } else { Certainty::Possible };
    let port = view.case.target.port;
    let title = match sought.as_slice() {
        [one] => format!("{} is not installed", one.name),
        _ => format!("nothing that serves port {port} is installed"),
    };
    let binaries: Vec<&str> = sought.iter().filter_map(|service| service.binaries.first().copied()).take(4).collect();
    let mut fired = Fired::new(certainty, title)
        .evidence(Evidence::new(format!("no unit and no executable of {}", names.join(", ")), "unit files, the file system"))
        .evidence(Evidence::new(format!("looked for {}", binaries.join(", ")), "the file system"));
    if let [one] = sought.as_slice() {
        let elsewhere = || act::advice(view, Risk::Medium, format!("install {}, where it shall run here", one.name));
        fired = fired.fix(install(view, facts, one).unwrap_or_else(elsewhere));
    } else {
        fired = fired.fix(act::advice(view, Risk::Medium, format!("install the one that was meant: {}", names.join(", "))));
    }
    Ok(fired.fires())
}

fn install(view: &View<'_>, facts: &ServiceFacts, service: &KnownService) -> Option<Fix> {
    let ids: Vec<&str> = facts.distribution.iter().map(String::as_str).collect();
    let package = service.package(&ids)?;
    let of = |families: &[&str]| ids.iter().any(|id| families.contains(id));
    let command = match () {
        () if of(&["debian", "ubuntu"]) => format!("apt-get install -y {package}"),
        () if of(&["fedora", "rhel", "centos"]) => format!("dnf install -y {package}"),
        () if of(&["suse", "opensuse"]) => format!("zypper --non-interactive install {package}"),
        () if of(&["arch"]) => format!("pacman -S --noconfirm {package}"),
        () if of(&["alpine"]) => format!("apk add {package}"),
        () => return None,
    };
    Some(Fix::new(view, Risk::Medium, format!("install {}, where it shall run here", visible(service.name))).command(command).persistent())
}

#[cfg(test)]
mod tests {
    use crate::report::{Certainty, Step};
    use crate::testing::Scene;
    use crate::testing::service::unit;
    use unrefuse_facts::{ActiveState, Installed};

    fn scene(sought: &[&str]) -> Scene {
        let sought = sought.iter().map(|id| (*id).to_owned()).collect();
        Scene::local("127.0.0.1:5432").rst().services(|f| f.sought = sought)
    }

    #[test]
    fn a_service_that_is_not_there() {
        let report = scene(&["postgresql"]).report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("service/not-installed", Certainty::Likely));
        assert_eq!(blocker.fixes[0].steps, [Step::Command { command: "apt-get install -y postgresql".into() }]);
    }

    #[test]
    fn of_many_that_may_be_meant_none_is_installed() {
        let report = scene(&["nginx", "apache"]).report();
        assert_eq!(report.blockers[0].certainty, Certainty::Possible);
        assert!(report.blockers[0].fixes[0].steps.is_empty());
    }

    #[test]
    fn an_executable_or_a_unit_is_enough_to_be_installed() {
        let found = Installed { service: "postgresql".into(), path: "/usr/bin/postgres".into() };
        let roots = scene(&["postgresql"]).services(|f| f.installed = vec![found]).roots();
        assert_ne!(roots, ["service/not-installed"]);
        let mut other = unit("postgresql.service", ActiveState::Inactive, "dead");
        other.clues.clear();
        assert_eq!(scene(&["postgresql"]).services(|f| f.units = vec![other]).roots(), ["listener/none"]);
    }

    #[test]
    fn an_unknown_port_is_nobodys() {
        assert_eq!(scene(&[]).roots(), ["listener/none"]);
    }
}
