//! Apache httpd: `Listen`, with the files and blocks that count.
//!
//! From a real one (Debian 12, /etc/apache2/ports.conf):
//! ```text
//! Listen 80
//!
//! <IfModule ssl_module>
//!     Listen 443
//! </IfModule>
//! ```
//!
//! As httpd reads it (manual: "Listen", "Include", "IfModule", "IfDefine", "Define"): every `Listen [address:]port [protocol]`
//! counts; a port alone is every address of both families; names in any case, `\` at a line's end joins it with the next.
//! Includes are relative to `ServerRoot` (without one: the folder of the main file, as Debian builds it); a folder is read
//! whole. `<IfModule>` asks for modules that a `LoadModule` before it names, by identifier or by source file. `${NAME}` is a
//! `Define`, `-D`, or a variable of envvars. What stands in another conditional block (`<If>`, `<IfVersion>`, `<IfFile>`)
//! is not judged, and said.

use super::arguments::values;
use super::lexer::{Comment, Syntax, Token, lines};
use super::reading::{At, Reading, folder, join};
use super::settings::{address, endpoint, one, port};
use super::text::Text;
use super::{Files, Parsed, Start};
use std::collections::{BTreeMap, BTreeSet};
use unrefuse_facts::{ListenAddress, Origin, Protocol};

const SYNTAX: Syntax = Syntax {
    comment: Comment::LineStart,
    quotes: b"\"'",
    escapes: false,
    punctuation: b"",
    lines: true,
    joins: true,
    variables: true,
};

/// Whether what stands in a conditional block counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    Yes,
    No,
    Unclear,
}

struct Apache<'f> {
    reading: Reading<'f>,
    root: String,
    defines: BTreeMap<String, String>,
    modules: BTreeSet<String>,
    /// The conditional blocks that are open.
    conditions: Vec<(String, Counts)>,
}

/// Reads httpd.conf or apache2.conf with its includes.
pub(super) fn parse(start: &Start<'_>, files: &mut dyn Files) -> Parsed {
    let mut defines: BTreeMap<String, String> = start.variables.iter().cloned().collect();
    defines.extend(values(start.arguments, &["-D"]).into_iter().map(|given| (given.value, String::new())));
    let given_root = values(start.arguments, &["-d"]).pop().map(|given| given.value);
    let root = given_root.or_else(|| start.files.first().map(|main| folder(main).to_owned())).unwrap_or_default();
    let mut apache =
        Apache { reading: Reading::new(files), root, defines, modules: BTreeSet::new(), conditions: Vec::new() };
    for main in start.files {
        apache.file(main, None);
    }
    if apache.reading.out.listens.is_empty() && apache.reading.out.problems.is_empty() {
        let path = start.files.first().cloned().unwrap_or_default();
        apache.reading.problem(&path, None, "no Listen at all: httpd does not start so", false);
    }
    apache.reading.done()
}

