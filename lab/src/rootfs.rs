//! The root file system of systemd hosts: Debian with the real servers, built once and then only read.

use anyhow::{Context as _, Result, ensure};
use nix::fcntl::{Flock, FlockArg};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release: the one whose defaults the scenarios were written against.
const SUITE: &str = "bookworm";

/// Where its packages come from.
const MIRROR: &str = "http://deb.debian.org/debian";

/// Each group with what needs it.
const PACKAGES: &[(&str, &[&str])] = &[
    ("process 1 and its bus", &["systemd", "systemd-sysv", "dbus"]),
    ("wiring, and what is kept of failed runs", &["iproute2", "procps", "netcat-openbsd"]),
    ("rules by hand", &["iptables", "nftables", "ipset"]),
    ("rules by managers", &["ufw", "firewalld", "fail2ban"]),
    ("web servers", &["nginx-light", "apache2", "haproxy"]),
    ("databases and caches", &["mariadb-server", "postgresql", "redis-server", "memcached"]),
    ("remote shell", &["openssh-server"]),
];

/// What turns the packages into a host that starts quickly, has nothing enabled and depends on nothing outside.
/// mmdebstrap(1) runs it as a hook with the root as first argument.
const PREPARE: &str = r#"
set -eu
root=$1
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
rm -f "$root/etc/hostname" "$root/etc/resolv.conf"
for unit in nginx apache2 apache-htcacheclean haproxy memcached redis-server ssh \
    mariadb mariadb.socket mariadb-extra.socket postgresql \
    ufw firewalld fail2ban nftables e2scrub_reap systemd-pstore \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer; do
    chroot "$root" systemctl --quiet disable "$unit" || true
done
# What a host without hardware, kernel modules and users at a screen has no use for, and what would reach beyond it.
chroot "$root" systemctl --quiet mask getty.target console-getty.service systemd-logind.service \
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-sysusers.service \
    systemd-firstboot.service systemd-remount-fs.service systemd-sysctl.service systemd-modules-load.service \
    systemd-udevd.service systemd-udev-trigger.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
    systemd-ask-password-console.path systemd-ask-password-wall.path systemd-random-seed.service \
    systemd-journal-flush.service systemd-journald-audit.socket modprobe@.service apparmor.service \
    dev-hugepages.mount dev-mqueue.mount sys-kernel-tracing.mount sys-kernel-debug.mount sys-kernel-config.mount \
    sys-fs-fuse-connections.mount remote-fs.target cryptsetup.target swap.target
chroot "$root" systemctl --quiet set-default multi-user.target
mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nForwardToConsole=no\n' \
    >"$root/etc/systemd/journald.conf.d/lab.conf"
"#;

/// The folder that finished roots are kept in, each below a name of its own.
pub(crate) fn cache() -> PathBuf {
    std::env::var_os("UNREFUSE_LAB_CACHE").map_or_else(|| PathBuf::from("/var/cache/unrefuse-lab"), PathBuf::from)
}

/// The root file system: the one in `cache`, or a new one, which takes a minute or two.
///
/// # Errors
/// mmdebstrap is not installed or fails; the folder can't be written.
pub(crate) fn get(cache: &Path) -> Result<PathBuf> {
    let place = cache.join(format!("{SUITE}-{:016x}", fingerprint()));
    if place.exists() {
        return Ok(place);
    }
    std::fs::create_dir_all(cache).with_context(|| format!("make {}", cache.display()))?;
    let lock = std::fs::File::create(cache.join("lock"))?;
    // Two runs at once build it once.
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error).context("lock the cache")?;
    if !place.exists() {
        let unfinished = cache.join("unfinished");
        let log = cache.join("build.log");
        build(&unfinished, &log)?;
        // Under its name only once it is whole.
        std::fs::rename(&unfinished, &place)?;
    }
    Ok(place)
}

fn build(place: &Path, log: &Path) -> Result<()> {
    if place.exists() {
        std::fs::remove_dir_all(place).with_context(|| format!("remove {}", place.display()))?;
    }
    println!("building the root file system of systemd hosts in {} (log: {})", place.display(), log.display());
    let packages: Vec<_> = PACKAGES.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let output = std::fs::File::create(log)?;
    // In a mount namespace of its own: what it mounts into the root is gone with it, even where it is killed.
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--kill-child", "--fork", "mmdebstrap"])
        .args(["--mode=root", "--variant=minbase"])
        .args(["--aptopt=APT::Install-Recommends \"false\"", "--aptopt=Acquire::Languages \"none\""])
        // Not syncing each file saves half of the time; a root that is cut short never gets its name.
        .arg("--dpkgopt=force-unsafe-io")
        .args(["doc", "man", "locale"].map(|folder| format!("--dpkgopt=path-exclude=/usr/share/{folder}/*")))
        .arg(format!("--include={}", packages.join(",")))
        .arg(format!("--customize-hook={PREPARE}"))
        .args([SUITE, &place.display().to_string(), MIRROR])
        .stdin(std::process::Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    let status = command.status().context("unshare can't be run")?;
    if !status.success() {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let from = text.lines().count().saturating_sub(15);
        let end: Vec<_> = text.lines().skip(from).collect();
        ensure!(
            status.success(),
            "mmdebstrap: {status}; `cargo xtask install` installs it; the end of {}:\n{}",
            log.display(),
            end.join("\n")
        );
    }
    Ok(())
}

/// A number that changes with the recipe: FNV-1a, which stays the same between builds of the lab.
fn fingerprint() -> u64 {
    let packages = PACKAGES.iter().flat_map(|(_, names)| names.iter().copied());
    let words = [SUITE, MIRROR, PREPARE].into_iter().chain(packages);
    words
        .flat_map(|word| word.bytes().chain([0]))
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
