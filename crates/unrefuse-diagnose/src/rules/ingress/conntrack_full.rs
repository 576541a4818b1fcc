//! ingress/conntrack-full

use crate::View;
use crate::filter::keep_setting;
use crate::finding::{CannotTell, Finding, Fired};
use crate::report::{Certainty, Evidence, Fix, Risk};
use crate::rule::cause;
use unrefuse_facts::{AttemptOutcome, Observed, Transport};

cause! {
    /// ## What it means
    ///
    /// The kernel's table of connections is full. A new connection finds no room in it, and its packets are dropped.
    ///
    /// ## How it shows
    ///
    /// Silence, or now and then a connection; established ones go on. The kernel log says "nf_conntrack: table full,
    /// dropping packet".
    ///
    /// ## How to confirm by hand
    ///
    /// `sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max`: the two are equal. `conntrack -S`: the
    /// `drop` column rises.
    ///
    /// ## How to fix
    ///
    /// Raise `nf_conntrack_max` (about 320 bytes of kernel memory for each entry), then find what fills the table:
    /// `conntrack -L | awk '{print $4}' | sort | uniq -c | sort -n`. A flood or a scan fills any size.
    ///
    /// ## What it is often mistaken for
    ///
    /// `ingress/firewall-drop` and `path/intermittent`: no rule shows it, and it comes and goes with the load.
    id: "ingress/conntrack-full",
    title: "the connection tracking table is full",
    instead_of: &["path/filtered"],
    needs: &["connection tracking"],
    check: check,
}

/// Above the largest count an entry may still be evicted early (`early_drop` of nf_conntrack_core.c), so that the count
/// stays a little below.
const NEARLY: u64 = 99;

fn check(view: &View<'_>) -> Result<Finding, CannotTell> {
    let Some(firewall) = view.firewall() else { return Ok(Finding::Clear) };
    let Observed::Known { value: table, source } = &firewall.conntrack else { return Ok(Finding::Clear) };
    let dropped = table.dropped.value().map(|counter| counter.moved()).unwrap_or_default();
    let nearly = table.count.saturating_mul(100) >= table.max.saturating_mul(NEARLY);
    // 0 is no limit.
    let full = table.max > 0 && (table.count >= table.max || nearly && dropped > 0);
    if !full {
        return Ok(Finding::Clear);
    }
    let certainty = if dropped > 0 { Certainty::Proven } else { Certainty::Likely };
    let udp = view.transport() == Some(Transport::Udp);
    let predicts: &[AttemptOutcome] =
        if udp { &[AttemptOutcome::TimedOut, AttemptOutcome::Denied] } else { &[AttemptOutcome::TimedOut] };
    let title = format!("the table of connections is full: {} of {}", table.count, table.max);
    let moved = (dropped > 0).then(|| {
        Evidence::new(
            format!("{dropped} packets were dropped for want of room meanwhile"),
            table.dropped.source().map_or("/proc/net/stat/nf_conntrack", |s| &s.what),
        )
    });
    let double = table.max.saturating_mul(2);
    let fix = Fix::new(
        view,
        Risk::Medium,
        format!(
            "let it hold {double} connections: about {} MiB more of kernel memory",
            table.max * 320 / 1_048_576 + 1
        ),
    );
    let old = table.max.to_string();
    let fix = keep_setting(view, fix, "net.netfilter.nf_conntrack_max", &double.to_string(), Some(&old));
    Ok(Fired::new(certainty, title)
        .predicts(predicts)
        .evidence(Evidence::new(
            format!("nf_conntrack_count {}, nf_conntrack_max {}", table.count, table.max),
            source.what.clone(),
        ))
        .evidences(moved)
        .fix(fix)
        .fires())
}

#[cfg(test)]
mod tests {
    use crate::report::Certainty;
    use crate::testing::Scene;
    use crate::testing::filter::{accepted, commands};
    use unrefuse_facts::{Conntrack, Counter, Observed, Source};

    fn scene(count: u64, moved: u64) -> Scene {
        let dropped = Observed::known(Counter { before: 4, after: 4 + moved }, Source::running("/proc/net/stat"));
        let scene = Scene::local("10.1.0.2:80").listener("0.0.0.0:80", "nginx");
        scene.filtered(Some(accepted()), Some(accepted())).filters(|f| {
            f.conntrack = Observed::known(Conntrack { count, max: 65536, dropped }, Source::running("/proc/sys"));
        })
    }

    #[test]
    fn full_and_dropping() {
        let report = scene(65536, 3).silent().report();
        let blocker = &report.blockers[0];
        assert_eq!((blocker.root.as_str(), blocker.certainty), ("ingress/conntrack-full", Certainty::Proven));
        assert_eq!(commands(&blocker.fixes[0].steps)[0], "sysctl -w net.netfilter.nf_conntrack_max=131072");
        assert_eq!(commands(&blocker.fixes[0].undo)[0], "sysctl -w net.netfilter.nf_conntrack_max=65536");
        assert_eq!(scene(65536, 0).silent().report().blockers[0].certainty, Certainty::Likely);
    }

    #[test]
    fn room_enough_or_an_answer() {
        assert!(scene(60000, 3).silent().roots().is_empty());
        assert!(scene(65200, 0).silent().roots().is_empty(), "nearly full, and nothing was dropped");
        assert!(scene(65536, 3).open().roots().is_empty());
    }
}
