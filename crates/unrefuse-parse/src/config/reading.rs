//! One run over a configuration: files opened through the caller, bounded, with what went wrong.

use super::lexer::Fault;
use super::text::Text;
use super::{Files, Parsed};
use std::rc::Rc;
use unrefuse_facts::text::{clip, visible};
use unrefuse_facts::{ConfigProblem, Missing, Reason};

/// Files in all: nginx, Apache and Dovecot together have some hundred.
const MOST_FILES: usize = 512;
/// Bytes in all.
const MOST_BYTES: usize = 16 << 20;
/// Includes within includes: HAProxy and MySQL allow 10, Apache 20, Postgres 10, sshd 16.
const DEEPEST: usize = 20;
/// Problems kept.
const MOST_PROBLEMS: usize = 50;
/// Addresses and ports kept.
const MOST_LISTENS: usize = 1000;

/// A configuration that is being read.
pub(crate) struct Reading<'f> {
    files: &'f mut dyn Files,
    pub(crate) out: Parsed,
    /// The files that are being read, the outermost first.
    open: Vec<String>,
    bytes: usize,
}

/// The statement that names a file.
#[derive(Debug, Clone)]
pub(crate) struct At {
    pub(crate) path: String,
    pub(crate) line: u32,
}

impl<'f> Reading<'f> {
    pub(crate) fn new(files: &'f mut dyn Files) -> Self {
        Self { files, out: Parsed::default(), open: Vec::new(), bytes: 0 }
    }

    /// What was read, bounded.
    pub(crate) fn done(mut self) -> Parsed {
        if self.out.listens.len() > MOST_LISTENS {
            self.out.listens.truncate(MOST_LISTENS);
            let path = self.out.files.first().cloned().unwrap_or_default();
            self.problem(&path, None, format!("more than {MOST_LISTENS} addresses: the rest is left out"), true);
        }
        self.out
    }

    /// Something that could not be read or understood.
    pub(crate) fn problem(&mut self, path: &str, line: Option<u32>, why: impl Into<String>, hides: bool) {
        let why = clip(&visible(&why.into()), 300);
        let problem = ConfigProblem { path: path.to_owned(), line, why, remedy: None, hides };
        if self.out.problems.len() < MOST_PROBLEMS && !self.out.problems.contains(&problem) {
            self.out.problems.push(problem);
        }
    }

    /// A line that is no statement of the format: the service would not start with it.
    pub(crate) fn fault(&mut self, text: &Text, fault: &Fault) {
        self.problem(&text.path, Some(fault.line), fault.why, true);
    }

    fn missing(&mut self, path: &str, at: Option<&At>, missing: &Missing) {
        let problem = ConfigProblem {
            path: at.map_or(path, |at| &at.path).to_owned(),
            line: at.map(|at| at.line),
            why: missing.detail.clone(),
            remedy: missing.remedy.clone(),
            hides: true,
        };
        if self.out.problems.len() < MOST_PROBLEMS && !self.out.problems.contains(&problem) {
            self.out.problems.push(problem);
        }
    }

    /// A file's text, or a problem. `at` is the statement that names it; none for a main file.
    pub(crate) fn text(&mut self, path: &str, at: Option<&At>) -> Option<Rc<Text>> {
        match self.read(path) {
            Ok(text) => Some(text),
            Err(missing) => {
                self.missing(path, at, &missing);
                None
            }
        }
    }

    /// The same where a file that is not there is no problem.
    pub(crate) fn text_if_there(&mut self, path: &str, at: Option<&At>) -> Option<Rc<Text>> {
        match self.read(path) {
            Ok(text) => Some(text),
            Err(missing) if missing.reason == Reason::Absent => None,
            Err(missing) => {
                self.missing(path, at, &missing);
                None
            }
        }
    }

    fn read(&mut self, path: &str) -> Result<Rc<Text>, Missing> {
        let failed = |why: String| Err(Missing::new(Reason::Failed, why));
        if self.open.iter().any(|open| open == path) {
            return failed(format!("{path} includes itself"));
        }
        if self.open.len() >= DEEPEST {
            return failed(format!("{path}: more than {DEEPEST} includes within each other"));
        }
        if self.out.files.len() >= MOST_FILES || self.bytes >= MOST_BYTES {
            return failed(format!("{path}: not read, after {MOST_FILES} files or {} MB", MOST_BYTES >> 20));
        }
        let bytes = self.files.read(path)?;
        if memchr::memchr(0, &bytes).is_some() {
            return failed(format!("{path} is no text: it holds NUL bytes (UTF-16, or a binary file)"));
        }
        self.bytes += bytes.len();
        if !self.out.files.iter().any(|known| known == path) {
            self.out.files.push(path.to_owned());
        }
        Ok(Rc::new(Text::new(path, bytes)))
    }

    /// A file is being read: includes that come back to it are found.
    pub(crate) fn open(&mut self, path: &str) {
        self.open.push(path.to_owned());
    }

    /// It was read.
    pub(crate) fn close(&mut self) {
        self.open.pop();
    }

    /// The paths that match; a path without pattern is itself, whether or not it is there.
    pub(crate) fn list(&mut self, pattern: &str, at: Option<&At>) -> Vec<String> {
        if !super::glob::is_pattern(pattern) {
            return vec![pattern.to_owned()];
        }
        match self.files.list(pattern) {
            Ok(paths) => paths,
            Err(missing) => {
                self.missing(pattern, at, &missing);
                Vec::new()
            }
        }
    }
}

/// `path` as seen from the folder `base`.
pub(crate) fn join(base: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    format!("{}/{path}", base.trim_end_matches('/'))
}

/// The folder that a file lies in.
pub(crate) fn folder(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((folder, _)) => folder,
    }
}
