//! Units of users' own managers (user@.service(5)): of the own user, and of all users where this is root.
//!
//! Homes may lie on servers that do not answer, and a user can put anything in the place of the own manager's socket: all of
//! this has a thread of its own, which is left behind at the deadline.

use super::ServiceQuery;
use super::bus::Bus;
use super::machine::{Disk, Machine};
use crate::live::{files, folders};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use unrefuse_facts::catalogue::KnownService;
use unrefuse_facts::{UnitFacts, UnitUser};
use unrefuse_parse::passwd::{self, User};

/// Managers that are asked.
const MOST_MANAGERS: usize = 8;

/// Users without a manager whose unit files are looked for.
const MOST_HOMES: usize = 64;

/// People have numbers from here on (login.defs(5), `UID_MIN`); 65534 is nobody.
const PEOPLE: std::ops::Range<u32> = 1000..65534;

/// A file system that mounts what is looked at (`AUTOFS_SUPER_MAGIC`, linux/magic.h).
const AUTOFS: rustix::fs::FsWord = 0x0187;

/// What was seen of users' units.
#[derive(Default)]
pub(super) struct Found {
    /// Units that may be meant, and what belongs to them.
    pub(super) units: Vec<UnitFacts>,
    /// Users whose managers run and were not asked.
    pub(super) closed: Vec<String>,
}

/// A look at users' units that is under way.
pub(super) struct Asking(mpsc::Receiver<Found>);

impl Asking {
    /// Starts to look.
    pub(super) fn start(query: ServiceQuery, sought: Vec<&'static KnownService>, until: Instant) -> Self {
        let (send, receive) = mpsc::channel();
        // Left behind where it is late; nobody hears it then.
        std::thread::spawn(move || {
            let users = users("", rustix::process::geteuid().as_raw());
            let mut found = Found { closed: users.closed, ..Found::default() };
            for user in users.open {
                match units(user.clone(), &query, &sought, until) {
                    Some(units) => found.units.extend(units),
                    None => found.closed.push(user.name),
                }
            }
            let _ = send.send(found);
        });
        Self(receive)
    }

    /// What was found by `until`.
    pub(super) fn finish(self, until: Instant) -> Found {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.0.recv_timeout(left).unwrap_or_else(|_| Found {
            closed: vec!["all users: asking their managers took too long".to_owned()],
            ..Found::default()
        })
    }
}

/// Users to be asked about.
struct Users {
    open: Vec<UnitUser>,
    closed: Vec<String>,
}

/// The users with a manager, and those without one who have unit files of their own; of others than `own` only where that
/// is root.
fn users(root: &str, own: u32) -> Users {
    let known = files::read(&format!("{root}/etc/passwd")).map(|bytes| passwd::users(&bytes)).unwrap_or_default();
    let mut found = Users { open: Vec::new(), closed: Vec::new() };
    let running: Vec<u32> = folders::names(&format!("{root}/run/user"))
        .unwrap_or_default()
        .iter()
        .filter_map(|name| name.parse().ok())
        .filter(|uid| own == 0 || *uid == own || PEOPLE.contains(uid))
        .collect();
    for uid in running.iter().copied() {
        let may_look = own == 0 || uid == own;
        let user = user(root, uid, &known);
        if may_look && !user.has_manager {
            continue;
        }
        if may_look && found.open.len() < MOST_MANAGERS {
            found.open.push(user);
        } else {
            found.closed.push(user.name);
        }
    }
    let managed: Vec<u32> = found.open.iter().map(|user| user.uid).collect();
    let people = known.iter().filter(|(uid, _)| **uid == own || own == 0 && PEOPLE.contains(*uid));
    let others = people.filter(|(uid, _)| !managed.contains(uid)).take(MOST_HOMES);
    found.open.extend(others.filter(|(_, user)| has_units(root, &user.home)).map(|(uid, _)| user(root, *uid, &known)));
    found
}

fn user(root: &str, uid: u32, known: &BTreeMap<u32, User>) -> UnitUser {
    let here = |path: String| rustix::fs::lstat(path).is_ok();
    let account = known.get(&uid);
    let name = account.map_or_else(|| uid.to_string(), |user| user.name.clone());
    UnitUser {
        uid,
        home: account.map(|user| user.home.clone()).filter(|home| home.starts_with('/')),
        has_manager: here(socket(root, uid)),
        has_bus: here(format!("{root}/run/user/{uid}/bus")),
        in_session: std::env::var("XDG_RUNTIME_DIR").is_ok_and(|path| path == format!("/run/user/{uid}")),
        lingers: here(format!("{root}/var/lib/systemd/linger/{name}")),
        name,
    }
}

