//! The root file systems of systemd hosts: Debian with the real servers, or with container engines. Each is built once and
//! then only read.

use crate::scenario::Kind;
use anyhow::{Context as _, Result, bail, ensure};
use nix::fcntl::{Flock, FlockArg};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release: the one whose defaults the scenarios were written against.
const SUITE: &str = "bookworm";

/// Where its packages come from.
const MIRROR: &str = "http://deb.debian.org/debian";

/// Packages, in groups with what needs them.
type Packages = &'static [(&'static str, &'static [&'static str])];

/// What every host has.
const EVERYWHERE: Packages = &[
    ("process 1 and its bus", &["systemd", "systemd-sysv", "dbus"]),
    ("wiring, and what is kept of failed runs", &["iproute2", "procps", "netcat-openbsd"]),
    ("rules by hand", &["iptables", "nftables", "ipset"]),
    ("rules by managers", &["ufw", "firewalld", "fail2ban"]),
];

/// What hosts of [`Kind::Systemd`] have besides.
const SERVERS: Packages = &[
    ("web servers", &["nginx-light", "apache2", "haproxy"]),
    ("databases and caches", &["mariadb-server", "postgresql", "redis-server", "memcached"]),
    ("remote shell", &["openssh-server"]),
    ("buses of users", &["dbus-user-session"]),
    ("other supervisors", &["runit", "supervisor"]),
    ("mail, names and files", &["postfix", "dovecot-imapd", "dnsmasq", "bind9", "vsftpd"]),
];

/// What hosts of [`Kind::Containers`] have besides. They are hosts of their own: an installed engine is a fact that would
/// speak into every other scenario.
const ENGINES: Packages = &[
    ("Docker", &["docker.io"]),
    (
        "Podman, its names between containers, and what it needs without root",
        &["podman", "runc", "catatonit", "netavark", "aardvark-dns", "slirp4netns", "uidmap"],
    ),
    ("the image of all containers", &["busybox-static"]),
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
    postfix dovecot dovecot.socket dnsmasq named vsftpd supervisor \
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

/// What container engines need besides [`PREPARE`]. The helpers are told in lab/README.md.
const PREPARE_ENGINES: &str = r#"
set -eu
root=$1
chroot "$root" systemctl --quiet disable docker.service docker.socket containerd.service \
    podman.socket podman.service podman-restart.service podman-auto-update.timer podman-auto-update.service
# An overlay can't lie on another one: layers go into memory.
printf 'tmpfs /var/lib/%s tmpfs mode=711 0 0\n' docker containers >"$root/etc/fstab"
mkdir -p "$root/var/lib/docker" "$root/var/lib/containers" "$root/usr/share/lab"

image=$(mktemp -d)
mkdir -p "$image/bin" "$image/etc" "$image/www" "$image/tmp"
cp "$root/bin/busybox" "$image/bin/busybox"
for applet in $(chroot "$root" /bin/busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$image/bin/$applet"
done
echo 'root:x:0:0:root:/:/bin/sh' >"$image/etc/passwd"
echo 'it works' >"$image/www/index.html"
tar --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$image" -cf "$root/usr/share/lab/tiny.tar" .
rm -rf "$image"

# A machine without the pids controller in its version 2 hierarchy can't run containers that are to be limited; crun
# insists on CAP_SYS_RESOURCE, which a machine may lack, too.
mkdir -p "$root/etc/containers/containers.conf.d"
printf '[containers]\npids_limit = 0\n[engine]\nruntime = "runc"\n' >"$root/etc/containers/containers.conf.d/lab.conf"
# Its service ends by itself when nobody asks, and unrefuse doesn't wake it.
mkdir -p "$root/etc/systemd/system/podman.service.d"
printf '[Service]\nExecStart=\nExecStart=/usr/bin/podman system service --time 0\n' \
    >"$root/etc/systemd/system/podman.service.d/lab.conf"

# An engine without root: without a session of its user there is no systemd that gives it cgroups.
chroot "$root" useradd --create-home --home-dir /srv/app --uid 1000 --shell /bin/sh app
mkdir -p "$root/srv/app/.config/containers" "$root/srv/app/.local/share/containers"
printf '[engine]\ncgroup_manager = "cgroupfs"\n' >"$root/srv/app/.config/containers/containers.conf"
chroot "$root" chown -R app: /srv/app
echo 'tmpfs /srv/app/.local/share/containers tmpfs uid=1000,gid=1000,mode=755 0 0' >>"$root/etc/fstab"

cat >"$root/usr/local/bin/use-engine" <<'END'
#!/bin/sh
# use-engine docker|podman|rootless: starts the engine, and gives it the image "tiny".
set -e
import() { "$@" import -c 'CMD ["sleep", "600"]' /usr/share/lab/tiny.tar tiny >/dev/null 2>&1; }
case $1 in
    docker) systemctl start docker && import docker ;;
    podman) systemctl start podman.service && import podman ;;
    rootless)
        # A user namespace may mount /proc only where a whole one is to be seen (mount_namespaces(7)).
        mkdir -p /run/whole-proc /dev/net
        mount -t proc proc /run/whole-proc
        mknod -m 666 /dev/net/tun c 10 200
        install -d -o app -g app -m 700 /run/user/1000
        import as-app podman
        as-app podman system service --time 0 </dev/null >/dev/null 2>&1 &
        until [ -S /run/user/1000/podman/podman.sock ]; do sleep 0.02; done
        ;;
