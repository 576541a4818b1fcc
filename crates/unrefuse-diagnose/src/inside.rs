//! Fixes of a question that was asked from another network namespace (`--netns`, `--container`): routes, neighbours, filters
//! and settings are that namespace's, and a command that changes them runs there.

use crate::report::{Fix, Report, Step};
use unrefuse_facts::{Case, text};

/// Programs that act on the network namespace they run in.
const OF_NAMESPACE: [&str; 11] = [
    "ip",
    "nft",
    "iptables",
    "ip6tables",
    "iptables-nft",
    "ip6tables-nft",
    "iptables-legacy",
    "ip6tables-legacy",
    "ipset",
    "sysctl",
    "tc",
];

/// Makes the commands of a report run in the namespace that was stood in.
pub(crate) fn moved(case: &Case, report: &mut Report) {
    let vantage = &case.vantage;
    let entered = vantage.netns.clone().or(vantage.container_pid.map(|pid| pid.to_string()));
    let Some(prefix) = entered.as_deref().and_then(prefix) else { return };
    let fixes = report.blockers.iter_mut().flat_map(|blocker| &mut blocker.fixes);
    for fix in fixes {
        // Its engine writes its hosts file and its resolv.conf anew at its next start.
        let of_container = |step: &Step| matches!(step, Step::Edit { edit } if edit.path.starts_with("/proc/"));
        if vantage.container.is_some() && fix.steps.iter().any(of_container) {
            fix.persistent = false;
        }
        moved_fix(&prefix, fix);
    }
}

fn moved_fix(prefix: &str, fix: &mut Fix) {
    for step in fix.steps.iter_mut().chain(&mut fix.undo) {
        if let Step::Command { command } = step
            && let Some(inside) = inside(prefix, command)
        {
            *command = inside;
        }
    }
}

/// As `--netns` takes it: a process id, or a name of ip-netns(8).
fn prefix(netns: &str) -> Option<String> {
    let quoted = text::shell_quote(netns)?;
    let is_process = netns.bytes().all(|byte| byte.is_ascii_digit());
    Some(if is_process { format!("nsenter -t {quoted} -n") } else { format!("ip netns exec {quoted}") })
}

fn inside(prefix: &str, command: &str) -> Option<String> {
    let program = command.split_whitespace().next()?;
    if !OF_NAMESPACE.contains(&program) {
        return None;
    }
    // The prefix is for one program: what the shell makes of the rest must happen inside, too.
    if command.contains(['|', '&', ';', '<', '>', '$', '`']) {
        return Some(format!("{prefix} sh -c {}", text::shell_quote(command)?));
    }
    Some(format!("{prefix} {command}"))
}

#[cfg(test)]
mod tests {
    use super::{inside, prefix};
    use crate::testing::Scene;
    use crate::testing::filter::commands;
    use unrefuse_facts::{Errno, Route, RouteDecision, RouteKind};

    #[test]
    fn a_fix_is_for_the_namespace_that_was_stood_in() {
        let entry = Route {
            kind: RouteKind::Blackhole,
            destination: "10.9.0.0".parse().unwrap(),
            prefix: 24,
            gateway: None,
            link: None,
            source: None,
            table: 254,
            metric: 0,
            dead: false,
        };
        let decision = RouteDecision::No { errno: Errno::EINVAL, entry: Some(entry) };
        let scene = Scene::remote("10.9.0.1:80").decided(decision).alternatives(&[]).local_error(Errno::EINVAL);
        let report = scene.with(|case| case.vantage.netns = Some("blue".into())).report();
        let fix = &report.blockers[0].fixes[0];
        assert_eq!(commands(&fix.steps), ["ip netns exec blue ip route del blackhole 10.9.0.0/24"]);
        assert_eq!(commands(&fix.undo), ["ip netns exec blue ip route add blackhole 10.9.0.0/24"]);
        assert_eq!(fix.verify, "unrefuse --netns blue 10.9.0.1:80");
    }

    #[test]
    fn a_containers_namespace_is_entered_by_its_process() {
        let stand = |scene: Scene| {
            scene.with(|case| {
                case.vantage.container = Some("app".into());
                case.vantage.container_pid = Some(4211);
            })
        };
        let off = Scene::remote("[fd09::1]:80").local_error(Errno::EADDRNOTAVAIL);
        let report = stand(off.sysctl("net.ipv6.conf.all.disable_ipv6", "1")).report();
        let fixes = &report.blockers[0].fixes;
        assert_eq!(commands(&fixes[0].steps), ["nsenter -t 4211 -n sysctl -w net.ipv6.conf.all.disable_ipv6=0"]);
        // What the machine reads at boot is not the container's.
        assert!(!fixes.iter().any(|fix| fix.title.contains("/etc/sysctl")), "{fixes:?}");
        assert_eq!(fixes[0].verify, "unrefuse --container app '[fd09::1]:80'");
    }

    #[test]
    fn what_is_the_machines_stays_outside() {
        let prefix = prefix("812").unwrap();
        assert_eq!(inside(&prefix, "systemctl start nginx.service"), None);
        assert_eq!(
            inside(&prefix, "sysctl -w net.ipv4.ip_forward=1").unwrap(),
            "nsenter -t 812 -n sysctl -w net.ipv4.ip_forward=1"
        );
        assert_eq!(
            inside(&prefix, "ip link set dev eth0 up && ip route add default dev eth0").unwrap(),
            "nsenter -t 812 -n sh -c 'ip link set dev eth0 up && ip route add default dev eth0'"
        );
    }
}