/// Where a user's manager listens.
fn socket(root: &str, uid: u32) -> String {
    format!("{root}/run/user/{uid}/systemd/private")
}

/// Whether there are unit files in a home that is here: looking must not mount one.
fn has_units(root: &str, home: &str) -> bool {
    let Some((above, _)) = home.rsplit_once('/') else { return false };
    let here = rustix::fs::statfs(format!("{root}{above}/")).is_ok_and(|fs| fs.f_type != AUTOFS);
    here && rustix::fs::stat(format!("{root}{home}/.config/systemd/user")).is_ok()
}

/// The units of one user that may be meant; `None` where the manager runs and cannot be asked.
fn units(
    user: UnitUser,
    query: &ServiceQuery,
    sought: &[&'static KnownService],
    until: Instant,
) -> Option<Vec<UnitFacts>> {
    let mut bus = None;
    let mut listed = Vec::new();
    if user.has_manager {
        let socket = socket("", user.uid);
        if !is_manager(&socket, user.uid) {
            return None;
        }
        let mut own = Bus::connect_user(socket, until).ok()?;
        listed = own.units().ok()?;
        bus = Some(own);
    }
    let disk = Some(Disk::of_user(&user, query.port));
    let mut machine = Machine { user: Some(user), bus, listed, disk, readings: Vec::new() };
    let mut units = machine.candidates(query, sought);
    for name in machine.failed_needs(&units) {
        if !units.iter().any(|unit| unit.name == name) {
            units.extend(machine.told(&name));
        }
    }
    machine.configure(&mut units, query.port, until);
    machine.finish(&mut units, until);
    Some(units)
}

/// Whether it is systemd that listens on another user's socket: who made it is known to the kernel (unix(7),
/// `SO_PEERCRED`).
fn is_manager(path: &str, uid: u32) -> bool {
    if rustix::process::geteuid().as_raw() == uid {
        return true;
    }
    let peer = || {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).ok()?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path).ok()?).ok()?;
        rustix::net::sockopt::socket_peercred(&socket).ok()
    };
    peer().is_some_and(|peer| {
        let exe = rustix::fs::readlink(format!("/proc/{}/exe", peer.pid.as_raw_nonzero()), Vec::new());
        peer.uid.as_raw() == uid && exe.is_ok_and(|exe| exe.to_bytes().ends_with(b"/systemd"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;

    fn root() -> Root {
        let root = Root::new("users");
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/srv/ann:/bin/sh\n\
                      bob:x:1001:1001::/srv/bob:/bin/sh\neve:x:1002:1002::/srv/eve:/bin/sh\n";
        root.file("/etc/passwd", passwd);
        root.file("/run/user/1000/systemd/private", "");
        root.file("/run/user/1000/bus", "");
        root.file("/srv/bob/.config/systemd/user/app.service", "");
        root.file("/var/lib/systemd/linger/ann", "");
        root
    }

    #[test]
    fn root_asks_about_all_who_have_a_manager_or_units() {
        let root = root();
        let users = users(root.path(), 0);
        let names: Vec<&str> = users.open.iter().map(|user| user.name.as_str()).collect();
        assert_eq!(names, ["ann", "bob"]);
        let (ann, bob) = (&users.open[0], &users.open[1]);
        assert!(ann.has_manager && ann.has_bus && ann.lingers && users.closed.is_empty());
        assert!(!bob.has_manager && !bob.has_bus && !bob.lingers);
        assert_eq!(bob.home.as_deref(), Some("/srv/bob"));
    }

    #[test]
    fn others_ask_only_about_themselves() {
        let root = root();
        let bob = users(root.path(), 1001);
        assert_eq!(bob.open.iter().map(|user| user.uid).collect::<Vec<_>>(), [1001]);
        assert_eq!(bob.closed, ["ann"]);
        let eve = users(root.path(), 1002);
        assert!(eve.open.is_empty(), "no manager and no units");
    }

    #[test]
    fn what_is_no_manager_is_not_asked() {
        let folder = Root::new("no-manager");
        let path = format!("{}/private", folder.path());
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(!is_manager(&path, u32::MAX - 1));
    }
}
