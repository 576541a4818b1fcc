//! What the tests need beside Rust: which commands, from which packages, and why.

use std::path::Path;

use anyhow::{Context, Result};
use xshell::cmd;

use crate::steps::Outcome;
use crate::workspace::{find_command, is_root, shell};

/// A Debian package that the tests need.
struct Package {
    /// Its name in Debian; other systems call most of them alike.
    name: &'static str,
    /// The commands whose absence shows that it is missing.
    commands: &'static [&'static str],
    /// What needs it.
    why: &'static str,
}

const PACKAGES: &[Package] = &[
    Package { name: "git", commands: &["git"], why: "tidy asks it which files belong to the tree" },
    Package { name: "g++", commands: &["c++"], why: "the linker, and libFuzzer, which is C++" },
    Package { name: "util-linux", commands: &["unshare", "nsenter"], why: "namespaces of the lab and of tests" },
    Package { name: "iproute2", commands: &["ip", "ss", "tc"], why: "the lab's networks; ss is a peer in bench" },
    Package {
        name: "nftables",
        commands: &["nft"],
        why: "firewall faults in the lab; the hand checklist lists its rules",
    },
    Package { name: "iptables", commands: &["iptables-save"], why: "firewall faults in the lab; the hand checklist" },
    Package { name: "ipset", commands: &["ipset"], why: "firewall faults with sets in the lab" },
    Package { name: "netcat-openbsd", commands: &["nc"], why: "plain services in the lab; a peer in bench" },
    Package { name: "procps", commands: &["ps", "sysctl"], why: "settings and process states in the lab" },
    Package { name: "mmdebstrap", commands: &["mmdebstrap"], why: "the root file system of the lab's systemd hosts" },
    Package { name: "strace", commands: &["strace"], why: "the test that a diagnosis writes nothing" },
    Package { name: "lsof", commands: &["lsof"], why: "a peer in bench: one port's owner" },
    Package { name: "nmap", commands: &["nmap"], why: "a peer in bench: all ports behind a firewall" },
];

/// A cargo subcommand that the tests need.
struct CargoTool {
    /// The subcommand.
    name: &'static str,
    /// The version that is installed when there is none; another one that is there already is used as it is.
    version: &'static str,
    /// What needs it.
    why: &'static str,
}

// cargo-nextest is used where it is there but never installed: building it takes longer than it saves,
// and `cargo test` runs the same tests.
const CARGO_TOOLS: &[CargoTool] = &[
    CargoTool { name: "deny", version: "0.20.2", why: "licences and sources of dependencies" },
    CargoTool { name: "fuzz", version: "0.13.2", why: "the fuzz targets of the parsers" },
];

/// What is missing, and how this machine gets it.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    /// Missing packages, by their Debian names.
    packages: Vec<&'static str>,
    /// Missing cargo subcommands.
    tools: Vec<&'static str>,
    /// Why the packages cannot be installed from here.
    obstacle: Option<String>,
}

fn plan(has_command: impl Fn(&str) -> bool, root: bool, os_release: &str) -> Plan {
    let lacks = |package: &&Package| !package.commands.iter().all(|command| has_command(command));
    let packages: Vec<_> = PACKAGES.iter().filter(lacks).map(|package| package.name).collect();
    let tools =
        CARGO_TOOLS.iter().map(|tool| tool.name).filter(|name| !has_command(&format!("cargo-{name}"))).collect();
    let obstacle = if packages.is_empty() {
        None
    } else if !is_debian(os_release) {
        Some("this is not Debian or one of its children, and only apt-get is known here".to_owned())
    } else if !root {
        Some("only root may install packages".to_owned())
    } else {
        None
    };
    Plan { packages, tools, obstacle }
}

/// Whether os-release(5) names Debian, or says that the system is like it.
fn is_debian(os_release: &str) -> bool {
    os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches(['"', '\'']).split_whitespace())
        .any(|id| id == "debian")
}

fn describe(plan: &Plan) {
    for package in PACKAGES.iter().filter(|package| plan.packages.contains(&package.name)) {
        println!("missing: {:<15} {}", package.name, package.why);
    }
    for tool in CARGO_TOOLS.iter().filter(|tool| plan.tools.contains(&tool.name)) {
        println!("missing: {:<15} {}", format!("cargo-{}", tool.name), tool.why);
    }
}

/// The command that installs these packages.
fn apt_get(packages: &[&str]) -> Vec<String> {
    let fixed = ["install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"];
    // The machine of a test run is not precious: not syncing each file saves most of the time.
    let fixed = fixed.into_iter().chain(["-o", "Dpkg::Options::=--force-unsafe-io"]);
    fixed.chain(packages.iter().copied()).map(str::to_owned).collect()
}

/// `cargo install`'s arguments for one tool.
fn cargo_install(tool: &CargoTool) -> Vec<String> {
    // Unoptimised: built in half the time, and fast enough for what is asked of it.
    ["install", "--locked", "--debug", &format!("cargo-{}@{}", tool.name, tool.version)].map(str::to_owned).to_vec()
}

