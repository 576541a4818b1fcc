//! Reading files that others wrote: bounded, and never hanging on something that is not a file.

use super::missing::missing;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use unrefuse_facts::{Missing, Reason};

/// Configuration files and small /proc files are read up to this many bytes.
pub(super) const LIMIT: usize = 1 << 20;

/// Opens a regular file for reading.
///
/// `O_NONBLOCK` keeps open(2) from waiting for a FIFO's writer or a device; whatever is no regular file is then
/// refused by its type, so a FIFO or device in the place of a file costs nothing (open(2), fifo(7)).
pub(super) fn open(path: &str) -> Result<OwnedFd, Missing> {
    let what = || format!("open {path}");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|e| missing(&what(), e))?;
    let stat = rustix::fs::fstat(&file).map_err(|e| missing(&what(), e))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(file),
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
pub(super) fn read(path: &str) -> Result<Vec<u8>, Missing> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    fill(&file, &mut bytes, LIMIT + 1).map_err(|e| missing(&format!("read {path}"), e))?;
    if bytes.len() > LIMIT {
        return Err(Missing::new(Reason::Failed, format!("{path} is longer than {LIMIT} bytes")));
    }
    Ok(bytes)
}

/// Reads until the end of the file or until `bytes` holds `limit`; what is past the limit stays unread.
pub(super) fn fill(file: impl AsFd, bytes: &mut Vec<u8>, limit: usize) -> Result<(), Errno> {
    let mut step = 4096;
    while bytes.len() < limit {
        let wanted = step.min(limit - bytes.len());
        bytes.reserve(wanted);
        match rustix::io::read(&file, rustix::buffer::spare_capacity(bytes)) {
            Ok(0) => break,
            Ok(_) => step = (step * 2).min(1 << 18),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(limit);
    Ok(())
}

/// Reads a file in pieces that end at line ends, so that a table of any size needs little memory.
///
/// A line longer than a piece is cut there; the tables of /proc/net have none.
pub(super) fn read_lines(path: &str, mut each: impl FnMut(&[u8])) -> Result<(), Missing> {
    const PIECE: usize = 1 << 18;
    let file = open(path)?;
    let mut bytes = Vec::with_capacity(PIECE);
    loop {
        let before = bytes.len();
        // One read at a time: /proc/net gives a page or a few per call, and a short read is not the end.
        fill_once(&file, &mut bytes, PIECE).map_err(|e| missing(&format!("read {path}"), e))?;
        if bytes.len() == before {
            break;
        }
        if bytes.len() < PIECE {
            continue;
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

fn fill_once(file: &OwnedFd, bytes: &mut Vec<u8>, limit: usize) -> Result<(), Errno> {
    let before = bytes.len();
    while bytes.len() < limit {
        let mut piece = [0; 16384];
        let room = piece.len().min(limit - bytes.len());
        match rustix::io::read(file, &mut piece[..room]) {
            Ok(read) => {
                bytes.extend_from_slice(&piece[..read]);
                break;
            }
            Err(Errno::INTR) => {}
            Err(e) => {
                bytes.truncate(before);
                return Err(e);
            }
        }
    }
    Ok(())
}
