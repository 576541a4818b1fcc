//! nginx.conf: `listen` in the server blocks of http, stream and mail.
//!
//! From a real one (Debian 12, sites-available/default):
//! ```text
//! server {
//!     listen 80 default_server;
//!     listen [::]:80 default_server;
//!     root /var/www/html;
//! }
//! ```
//!
//! As nginx reads it (src/core/ngx_conf_file.c; ngx_http_core_module, ngx_stream_core_module, ngx_mail_core_module): a port
//! alone is every IPv4 address; an address alone is port 80; `[::]` takes IPv6 only unless `ipv6only=off`; an http server
//! without `listen` has `*:80` where nginx runs as root, else `*:8000`. Includes are relative to the folder of the main
//! file; a pattern may match nothing.

use super::lexer::{Comment, Kind, Lexer, Syntax, Token};
use super::reading::{At, Reading, folder, join};
use super::settings::{ANY_V4, ANY_V6, address, endpoint, one, port};
use super::text::Text;
use super::{Files, Parsed, Start};
use unrefuse_facts::{ListenAddress, Origin, Protocol};

const SYNTAX: Syntax = Syntax {
    comment: Comment::WordStart,
    quotes: b"\"'",
    escapes: true,
    punctuation: b"{};",
    lines: false,
    joins: false,
    variables: true,
};

/// A block that is open.
struct Block {
    name: String,
    line: u32,
    /// A `listen` stands in it.
    listens: bool,
}

struct Nginx<'f> {
    reading: Reading<'f>,
    blocks: Vec<Block>,
    /// Where relative includes begin.
    base: String,
}

/// Reads nginx.conf with its includes.
pub(super) fn parse(start: &Start<'_>, files: &mut dyn Files) -> Parsed {
    let mut nginx = Nginx { reading: Reading::new(files), blocks: Vec::new(), base: String::new() };
    for main in start.files {
        nginx.base = folder(main).to_owned();
        nginx.file(main, None);
    }
    nginx.reading.done()
}

