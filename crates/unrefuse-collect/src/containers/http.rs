//! HTTP/1.1 over a unix socket, for a few small questions to a server on this machine that may be broken or hostile.
//!
//! Questions are sent at once and answered in their order on the same connection (RFC 9112, 9.3.2). Everything has a
//! bound: the time, the head, each body.

use crate::live::missing::missing;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use unrefuse_facts::{Missing, Reason, text::from_bytes};

/// A head with more than this is not one of an engine.
const LONGEST_HEAD: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
/// A line with the size of a chunk.
const LONGEST_CHUNK_LINE: usize = 1024;

/// A connection.
pub(super) struct Client {
    stream: UnixStream,
    /// Read and not used yet.
    buffer: Vec<u8>,
    path: String,
    started: Instant,
    until: Instant,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    /// The header `Server`.
    pub(super) server: Option<Vec<u8>>,
    pub(super) body: Vec<u8>,
}

/// How the length of a body is told (RFC 9112, 6.3).
enum Framing {
    Length(usize),
    Chunked,
    /// Until the end of the connection.
    Close,
}

impl Client {
    /// Connects by `until`.
    pub(super) fn connect(path: &str, until: Instant) -> Result<Self, Missing> {
        let what = format!("connect {path}");
        let failed = |e| missing(&what, e);
        let started = Instant::now();
        let address = SocketAddrUnix::new(path).map_err(failed)?;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let socket = socket.map_err(failed)?;
        // Where too many connections wait, connect(2) waits as long as it may send (unix(7), socket(7)).
        set_socket_timeout(&socket, Timeout::Send, Some(left(until, &what, started)?)).map_err(failed)?;
        rustix::net::connect(&socket, &address).map_err(|e| match e {
            // The file of a listener that is gone.
            Errno::CONNREFUSED => Missing { reason: Reason::Absent, ..failed(e) },
            e => failed(e),
        })?;
        Ok(Self { stream: socket.into(), buffer: Vec::new(), path: path.to_owned(), started, until })
    }