impl Apache<'_> {
    fn file(&mut self, path: &str, at: Option<&At>) {
        let Some(text) = self.reading.text(path, at) else { return };
        let outside = self.conditions.len();
        self.reading.open(path);
        let (lines, faults) = lines(&text.bytes, SYNTAX);
        for line in &lines {
            self.line(&text, line, outside);
        }
        // An apostrophe in a line that no grammar here reads (a format, a rewrite rule) is no mistake of the file's.
        for fault in faults.iter().filter(|fault| speaks_of_listening(&text, fault.line)) {
            self.reading.fault(&text, fault);
        }
        self.reading.close();
        self.conditions.truncate(outside);
    }

    fn counts(&self) -> Counts {
        let all = || self.conditions.iter().map(|(_, counts)| *counts);
        if all().any(|counts| counts == Counts::No) {
            Counts::No
        } else if all().any(|counts| counts == Counts::Unclear) {
            Counts::Unclear
        } else {
            Counts::Yes
        }
    }

    fn line(&mut self, text: &Text, line: &[Token], outside: usize) {
        let [name, rest @ ..] = line else { return };
        if name.text.starts_with('<') {
            return self.block(line, outside);
        }
        let counts = self.counts();
        if counts == Counts::No {
            return;
        }
        let at = At { path: text.path.clone(), line: name.line };
        match (name.text.to_ascii_lowercase().as_str(), rest) {
            ("listen", [what, ..]) if counts == Counts::Unclear => {
                let why = format!("whether `Listen {}` counts depends on a condition that is not judged", what.text);
                self.reading.problem(&at.path, Some(at.line), why, true);
            }
            ("listen", [what, ..]) => self.listen(text, what),
            ("include" | "includeoptional", [what]) => {
                let optional = name.text.len() > "include".len();
                let Some(pattern) = self.expanded(&what.text, &at) else { return };
                self.include(&join(&self.root.clone(), &pattern), &at, optional);
            }
            ("serverroot", [what]) => self.root = self.expanded(&what.text, &at).unwrap_or_default(),
            ("define", [what]) => {
                self.defines.insert(what.text.clone(), String::new());
            }
            ("define", [what, value]) => {
                let value = self.expanded(&value.text, &at).unwrap_or_default();
                self.defines.insert(what.text.clone(), value);
            }
            ("undefine", [what]) => {
                self.defines.remove(&what.text);
            }
            ("loadmodule", [identifier, file]) => {
                self.modules.insert(identifier.text.clone());
                let object = file.text.rsplit('/').next().unwrap_or_default();
                self.modules.insert(object.replace(".so", ".c"));
            }
            _ => {}
        }
    }

    fn include(&mut self, pattern: &str, at: &At, optional: bool) {
        let trimmed = pattern.trim_end_matches('/');
        let found = self.reading.list(trimmed, Some(at));
        if found.is_empty() && !optional {
            // `Include` of a pattern that matches nothing keeps httpd from starting; `IncludeOptional` does not.
            self.reading.problem(&at.path, Some(at.line), format!("nothing matches {pattern}"), false);
        }
        for path in found {
            // A folder is read whole: what lies in it says that it is one.
            let inside = self.reading.list(&format!("{path}/*"), None);
            if inside.is_empty() && optional {
                self.optional(&path, at);
            } else if inside.is_empty() {
                self.file(&path, Some(at));
            }
            for path in inside {
                self.file(&path, Some(at));
            }
        }
    }

    fn optional(&mut self, path: &str, at: &At) {
        if self.reading.text_if_there(path, Some(at)).is_some() {
            self.file(path, Some(at));
        }
    }

    fn block(&mut self, line: &[Token], outside: usize) {
        // `<IfModule ssl_module>`, `< IfModule` is none.
        let words: Vec<&str> = line.iter().map(|word| word.text.as_str()).collect();
        let joined = words.join(" ");
        let inner = joined.trim_start_matches('<').trim_end_matches('>').trim();
        let (name, condition) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
        let name = name.to_ascii_lowercase();
        if let Some(closed) = name.strip_prefix('/') {
            if self.conditions.len() > outside && self.conditions.last().is_some_and(|(open, _)| open == closed) {
                self.conditions.pop();
            }
            return;
        }
        let (negated, what) = match condition.trim().strip_prefix('!') {
            Some(what) => (true, what.trim()),
            None => (false, condition.trim()),
        };
        let yes = |is: bool| if is == negated { Counts::No } else { Counts::Yes };
        let counts = match name.as_str() {
            // Built in everywhere: the core, and on Linux the module that loads others.
            "ifmodule" => {
                yes(self.modules.contains(what) || matches!(what, "core.c" | "mod_so.c" | "so_module" | "http_core.c"))
            }
            "ifdefine" => yes(self.defines.contains_key(what)),
            "if" | "ifversion" | "iffile" | "ifdirective" | "ifsection" | "else" | "elseif" => Counts::Unclear,
            _ => return,
        };
        if self.conditions.len() < 1000 {
            self.conditions.push((name, counts));
        }
    }

    fn listen(&mut self, text: &Text, what: &Token) {
        let at = At { path: text.path.clone(), line: what.line };
        let Some(value) = self.expanded(&what.text, &at) else { return };
        let (host, number) = endpoint(&value);
        let Some(port) = number.and_then(port) else {
            let why = format!("`Listen {value}` names no port");
            return self.reading.problem(&at.path, Some(at.line), why, true);
        };
        let address = host.map_or(ListenAddress::Any, address);
        let mut origin = text.origin(what.span.clone());
        if let Origin::Line(line) = &mut origin
            && value != what.text
        {
            // The value comes from a Define: it cannot be changed here.
            line.value = None;
        }
        self.reading.out.listens.push(one(address, None, port, Protocol::Tcp, origin));
    }

    /// The text with its `${NAME}`s replaced; `None`, said, where one is not known.
    fn expanded(&mut self, text: &str, at: &At) -> Option<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let end = rest[start..].find('}').map(|end| start + end)?;
            let name = &rest[start + 2..end];
            let Some(value) = self.defines.get(name) else {
                self.reading.problem(&at.path, Some(at.line), format!("${{{name}}} is not known"), true);
                return None;
            };
            out.push_str(&rest[..start]);
            out.push_str(value);
            rest = &rest[end + 1..];
        }
        out.push_str(rest);
        Some(out)
    }
}