impl Nginx<'_> {
    fn file(&mut self, path: &str, at: Option<&At>) {
        let Some(text) = self.reading.text(path, at) else { return };
        let outside = self.blocks.len();
        self.reading.open(path);
        self.statements(&text, outside);
        self.reading.close();
        if let Some(block) = self.blocks.get(outside) {
            let (line, why) = (block.line, format!("the block `{}` has no end", block.name));
            self.reading.problem(path, Some(line), why, true);
            self.blocks.truncate(outside);
        }
    }

    fn statements(&mut self, text: &Text, outside: usize) {
        let mut lexer = Lexer::new(&text.bytes, SYNTAX);
        let mut words: Vec<Token> = Vec::new();
        loop {
            let token = match lexer.next() {
                Ok(Some(token)) => token,
                Ok(None) => break,
                Err(fault) => return self.reading.fault(text, &fault),
            };
            match token.kind {
                Kind::Word => words.push(token),
                Kind::Punctuation(b';') => {
                    self.statement(text, &words);
                    words.clear();
                }
                Kind::Punctuation(b'{') => {
                    let name = words.first().map_or(String::new(), |word| word.text.clone());
                    if name.ends_with("_by_lua_block") {
                        match lua_end(&text.bytes, lexer.position().0) {
                            Some(end) => lexer.skip_to(end),
                            None => {
                                let why = format!("the block `{name}` has no end");
                                return self.reading.problem(&text.path, Some(token.line), why, true);
                            }
                        }
                    } else {
                        self.blocks.push(Block { name, line: token.line, listens: false });
                    }
                    words.clear();
                }
                Kind::Punctuation(_) => {
                    if let Some(word) = words.first() {
                        let why = format!("`{}` is not ended by `;`", word.text);
                        self.reading.problem(&text.path, Some(word.line), why, true);
                        words.clear();
                    }
                    if self.blocks.len() <= outside {
                        return self.reading.problem(&text.path, Some(token.line), "unexpected `}`", true);
                    }
                    self.end_of_block(text);
                }
                Kind::LineEnd => {}
            }
        }
        if let Some(word) = words.first() {
            let why = format!("`{}` is not ended by `;`", word.text);
            self.reading.problem(&text.path, Some(word.line), why, true);
        }
    }

    fn end_of_block(&mut self, text: &Text) {
        let Some(block) = self.blocks.pop() else { return };
        let http = self.blocks.last().is_none_or(|outer| outer.name == "http");
        if block.name == "server" && http && !block.listens {
            let origin = Origin::Default(format!("the server block at {}:{} has no `listen`", text.path, block.line));
            self.reading.out.listens.push(one(ANY_V4, None, 80, Protocol::Tcp, origin));
        }
    }

    fn statement(&mut self, text: &Text, words: &[Token]) {
        let [name, rest @ ..] = words else { return };
        match (name.text.as_str(), rest) {
            ("include", [pattern]) => {
                let at = At { path: text.path.clone(), line: name.line };
                let pattern = join(&self.base, &pattern.text);
                for path in self.reading.list(&pattern, Some(&at)) {
                    self.file(&path, Some(&at));
                }
            }
            ("listen", [what, options @ ..]) => self.listen(text, what, options),
            _ => {}
        }
    }

    /// A `listen` counts in a server block that is not one of an upstream; alone in a file it is taken, too.
    fn listen(&mut self, text: &Text, what: &Token, options: &[Token]) {
        let Some(block) = self.blocks.last_mut().filter(|block| block.name == "server") else { return };
        block.listens = true;
        let stream = self.blocks.iter().rev().nth(1).is_some_and(|outer| outer.name != "http");
        let has = |word: &str| options.iter().any(|option| option.text == word);
        let protocol = if has("udp") || has("quic") { Protocol::Udp } else { Protocol::Tcp };
        let origin = text.origin(what.span.clone());
        if let Some(path) = what.text.strip_prefix("unix:") {
            let path = ListenAddress::Unix(path.to_owned());
            return self.reading.out.listens.push(one(path, None, 0, Protocol::Unix, origin));
        }
        let (host, number) = endpoint(&what.text);
        let address = match host.map(address) {
            None | Some(ListenAddress::Any) => ANY_V4,
            Some(address) => address,
        };
        let v6only = (address == ANY_V6).then(|| !has("ipv6only=off"));
        let Some((first, last)) = number.map_or((!stream).then_some((80, 80)), range) else {
            let why = format!("`{}` is no port to listen on", what.text);
            return self.reading.problem(&text.path, Some(what.line), why, false);
        };
        for port in first..=last {
            self.reading.out.listens.push(one(address.clone(), v6only, port, protocol, origin.clone()));
        }
    }
}

/// `80` or `8000-8010`.
fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some((first, last))
}

/// The end of a block of Lua, behind its closing brace; `at` stands behind the opening one.
///
/// Braces in strings, long strings and comments do not count (Lua 5.1 reference manual 2.1; lua-nginx-module's own lexer).
fn lua_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 1_u32;
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        at += match byte {
            b'{' => {
                depth += 1;
                1
            }
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
                1
            }
            b'\'' | b'"' => lua_string(rest),
            b'-' if rest.starts_with(b"--") => match long_bracket(&rest[2..]) {
                Some(length) => 2 + length,
                None => memchr::memchr(b'\n', rest).unwrap_or(rest.len()),
            },
            b'[' => long_bracket(rest).unwrap_or(1),
            _ => 1,
        };
    }
    None
}