    /// Asks for each path; the answers are read with [`Client::answer`].
    pub(super) fn ask<'a>(&mut self, paths: impl IntoIterator<Item = &'a str>) -> Result<(), Missing> {
        let mut text = String::new();
        for path in paths {
            text += &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: unrefuse\r\n\r\n");
        }
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let left = left(self.until, &self.path, self.started)?;
            let written = self.stream.set_write_timeout(Some(left)).and_then(|()| self.stream.write(rest));
            match written {
                Ok(written) => rest = &rest[written..],
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed("write", &e)),
            }
        }
        Ok(())
    }

    /// The next answer; a body of more than `limit` bytes is a failure, and the end of this connection.
    pub(super) fn answer(&mut self, limit: usize) -> Result<Answer, Missing> {
        loop {
            let (status, server, framing) = self.head()?;
            // An interim answer comes before the one that counts.
            if (100..200).contains(&status) {
                continue;
            }
            let body = match framing {
                _ if matches!(status, 204 | 304) => Vec::new(),
                Framing::Length(length) if length > limit => return Err(self.too_long(limit)),
                Framing::Length(length) => self.take(length)?,
                Framing::Chunked => self.chunks(limit)?,
                Framing::Close => {
                    while self.buffer.len() <= limit {
                        if self.more()? == 0 {
                            return Ok(Answer { status, server, body: std::mem::take(&mut self.buffer) });
                        }
                    }
                    return Err(self.too_long(limit));
                }
            };
            return Ok(Answer { status, server, body });
        }
    }

    fn head(&mut self) -> Result<(u16, Option<Vec<u8>>, Framing), Missing> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
            let mut head = httparse::Response::new(&mut headers);
            match head.parse(&self.buffer) {
                Ok(httparse::Status::Complete(length)) => {
                    let value = |name: &str| {
                        let named = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
                        named.map(|header| header.value)
                    };
                    let chunked = value("Transfer-Encoding").is_some_and(|v| v.eq_ignore_ascii_case(b"chunked"));
                    let framing = match value("Content-Length") {
                        _ if chunked => Framing::Chunked,
                        None => Framing::Close,
                        Some(length) => {
                            let length = std::str::from_utf8(length).ok().and_then(|length| length.trim().parse().ok());
                            Framing::Length(length.ok_or_else(|| self.garbage("no length"))?)
                        }
                    };
                    let found = (head.code.unwrap_or(0), value("Server").map(<[u8]>::to_vec), framing);
                    self.buffer.drain(..length);
                    return Ok(found);
                }
                Ok(httparse::Status::Partial) if self.buffer.len() > LONGEST_HEAD => {
                    return Err(self.garbage("a head without end"));
                }
                Ok(httparse::Status::Partial) => self.expect_more()?,
                Err(error) => return Err(self.garbage(&error.to_string())),
            }
        }
    }

    /// A body in chunks (RFC 9112, 7.1).
    fn chunks(&mut self, limit: usize) -> Result<Vec<u8>, Missing> {
        let mut body = Vec::new();
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((head, size))) => {
                    let size = usize::try_from(size).ok().filter(|size| size.saturating_add(body.len()) <= limit);
                    let Some(size) = size else { return Err(self.too_long(limit)) };
                    self.buffer.drain(..head);
                    if size == 0 {
                        return self.trailers().map(|()| body);
                    }
                    let chunk = self.take(size + 2)?;
                    if !chunk.ends_with(b"\r\n") {
                        return Err(self.garbage("a chunk without end"));
                    }
                    body.extend_from_slice(&chunk[..size]);
                }
                Ok(httparse::Status::Partial) if self.buffer.len() > LONGEST_CHUNK_LINE => {
                    return Err(self.garbage("a chunk without size"));
                }
                Ok(httparse::Status::Partial) => self.expect_more()?,
                Err(_) => return Err(self.garbage("a chunk without size")),
            }
        }
    }

    /// Whatever fields follow the last chunk, up to the empty line.
    fn trailers(&mut self) -> Result<(), Missing> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
            match httparse::parse_headers(&self.buffer, &mut headers) {
                Ok(httparse::Status::Complete((length, _))) => {
                    self.buffer.drain(..length);
                    return Ok(());
                }
                Ok(httparse::Status::Partial) if self.buffer.len() <= LONGEST_HEAD => self.expect_more()?,
                _ => return Err(self.garbage("fields after the last chunk")),
            }
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, Missing> {
        while self.buffer.len() < length {
            self.expect_more()?;
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    fn expect_more(&mut self) -> Result<(), Missing> {
        match self.more()? {
            0 => Err(self.garbage("the connection ended early")),
            _ => Ok(()),
        }
    }

    /// Reads what is there, waiting until the deadline for the first byte.
    fn more(&mut self) -> Result<usize, Missing> {
        let mut piece = [0; 16 * 1024];
        loop {
            let left = left(self.until, &self.path, self.started)?;
            let read = self.stream.set_read_timeout(Some(left)).and_then(|()| self.stream.read(&mut piece));
            match read {
                Ok(length) => {
                    self.buffer.extend_from_slice(&piece[..length]);
                    return Ok(length);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed("read", &e)),
            }
        }
    }

    fn failed(&self, operation: &str, error: &std::io::Error) -> Missing {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => late(&self.path, self.started),
            _ => Missing::new(Reason::Failed, format!("{operation} {}: {error}", self.path)),
        }
    }

    fn garbage(&self, what: &str) -> Missing {
        let begins = from_bytes(&self.buffer[..self.buffer.len().min(32)]);
        Missing::new(Reason::Failed, format!("{}: no answer in HTTP ({what}): {begins:?}", self.path))
    }

    fn too_long(&self, limit: usize) -> Missing {
        Missing::new(Reason::Failed, format!("{}: an answer of more than {limit} bytes", self.path))
    }
}

/// The time that is left; none is an error.
fn left(until: Instant, path: &str, started: Instant) -> Result<Duration, Missing> {
    // A time-out shorter than the kernel's tick would be none at all.
    let left = until.saturating_duration_since(Instant::now());
    if left < Duration::from_millis(1) { Err(late(path, started)) } else { Ok(left) }
}

fn late(path: &str, started: Instant) -> Missing {
    let path = path.trim_start_matches("connect ");
    let waited = started.elapsed().as_millis();
    Missing::new(Reason::TimedOut, format!("{path}: the engine said nothing for {waited} ms"))
        .remedy("ask again with a longer --deadline, and look at the engine's own log")
}