/// `cargo xtask install`.
pub(crate) fn command(dry_run: bool, pretend_missing: bool) -> Result<()> {
    let plan = look(|command| !pretend_missing && find_command(command).is_some());
    describe(&plan);
    if !dry_run {
        return match install(&plan)? {
            Outcome::Passed => Ok(()),
            Outcome::Skipped(why) | Outcome::Unreachable(why) | Outcome::LeftOut(why) | Outcome::Failed(why) => {
                anyhow::bail!(why)
            }
        };
    }
    if let Some(obstacle) = &plan.obstacle {
        println!("could not install the packages: {obstacle}");
    }
    if !plan.packages.is_empty() {
        println!("would run: apt-get update");
        println!("would run: apt-get {}", apt_get(&plan.packages).join(" "));
    }
    for tool in CARGO_TOOLS.iter().filter(|tool| plan.tools.contains(&tool.name)) {
        println!("would run: cargo {}", cargo_install(tool).join(" "));
    }
    if plan.packages.is_empty() && plan.tools.is_empty() {
        println!("nothing is missing");
    }
    Ok(())
}

/// The step of `test`.
pub(crate) fn step() -> Result<Outcome> {
    let plan = look(|command| find_command(command).is_some());
    describe(&plan);
    install(&plan)
}

fn look(has_command: impl Fn(&str) -> bool) -> Plan {
    // os-release(5): /etc first, which is most often a link to the one in /usr/lib.
    let os_release = ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|file| std::fs::read_to_string(Path::new(file)).ok())
        .unwrap_or_default();
    plan(has_command, is_root(), &os_release)
}

fn install(plan: &Plan) -> Result<Outcome> {
    let shell = shell()?;
    for tool in CARGO_TOOLS.iter().filter(|tool| plan.tools.contains(&tool.name)) {
        let arguments = cargo_install(tool);
        cmd!(shell, "cargo {arguments...}").run().with_context(|| how_to_get(tool.name))?;
    }
    if plan.packages.is_empty() {
        println!("nothing is missing any more");
        return Ok(Outcome::Passed);
    }
    let names = plan.packages.join(" ");
    if let Some(obstacle) = &plan.obstacle {
        return Ok(Outcome::Skipped(format!("{obstacle}: install {names} (Debian's names), then run this again")));
    }
    // RUNLEVEL=1 keeps a package's scripts from starting its daemon (invoke-rc.d(8)); stdin is never asked.
    let quiet = [("DEBIAN_FRONTEND", "noninteractive"), ("RUNLEVEL", "1")];
    let arguments = apt_get(&plan.packages);
    cmd!(shell, "apt-get update -q").envs(quiet).run().context("apt-get cannot reach its package lists")?;
    cmd!(shell, "apt-get {arguments...}").envs(quiet).run().with_context(|| format!("install {names} by hand"))?;
    Ok(Outcome::Passed)
}

/// Whether a cargo subcommand is there.
pub(crate) fn has_cargo_tool(name: &str) -> bool {
    find_command(&format!("cargo-{name}")).is_some()
}

/// What to say when a cargo subcommand is missing.
pub(crate) fn how_to_get(name: &str) -> String {
    match CARGO_TOOLS.iter().find(|tool| tool.name == name) {
        Some(tool) => format!("cargo-{name} is not installed: run `cargo {}`", cargo_install(tool).join(" ")),
        None => format!("cargo-{name} is not installed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n";

    #[test]
    fn nothing_missing_is_nothing_to_do_for_anybody() {
        let plan = plan(|_| true, false, "ID=fedora");
        assert_eq!(plan, Plan { packages: vec![], tools: vec![], obstacle: None });
    }

    #[test]
    fn a_package_is_missing_when_one_of_its_commands_is() {
        let plan = plan(|command| command != "tc", true, DEBIAN);
        assert_eq!(plan.packages, ["iproute2"]);
        assert_eq!(plan.obstacle, None);
    }

    #[test]
    fn a_bare_machine_gets_every_package_and_tool() {
        let plan = plan(|_| false, true, DEBIAN);
        assert_eq!(plan.packages.len(), PACKAGES.len());
        assert_eq!(plan.tools, ["deny", "fuzz"]);
    }

    #[test]
    fn who_may_not_install_is_told_so() {
        assert!(plan(|_| false, false, DEBIAN).obstacle.is_some_and(|why| why.contains("root")));
        assert!(plan(|_| false, true, "ID=fedora").obstacle.is_some_and(|why| why.contains("Debian")));
    }

    #[test]
    fn a_child_of_debian_counts() {
        assert!(is_debian("ID=ubuntu\nID_LIKE=debian\n"));
        assert!(is_debian("ID=mint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian("ID=fedora\nPRETTY_NAME=\"not debian\"\n"));
    }

    #[test]
    fn apt_get_never_asks_and_takes_no_recommended_packages() {
        let command = apt_get(&["nftables"]).join(" ");
        assert!(command.contains("-y --no-install-recommends") && command.ends_with(" nftables"), "{command}");
    }
}