fn lua_string(rest: &[u8]) -> usize {
    let mut at = 1;
    while let Some(&byte) = rest.get(at) {
        match byte {
            b'\\' => at += 2,
            b'\n' => return at,
            _ if byte == rest[0] => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of `[[ … ]]`, `[==[ … ]==]`.
fn long_bracket(rest: &[u8]) -> Option<usize> {
    let level = rest.get(1..)?.iter().take_while(|&&b| b == b'=').count();
    if rest.first() != Some(&b'[') || rest.get(level + 1) != Some(&b'[') {
        return None;
    }
    let close: Vec<u8> = [&b"]"[..], &b"=".repeat(level), b"]"].concat();
    let found = memchr::memmem::find(&rest[level + 2..], &close);
    Some(found.map_or(rest.len(), |end| level + 2 + end + close.len()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tree, shown};

    #[test]
    fn servers_with_their_lines() {
        let tree = Tree::of(&[
            (
                "/etc/nginx/nginx.conf",
                "events {}\nhttp {\n  include mime.types;\n  include sites/*;\n  upstream a { server 1.2.3.4:80; }\n}\nstream {\n  server { listen 53 udp; }\n}\n",
            ),
            ("/etc/nginx/mime.types", "types { text/html html; }\n"),
            (
                "/etc/nginx/sites/a",
                "server {\n  listen 127.0.0.1:8080 default_server; # x\n  listen [::]:80;\n  listen [::]:81 ipv6only=off;\n  listen localhost:82;\n  listen unix:/run/n;\n  listen 10.0.0.1;\n}\n",
            ),
            ("/etc/nginx/sites/b", "server { server_name b; }\n"),
        ]);
        let parsed = tree.parse("nginx", &["/etc/nginx/nginx.conf"]);
        assert_eq!(parsed.problems, []);
        assert_eq!(
            shown(&parsed),
            [
                "127.0.0.1:8080 /etc/nginx/sites/a:2",
                "[::]:80 /etc/nginx/sites/a:3",
                "[::]:81 /etc/nginx/sites/a:4",
                "localhost:82 /etc/nginx/sites/a:5",
                "/run/n /etc/nginx/sites/a:6",
                "10.0.0.1:80 /etc/nginx/sites/a:7",
                "0.0.0.0:80 default",
                "0.0.0.0:53/udp /etc/nginx/nginx.conf:8",
            ]
        );
        assert_eq!(parsed.listens[1].v6only, Some(true));
        assert_eq!(parsed.listens[2].v6only, Some(false));
        let line = parsed.listens[0].address_from.origin.line().unwrap();
        assert_eq!(line.with_value("80").unwrap(), "  listen 80 default_server; # x");
        assert_eq!(parsed.files.len(), 4);
    }

    #[test]
    fn what_does_not_parse_is_said_with_its_line() {
        for (text, line, why) in [
            ("http {\n server {\n listen 80\n }\n}\n", 3, "`listen` is not ended by `;`"),
            ("http {\n", 1, "the block `http` has no end"),
            ("a;\n}\n", 2, "unexpected `}`"),
            ("a 'b;\n", 1, "a quoted text has no end"),
            ("include x.conf;\n", 1, "open /e/x.conf: no such file"),
        ] {
            let parsed = Tree::of(&[("/e/nginx.conf", text)]).parse("nginx", &["/e/nginx.conf"]);
            assert_eq!((parsed.problems[0].line, parsed.problems[0].why.as_str()), (Some(line), why));
            assert!(parsed.problems[0].hides);
        }
    }

    #[test]
    fn lua_may_hold_braces_and_quotes() {
        let text =
            "http { server {\n content_by_lua_block {\n -- it's {\n x = '}' .. [[ } ]] t = { }\n }\n listen 81;\n} }";
        assert_eq!(shown(&Tree::of(&[("/e/n", text)]).parse("nginx", &["/e/n"])), ["0.0.0.0:81 /e/n:6"]);
    }

    #[test]
    fn a_file_that_includes_itself_ends() {
        let parsed = Tree::of(&[("/e/n", "include n;")]).parse("nginx", &["/e/n"]);
        assert_eq!(parsed.problems[0].why, "/e/n includes itself");
    }
}