esac
END
cat >"$root/usr/local/bin/as-app" <<'END'
#!/bin/sh
# as-app COMMAND …: runs it as the user app.
cd /srv/app && exec setpriv --reuid 1000 --regid 1000 --clear-groups --reset-env env XDG_RUNTIME_DIR=/run/user/1000 "$@"
END
cat >"$root/usr/local/bin/listens" <<'END'
#!/bin/sh
# listens docker|podman|'as-app podman' NAME PORT: whether something listens on that TCP port inside the container.
pid=$($1 inspect -f '{{.State.Pid}}' "$2") && [ "$pid" -gt 0 ] &&
    nsenter --target "$pid" --net ss -Hltn "sport = :$3" | grep -q .
END
chmod 755 "$root/usr/local/bin/use-engine" "$root/usr/local/bin/as-app" "$root/usr/local/bin/listens"
"#;

/// How the root of one kind of host is made.
struct Recipe {
    /// What its folder's name begins with.
    name: String,
    packages: Vec<&'static str>,
    hooks: Vec<&'static str>,
}

/// The folder that finished roots are kept in, each below a name of its own.
pub(crate) fn cache() -> PathBuf {
    std::env::var_os("UNREFUSE_LAB_CACHE").map_or_else(|| PathBuf::from("/var/cache/unrefuse-lab"), PathBuf::from)
}

/// The root file system of one kind of host: the one in `cache`, or a new one, which takes a minute or two.
///
/// # Errors
/// Hosts of that kind have none; mmdebstrap is not installed or fails; the folder can't be written.
pub(crate) fn get(cache: &Path, kind: Kind) -> Result<PathBuf> {
    let recipe = Recipe::of(kind)?;
    let place = cache.join(format!("{}-{:016x}", recipe.name, recipe.fingerprint()));
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
        recipe.build(&unfinished, &log)?;
        // Under its name only once it is whole.
        std::fs::rename(&unfinished, &place)?;
    }
    Ok(place)
}

impl Recipe {
    fn of(kind: Kind) -> Result<Self> {
        let (name, packages, hooks) = match kind {
            Kind::Plain => bail!("a plain machine has no root file system of its own"),
            Kind::Systemd => (SUITE.to_owned(), SERVERS, vec![PREPARE]),
            Kind::Containers => (format!("{SUITE}-containers"), ENGINES, vec![PREPARE, PREPARE_ENGINES]),
        };
        let packages = EVERYWHERE.iter().chain(packages).flat_map(|(_, names)| names.iter().copied()).collect();
        Ok(Self { name, packages, hooks })
    }

    fn build(&self, place: &Path, log: &Path) -> Result<()> {
        if place.exists() {
            std::fs::remove_dir_all(place).with_context(|| format!("remove {}", place.display()))?;
        }
        println!("building the root file system {} in {} (log: {})", self.name, place.display(), log.display());
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
            .arg(format!("--include={}", self.packages.join(",")))
            .args(self.hooks.iter().map(|hook| format!("--customize-hook={hook}")))
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
    fn fingerprint(&self) -> u64 {
        let words = [SUITE, MIRROR].into_iter().chain(self.hooks.iter().copied()).chain(self.packages.iter().copied());
        words
            .flat_map(|word| word.bytes().chain([0]))
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}
