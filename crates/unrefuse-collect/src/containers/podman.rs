//! What Podman keeps of its containers in its own database, for the usual case that nobody serves its API: it has no
//! daemon, and a diagnosis starts none.

use super::ContainerQuery;
use super::engine::{FEW, matters};
use super::find::Place;
use super::{detail, inside};
use crate::live::files;
use rustix::fs::{FileType, stat};
use unrefuse_facts::{Container, ContainerStatus, Missing, Observed, Reason, Source};
use unrefuse_parse::{container, passwd};

/// The system's storage where nobody moved it (`graphroot` of containers-storage.conf(5)), and a user's below the home.
const SYSTEM: &str = "/var/lib/containers/storage";
const USER: &str = ".local/share/containers/storage";

/// The database of Podman before 5.0, and that of newer ones.
const BOLT: &str = "libpod/bolt_state.db";
const SQLITE: &str = "db.sql";

/// Some 20 kB a container.
const LIMIT: usize = 32 << 20;

/// Both heads of it lie here.
const HEAD: usize = 128 << 10;

/// The file was changed while it was read, so often.
const TRIES: usize = 3;

/// Where that user's Podman keeps its containers, where there is such a place.
pub(super) fn storage(root: &str, uid: u32) -> Option<String> {
    let folder = if uid == 0 {
        SYSTEM.to_owned()
    } else {
        let users = passwd::users(&files::read(&format!("{root}/etc/passwd")).ok()?);
        format!("{}/{USER}", users.get(&uid)?.home.trim_end_matches('/'))
    };
    let is_folder = |s: rustix::fs::Stat| FileType::from_raw_mode(s.st_mode) == FileType::Directory;
    stat(format!("{root}{folder}")).is_ok_and(is_folder).then_some(folder)
}

/// The containers that matter, and how many there are in all; `missing` where they cannot be read.
pub(super) fn containers(
    root: &str,
    place: &Place,
    query: &ContainerQuery,
    missing: Missing,
) -> (Observed<Vec<Container>>, u32) {
    match kept(root, place, missing) {
        Ok((mut found, path)) => {
            let total = found.len();
            found.retain(|container| total <= FEW || matters(container, query));
            found.iter_mut().for_each(detail::compose);
            (Observed::known(found, Source::running(path)), u32::try_from(total).unwrap_or(u32::MAX))
        }
        Err(missing) => (Observed::Missing(missing), 0),
    }
}

/// All containers, as the database and their processes say, and the database's path.
///
/// # Errors
/// `missing` where there is no database that can be read, with the reason.
pub(super) fn kept(root: &str, place: &Place, missing: Missing) -> Result<(Vec<Container>, String), Missing> {
    let own = place.socket.ends_with("/podman/podman.sock");
    let Some(folder) = storage(root, place.uid).filter(|_| own) else { return Err(missing) };
    let there = |name: &str| stat(format!("{root}{folder}/{name}")).is_ok();
    let path = format!("{folder}/{BOLT}");
    let read = match (there(BOLT), there(SQLITE)) {
        (true, false) => database(&format!("{root}{path}")),
        // Which of the two it uses is a setting.
        (_, true) => Err(Missing::new(Reason::NotLooked, format!("{folder}/{SQLITE} is not read"))),
        (false, false) => return Err(missing),
    };
    match read {
        Ok(mut found) => {
            found.iter_mut().for_each(held_against_its_process);
            Ok((found, path))
        }
        Err(why) => {
            let detail = format!("{}; {}", missing.detail, why.detail);
            Err(Missing { reason: why.reason, detail, ..missing })
        }
    }
}

/// The containers of a database that did not change while it was read: pages that are out of use are written over.
fn database(path: &str) -> Result<Vec<Container>, Missing> {
    for _ in 0..TRIES {
        let Some(kept) = container::libpod(&start(path, LIMIT)?) else {
            return Err(Missing::new(Reason::Failed, format!("{path} is no database of Podman")));
        };
        if container::libpod_change(&start(path, HEAD)?) == Some(kept.change) {
            return Ok(kept.containers);
        }
    }
    Err(Missing::new(Reason::Failed, format!("{path} changes all the time")))
}

/// So many bytes of the file; one that is longer than [`LIMIT`] is cut, and what leads past its end is left out.
fn start(path: &str, limit: usize) -> Result<Vec<u8>, Missing> {
    let mut bytes = Vec::new();
    let failed = |e| Missing::new(Reason::Failed, format!("read {path}: {e}"));
    files::fill(files::open(path)?, &mut bytes, limit).map_err(failed)?;
    Ok(bytes)
}

/// Whoever died with the machine, or was killed together with its monitor, is still written down as running.
fn held_against_its_process(container: &mut Container) {
    let runs = matches!(container.status, ContainerStatus::Running | ContainerStatus::Paused);
    if runs && inside::process(container).is_err() {
        container.status = ContainerStatus::Exited;
        container.pid = None;
        container.bound.clear();
        container.networks.iter_mut().for_each(|network| network.addresses.clear());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;
    use unrefuse_facts::EngineKind;

    fn place(uid: u32) -> Place {
        let socket =
            if uid == 0 { "/run/podman/podman.sock".into() } else { format!("/run/user/{uid}/podman/podman.sock") };
        Place { kind: EngineKind::Podman, socket, uid, installed: None, exists: false }
    }

    fn look(root: &Root, place: &Place) -> Missing {
        let missing = Missing::new(Reason::NotLooked, "is not there").remedy("podman ps -a");
        containers(root.path(), place, &ContainerQuery::default(), missing).0.missing().cloned().unwrap()
    }

    #[test]
    fn the_system_s_storage_and_that_of_a_user() {
        let root = Root::new("podman-storage");
        root.file("/etc/passwd", "ann:x:1000:1000::/srv/ann/:/bin/sh\nbob:x:1001:1001::/srv/bob:/bin/sh\n");
        assert_eq!(storage(root.path(), 0), None);
        root.file("/var/lib/containers/storage/userns.lock", "");
        root.file("/srv/ann/.local/share/containers/storage/userns.lock", "");
        assert_eq!(storage(root.path(), 0).as_deref(), Some(SYSTEM));
        assert_eq!(storage(root.path(), 1000).as_deref(), Some("/srv/ann/.local/share/containers/storage"));
        assert_eq!(storage(root.path(), 1001).or(storage(root.path(), 7)), None);
    }

    #[test]
    fn what_cannot_be_read_says_why_and_how_to_know() {
        let root = Root::new("podman-unread");
        assert_eq!(look(&root, &place(0)).detail, "is not there");
        root.file(&format!("{SYSTEM}/{BOLT}"), "SQLite format 3");
        let broken = look(&root, &place(0));
        assert!(broken.reason == Reason::Failed && broken.detail.ends_with("is no database of Podman"), "{broken}");
        root.file(&format!("{SYSTEM}/{SQLITE}"), "");
        let newer = look(&root, &place(0));
        assert!(newer.detail.ends_with("db.sql is not read") && newer.remedy.is_some(), "{newer}");
        // A socket elsewhere is another machine's, or another storage's.
        let elsewhere = Place { socket: "/srv/p.sock".into(), ..place(0) };
        assert_eq!(look(&root, &elsewhere).detail, "is not there");
    }
}