fn speaks_of_listening(text: &Text, number: u32) -> bool {
    let line = text.lines().find(|(n, _, _)| *n == number).map_or(&b""[..], |(_, _, line)| line.trim_ascii_start());
    let starts = |word: &[u8]| line.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
    starts(b"listen") || starts(b"include")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tree, shown};

    const MAIN: &str = "/etc/apache2/apache2.conf";

    fn debian(modules: &[(&str, &str)]) -> Tree {
        let mut files = vec![
            (
                MAIN,
                "# ServerRoot\nPidFile ${APACHE_PID_FILE}\nIncludeOptional mods-enabled/*.load\nInclude ports.conf\nIncludeOptional sites-enabled/*.conf\nLogFormat \"%h it's\" x\nErrorLog don't\n",
            ),
            (
                "/etc/apache2/ports.conf",
                "Listen 80\n<IfModule ssl_module>\n\tListen 443 https\n</IfModule>\n<IfModule !mod_gnutls.c>\nListen 127.0.0.1:8080\n</IfModule>\n",
            ),
        ];
        files.extend(modules);
        Tree::of(&files)
    }

    #[test]
    fn modules_decide_what_counts() {
        let ssl = ("/etc/apache2/mods-enabled/ssl.load", "LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so\n");
        let gnutls = ("/etc/apache2/mods-enabled/gnutls.load", "LoadModule gnutls_module /usr/lib/mod_gnutls.so\n");
        let parsed = debian(&[ssl]).parse("apache", &[MAIN]);
        assert_eq!(parsed.problems, []);
        assert_eq!(
            shown(&parsed),
            [
                "*:80 /etc/apache2/ports.conf:1",
                "*:443 /etc/apache2/ports.conf:3",
                "127.0.0.1:8080 /etc/apache2/ports.conf:6"
            ]
        );
        assert_eq!(shown(&debian(&[gnutls]).parse("apache", &[MAIN])), ["*:80 /etc/apache2/ports.conf:1"]);
    }

    #[test]
    fn defines_and_roots() {
        let text = "ServerRoot \"/opt/httpd\"\nDefine PORT 81\nListen [::1]:${PORT}\n<IfDefine X>\nListen 82\n</IfDefine>\nInclude conf.d\nListen ${NONE}\n<If \"%{x}\">\nListen 84\n</If>\n";
        let tree = Tree::of(&[("/etc/h.conf", text), ("/opt/httpd/conf.d/a", "Listen 83\n")]);
        let parsed = tree.arguments("-k start -D X").parse("apache", &["/etc/h.conf"]);
        assert_eq!(shown(&parsed), ["[::1]:81 /etc/h.conf:3", "*:82 /etc/h.conf:5", "*:83 /opt/httpd/conf.d/a:1"]);
        assert_eq!(parsed.listens[0].address_from.origin.line().unwrap().value, None);
        assert_eq!(parsed.problems.iter().map(|p| p.line).collect::<Vec<_>>(), [Some(8), Some(10)]);
        let parsed = Tree::of(&[("/h", "Listen ${P}\n")]).variable("P", "85").parse("apache", &["/h"]);
        assert_eq!(shown(&parsed), ["*:85 /h:1"]);
    }

    #[test]
    fn a_file_that_is_not_there() {
        let parsed =
            Tree::of(&[("/h", "Include no.conf\nIncludeOptional no.conf\nIncludeOptional no/*.conf\nListen 80\n")])
                .parse("apache", &["/h"]);
        assert_eq!(parsed.problems.len(), 1);
        assert_eq!(
            (parsed.problems[0].line, parsed.problems[0].why.as_str()),
            (Some(1), "open /no.conf: no such file")
        );
    }
}
