//! A socket in the file system (unix(7)).

use super::missing::missing;
use super::netlink::{Attributes, Netlink, u32_at};
use super::{files, modules, namespaces, owners, sockets};
use rustix::fs::{Access, AtFlags, CWD, FileType};
use rustix::io::Errno;
use unrefuse_facts::{Observed, Source, UnixSocket};
use unrefuse_parse::proc_net;

const SOCK_DIAG_BY_FAMILY: u16 = 20;

/// What is at `path`, and whether somebody listens there.
pub(super) fn unix_socket(path: &str) -> Observed<UnixSocket> {
    let stat = match rustix::fs::stat(path) {
        Ok(stat) => stat,
        Err(Errno::NOENT | Errno::NOTDIR) => {
            let nothing = UnixSocket {
                path: path.to_owned(),
                is_socket: false,
                exists: false,
                listening: false,
                writable: false,
            };
            return Observed::known(nothing, Source::running(format!("stat {path}")));
        }
        Err(e) => return Observed::Missing(missing(&format!("stat {path}"), e)),
    };
    let is_socket = FileType::from_raw_mode(stat.st_mode) == FileType::Socket;
    let writable = rustix::fs::accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok();
    let socket = |listening| UnixSocket { path: path.to_owned(), is_socket, exists: true, listening, writable };
    if !is_socket {
        return Observed::known(socket(false), Source::running(format!("stat {path}")));
    }
    let mut listening = false;
    let table = format!("{}/unix", sockets::OWN_TABLES);
    let read = files::read_lines(&table, |lines| listening |= proc_net::unix_listens(lines, path));
    if listening {
        return Observed::known(socket(true), Source::running(table));
    }
    // The table has the path as bind(2) was given it, which may be relative, or seen through another mount: the file's own
    // number says it without a doubt. A kernel's device number has 20 bits of minor (include/linux/kdev_t.h).
    let device = (rustix::fs::major(stat.st_dev) << 20) | rustix::fs::minor(stat.st_dev);
    let number = (stat.st_ino as u32, device);
    let asked = modules::present("unix_diag").and_then(|()| {
        let found = Netlink::sock_diag().and_then(|mut netlink| diag(&mut netlink, number));
        found.map_err(|e| missing("unix_diag", e))
    });
    match (asked, read) {
        (Ok(found), _) => {
            let listening = found || namespaces::unix_listens_elsewhere(number);
            Observed::known(socket(listening), Source::running("unix_diag"))
        }
        (Err(_), Ok(())) => Observed::known(socket(false), Source::running(table)),
        (Err(missing), Err(_)) => Observed::Missing(missing),
    }
}

/// The processes that hold the socket which listens at `path` in this thread's namespace, as far as this user may see.
pub(crate) fn listeners_of(path: &str) -> Vec<u32> {
    let mut inode = None;
    let table = format!("{}/unix", sockets::OWN_TABLES);
    let read = files::read_lines(&table, |lines| inode = inode.or_else(|| proc_net::unix_listener(lines, path)));
    let Some(inode) = inode.filter(|_| read.is_ok()) else { return Vec::new() };
    let found = owners::find(vec![inode], owners::Extent::AllHolders);
    found.holders.value().into_iter().flat_map(|map| map.values().flatten()).map(|holder| holder.pid).collect()
}

/// Whether a unix socket of this thread's namespace listens at the file with these inode and device numbers
/// (`struct unix_diag_req`, include/uapi/linux/unix_diag.h).
pub(super) fn diag(netlink: &mut Netlink, (inode, device): (u32, u32)) -> Result<bool, Errno> {
    const AF_UNIX: u8 = 1;
    const LISTEN: u32 = 1 << 10;
    const SHOW_VFS: u32 = 2;
    let mut body = vec![AF_UNIX, 0, 0, 0];
    for word in [LISTEN, 0, SHOW_VFS, 0, 0] {
        body.extend_from_slice(&word.to_ne_bytes());
    }
    let mut listens = false;
    netlink.dump(SOCK_DIAG_BY_FAMILY, &body, |message| {
        let vfs = Attributes(message.get(16..).unwrap_or_default()).find(|(kind, _)| *kind == 1);
        listens |= vfs.is_some_and(|(_, vfs)| (u32_at(vfs, 0), u32_at(vfs, 4)) == (Some(inode), Some(device)));
    })?;
    Ok(listens)
}
