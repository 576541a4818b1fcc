//! Reading files that others wrote: bounded, and never hanging on something that is not a file.

use super::missing::missing;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use unrefuse_facts::{Missing, Reason};

/// Configuration files and small /proc files are read up to this many bytes.
pub(crate) const LIMIT: usize = 1 << 20;

/// Opens a regular file for reading.
///
/// `O_NONBLOCK` keeps open(2) from waiting for a FIFO's writer or a device; whatever is no regular file is then
/// refused by its type, so a FIFO or device in the place of a file costs nothing (open(2), fifo(7)).
pub(crate) fn open(path: &str) -> Result<OwnedFd, Missing> {
    open_sized(path).map(|(file, _)| file)
}

/// The same, with the file's size in bytes.
pub(crate) fn open_sized(path: &str) -> Result<(OwnedFd, u64), Missing> {
    let what = || format!("open {path}");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|e| missing(&what(), e))?;
    regular(file, path)
}

/// The file and its size, where it is one.
fn regular(file: OwnedFd, path: &str) -> Result<(OwnedFd, u64), Missing> {
    let stat = rustix::fs::fstat(&file).map_err(|e| missing(&format!("open {path}"), e))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok((file, u64::try_from(stat.st_size).unwrap_or(u64::MAX))),
        kind => Err(Missing::new(Reason::Failed, format!("{path} is no regular file but a {}", name(kind)))),
    }
}

fn name(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "directory",
        FileType::Fifo => "FIFO",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        _ => "file of another kind",
    }
}

/// A whole file of at most [`LIMIT`] bytes. A longer one is a failure: half a file could be read wrongly.
pub(crate) fn read(path: &str) -> Result<Vec<u8>, Missing> {
    whole(&open(path)?, path)
}

/// The same for a file below `root`, whose path from here is `name`. Symbolic links, absolute ones too, are followed
/// within that root (openat2(2), `RESOLVE_IN_ROOT`): who owns the root cannot lead us to files of ours.
pub(crate) fn read_within(root: impl AsFd, name: &str, path: &str) -> Result<Vec<u8>, Missing> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let what = format!("{name}{path}");
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = rustix::fs::openat2(root, path, flags, Mode::empty(), inside);
    let (file, _) = regular(file.map_err(|e| missing(&format!("open {what}"), e))?, &what)?;
    whole(&file, &what)
}

fn whole(file: &OwnedFd, path: &str) -> Result<Vec<u8>, Missing> {
    let mut bytes = Vec::new();
    fill(file, &mut bytes, LIMIT + 1).map_err(|e| missing(&format!("read {path}"), e))?;
    if bytes.len() > LIMIT {
        return Err(Missing::new(Reason::Failed, format!("{path} is longer than {LIMIT} bytes")));
    }
    Ok(bytes)
}

/// Reads until the end of the file or until `bytes` holds `limit`; what is past the limit stays unread.
pub(crate) fn fill(file: impl AsFd, bytes: &mut Vec<u8>, limit: usize) -> Result<(), Errno> {
    let mut step = 4096;
    while bytes.len() < limit {
        let before = bytes.len();
        bytes.resize(limit.min(before + step), 0);
        let read = rustix::io::read(&file, &mut bytes[before..]);
        bytes.truncate(before + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => break,
            Ok(_) => step = (step * 2).min(1 << 17),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Reads a file in pieces that end at line ends, so that a table of any size needs little memory.
///
/// A line longer than a piece is cut there; the tables of /proc/net have none.
pub(crate) fn read_lines(path: &str, mut each: impl FnMut(&[u8])) -> Result<(), Missing> {
    const PIECE: usize = 1 << 18;
    let file = open(path)?;
    let mut bytes = Vec::with_capacity(PIECE);
    loop {
        fill(&file, &mut bytes, PIECE).map_err(|e| missing(&format!("read {path}"), e))?;
        // Fewer than asked for: the end; each piece keeps less than a line of the one before.
        if bytes.len() < PIECE {
            break;
        }
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(bytes.len(), |end| end + 1);
        each(&bytes[..whole]);
        bytes.drain(..whole);
    }
    if !bytes.is_empty() {
        each(&bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    struct Scratch(std::path::PathBuf);

    impl Scratch {
        fn new(test: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("unrefuse-files-{test}-{}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }
        fn path(&self, name: &str) -> String {
            self.0.join(name).to_str().unwrap().to_owned()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_fifo_or_device_in_the_place_of_a_file_does_not_hang() {
        let scratch = Scratch::new("fifo");
        let fifo = scratch.path("hosts");
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let start = Instant::now();
        let missing = read(&fifo).unwrap_err();
        assert_eq!(missing.reason, Reason::Failed);
        assert!(missing.detail.ends_with("is no regular file but a FIFO"), "{missing}");
        assert!(read("/dev/zero").unwrap_err().detail.contains("device"));
        assert!(read("/etc").unwrap_err().detail.contains("directory"));
        assert!(start.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn a_longer_file_is_refused_and_not_cut() {
        let scratch = Scratch::new("long");
        let path = scratch.path("file");
        std::fs::write(&path, vec![b'x'; LIMIT]).unwrap();
        assert_eq!(read(&path).unwrap().len(), LIMIT);
        std::fs::write(&path, vec![b'x'; LIMIT + 1]).unwrap();
        assert!(read(&path).unwrap_err().detail.contains("longer than"));
        assert_eq!(read(&scratch.path("none")).unwrap_err().reason, Reason::Absent);
    }

    #[test]
    fn tables_come_in_whole_lines() {
        let scratch = Scratch::new("lines");
        let path = scratch.path("table");
        let lines: Vec<String> = (0..100_000).map(|i| format!("line {i}")).collect();
        std::fs::write(&path, lines.join("\n")).unwrap();
        let (mut read, mut pieces) = (Vec::new(), 0);
        read_lines(&path, |piece| {
            pieces += 1;
            read.extend(String::from_utf8(piece.to_vec()).unwrap().lines().map(str::to_owned));
        })
        .unwrap();
        assert_eq!(read, lines);
        assert!(pieces > 1);
    }
}
