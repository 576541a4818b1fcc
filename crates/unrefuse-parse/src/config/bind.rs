//! BIND's named.conf: `listen-on`, `listen-on-v6`, `port`, and the `inet` lines of `controls` and `statistics-channels`.
//!
//! From a real one (Debian 12, named.conf.options):
//! ```text
//! options {
//!     directory "/var/cache/bind";
//!     listen-on-v6 { any; };
//! };
//! ```
//!
//! As named 9.18 reads it (lib/isccfg/namedconf.c, bin/named/server.c; named.conf(5)): statements end in `;`, lists stand in
//! braces; `//`, `#` and `/* */` are comments. Each `listen-on` adds a port with the machine's addresses that its list takes;
//! without one it is every address of the family. `-4` and `-6` leave the other family out, `-p` is the port of what names
//! none. UDP and TCP alike; what has `tls` or `http` is TCP only, at a default of its own. Which addresses a network, an acl
//! or a negation takes is not worked out.

use super::arguments::{flag, values};
use super::lexer::{Comment, Fault, Kind, Lexer, Syntax, Token};
use super::reading::{At, Reading, folder, join};
use super::settings::{ANY_V4, ANY_V6, Said, address, one, port};
use super::text::Text;
use super::{Files, Parsed, Start};
use std::borrow::Cow;
use unrefuse_facts::{ConfiguredListen, ListenAddress, Origin, Protocol, Setting};

const SYNTAX: Syntax = Syntax {
    comment: Comment::Anywhere,
    quotes: b"\"",
    escapes: false,
    punctuation: b"{};",
    lines: false,
    joins: false,
    variables: false,
};

/// A view with a zone with a list within a list is five.
const DEEPEST: usize = 50;

/// A block that is open: the words before it, and, where it is a list of addresses, what stands in it.
struct Block {
    words: Vec<Token>,
    elements: Vec<Vec<Token>>,
    line: u32,
}

impl Block {
    fn is_list(&self) -> bool {
        self.words.first().is_some_and(|name| matches!(name.text.as_str(), "listen-on" | "listen-on-v6"))
    }
}

/// An address of a list.
type Element = Said<ListenAddress>;

/// One `listen-on`.
struct List {
    v6: bool,
    /// Those that it takes; empty where it takes none.
    addresses: Vec<Element>,
    /// Where it says so.
    origin: Origin,
    port: Option<Said<u16>>,
    protocols: &'static [Protocol],
}

struct Bind<'f> {
    reading: Reading<'f>,
    blocks: Vec<Block>,
    lists: Vec<List>,
    port: Said<u16>,
    /// Where relative includes begin.
    base: String,
}

/// Reads named.conf with its includes, and the command line.
pub(super) fn parse(start: &Start<'_>, files: &mut dyn Files) -> Parsed {
    let port_53 = Said::new(53, Origin::Default("BIND's port is 53".to_owned()));
    let mut bind = Bind {
        reading: Reading::new(files),
        blocks: Vec::new(),
        lists: Vec::new(),
        port: port_53,
        base: String::new(),
    };
    for main in start.files {
        bind.base = folder(main).to_owned();
        bind.file(main, None);
    }
    for given in values(start.arguments, &["-p"]) {
        if let Some(port) = port(given.value.strip_prefix("dns=").unwrap_or(&given.value)) {
            bind.port = Said::new(port, given.origin);
        }
    }
    let only = |option: &str| flag(start.arguments, &[option]).is_some();
    bind.finish(!only("-6"), !only("-4"))
}

impl Bind<'_> {
    fn file(&mut self, path: &str, at: Option<&At>) {
        let Some(text) = self.reading.text(path, at) else { return };
        let outside = self.blocks.len();
        self.reading.open(path);
        let read = self.statements(&text, outside);
        self.reading.close();
        if let Err(fault) = read {
            self.reading.fault(&text, &fault);
        } else if let Some(block) = self.blocks.get(outside) {
            let fault = Fault { line: block.line, why: "`{` without `}`" };
            self.reading.fault(&text, &fault);
        }
        self.blocks.truncate(outside);
    }

    fn statements(&mut self, text: &Text, outside: usize) -> Result<(), Fault> {
        let bytes = without_comments(&text.bytes)?;
        let mut lexer = Lexer::new(&bytes, SYNTAX);
        let mut words: Vec<Token> = Vec::new();
        // The list that the statement holds.
        let mut list = None;
        while let Some(token) = lexer.next()? {
            match token.kind {
                Kind::Word => words.push(token),
                Kind::Punctuation(b'{') if self.blocks.len() >= DEEPEST => {
                    return Err(Fault { line: token.line, why: "too many blocks within each other" });
                }
                Kind::Punctuation(b'{') => {
                    self.blocks.push(Block {
                        words: std::mem::take(&mut words),
                        elements: Vec::new(),
                        line: token.line,
                    });
                }
                Kind::Punctuation(b';') => {
                    self.statement(text, &words, list.take());
                    match self.blocks.last_mut().filter(|block| block.is_list()) {
                        Some(block) => block.elements.push(std::mem::take(&mut words)),
                        None => words.clear(),
                    }
                }
                Kind::Punctuation(_) => {
                    if !words.is_empty() {
                        return Err(Fault { line: token.line, why: "missing `;` before `}`" });
                    }
                    if self.blocks.len() <= outside {
                        return Err(Fault { line: token.line, why: "unexpected `}`" });
                    }
                    // The statement goes on behind it: `inet * port 53 allow { … } keys { … };`
                    if let Some(mut block) = self.blocks.pop() {
                        words = std::mem::take(&mut block.words);
                        list = Some(block);
                    }
                    if self.blocks.last().is_some_and(Block::is_list) {
                        words.push(Token { kind: Kind::Word, text: "a list within the list".to_owned(), ..token });
                    }
                }
                Kind::LineEnd => {}
            }
        }
        match words.first() {
            Some(word) => Err(Fault { line: word.line, why: "missing `;` at the end of the file" }),
            None => Ok(()),
        }
    }

    fn statement(&mut self, text: &Text, words: &[Token], list: Option<Block>) {
        let [name, rest @ ..] = words else { return };
        let within: Vec<&str> =
            self.blocks.iter().map(|block| block.words.first().map_or("", |word| word.text.as_str())).collect();
        match (within.as_slice(), name.text.as_str(), rest) {
            // `include` stands where a statement can.
            (_, "include", [path]) => {
                let at = At { path: text.path.clone(), line: name.line };
                let path = join(&self.base, &path.text);
                for path in self.reading.list(&path, Some(&at)) {
                    self.file(&path, Some(&at));
                }
            }
            (["options"], "port", [number]) => {
                if let Some(number_of) = self.number(text, number) {
                    self.port = number_of;
                }
            }
            (["options"], "listen-on" | "listen-on-v6", options) => {
                let Some(block) = list else { return };
                let list = self.list(text, name, options, &block);
                self.lists.push(list);
            }
            (["controls"], "inet", [address, options @ ..]) => self.inet(text, address, options, 953),
            (["statistics-channels"], "inet", [address, options @ ..]) => self.inet(text, address, options, 80),
            _ => {}
        }
    }

    /// The port of a word; a problem where it is none.
    fn number(&mut self, text: &Text, word: &Token) -> Option<Said<u16>> {
        let number = port(&word.text);
        if number.is_none() {
            self.reading.problem(&text.path, Some(word.line), format!("`{}` is no port", word.text), true);
        }
        Some(Said::new(number?, text.origin(word.span.clone())))
    }

    fn list(&mut self, text: &Text, name: &Token, options: &[Token], block: &Block) -> List {
        let after = |option: &str| options.iter().skip_while(|word| word.text != option).nth(1);
        let (tls, http) = (after("tls").is_some_and(|name| name.text != "none"), after("http").is_some());
        let port = match after("port") {
            Some(word) => self.number(text, word),
            None if tls || http => {
                let port = if !tls {
                    80
                } else if http {
                    443
                } else {
                    853
                };
                let why = format!("BIND's port of what has `tls` or `http` is {port} here");
                Some(Said::new(port, Origin::Default(why)))
            }
            None => None,
        };
        let v6 = name.text == "listen-on-v6";
        List {
            v6,
            addresses: elements(text, block, v6),
            origin: block
                .elements
                .first()
                .and_then(|element| element.first())
                .map_or_else(|| text.origin(name.span.clone()), |first| text.origin(first.span.clone())),
            port,
            protocols: if tls || http { &[Protocol::Tcp] } else { &[Protocol::Udp, Protocol::Tcp] },
        }
    }

    fn inet(&mut self, text: &Text, at: &Token, options: &[Token], default: u16) {
        let number = options.iter().skip_while(|word| word.text != "port").nth(1);
        let port = match number {
            Some(word) => self.number(text, word),
            None => Some(Said::new(default, Origin::Default(format!("BIND's port here is {default}")))),
        };
        let address = if at.text == "*" { ANY_V4 } else { address(&at.text) };
        let Some(port) = port else { return };
        let mut listen = one(address, None, port.value, Protocol::Tcp, text.origin(at.span.clone()));
        listen.port_from = Setting::from(port.origin);
        self.reading.out.listens.push(listen);
    }

    fn finish(mut self, v4: bool, v6: bool) -> Parsed {
        for (family, wanted) in [(false, v4), (true, v6)] {
            if wanted && !self.lists.iter().any(|list| list.v6 == family) {
                let name = if family { "listen-on-v6" } else { "listen-on" };
                let origin = Origin::Default(format!("without `{name}` BIND listens on every address of the family"));
                let any = if family { ANY_V6 } else { ANY_V4 };
                self.lists.push(List {
                    v6: family,
                    addresses: vec![Said::new(any, origin.clone())],
                    origin,
                    port: None,
                    protocols: &[Protocol::Udp, Protocol::Tcp],
                });
            }
        }
        self.lists.retain(|list| if list.v6 { v6 } else { v4 });
        let out = &mut self.reading.out;
        for list in &self.lists {
            let port = list.port.as_ref().unwrap_or(&self.port);
            let none = [Said::new(ListenAddress::Listed { v6: list.v6, by: None }, list.origin.clone())];
            let addresses = if list.addresses.is_empty() { &none[..] } else { &list.addresses };
            for (element, protocol) in addresses.iter().flat_map(|e| list.protocols.iter().map(move |p| (e, *p))) {
                out.listens.push(ConfiguredListen {
                    address: element.value.clone(),
                    port: port.value,
                    protocol,
                    v6only: (element.value == ANY_V6).then_some(true),
                    address_from: Setting::from(element.origin.clone()),
                    port_from: Setting::from(port.origin.clone()),
                });
            }
        }
        self.reading.done()
    }
}

/// What a list takes. The first element that fits an address decides.
fn elements(text: &Text, block: &Block, v6: bool) -> Vec<Element> {
    let shown = |element: &[Token]| element.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    let origin = |element: &[Token]| match element {
        [first, .., last] => text.origin_of(first, last),
        [only] => text.origin(only.span.clone()),
        [] => text.origin(0..0),
    };
    let all: Vec<&Vec<Token>> = block.elements.iter().filter(|element| !element.is_empty()).collect();
    // What is taken depends on the addresses of the machine then.
    let negated = all.iter().any(|element| element[0].text.starts_with('!') && shown(element) != "! none");
    let listed = |what: String| ListenAddress::Listed { v6, by: Some(what) };
    let mut found = Vec::new();
    for element in all {
        let word = shown(element);
        let value = match word.as_str() {
            "none" => break,
            _ if word.starts_with('!') => continue,
            _ if negated => listed(format!("{word} (with exceptions)")),
            "any" | "localhost" if v6 => ANY_V6,
            "any" | "localhost" => ANY_V4,
            _ => match address(&word) {
                ip @ ListenAddress::Ip(_) => ip,
                _ => listed(word),
            },
        };
        found.push(Said::new(value, origin(element)));
    }
    found
}

/// The same bytes with blanks for comments, so that places stay (isc_lex in lib/isc/lex.c).
fn without_comments(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Fault> {
    let mut out = Cow::Borrowed(bytes);
    let (mut at, mut quoted) = (0, false);
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let length = match byte {
            b'\\' if quoted => {
                at += 2;
                continue;
            }
            b'"' => {
                quoted = !quoted;
                0
            }
            _ if quoted => 0,
            b'#' => memchr::memchr(b'\n', rest).unwrap_or(rest.len()),
            b'/' if rest.starts_with(b"//") => memchr::memchr(b'\n', rest).unwrap_or(rest.len()),
            b'/' if rest.starts_with(b"/*") => match memchr::memmem::find(&rest[2..], b"*/") {
                Some(end) => end + 4,
                None => {
                    let before = memchr::memchr_iter(b'\n', &bytes[..at]).count();
                    let line = u32::try_from(before + 1).unwrap_or(u32::MAX);
                    return Err(Fault { line, why: "a comment has no end" });
                }
            },
            _ => 0,
        };
        if length > 0 {
            out.to_mut()[at..at + length].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        }
        at += length.max(1);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tree, shown};

    fn of(text: &str) -> Vec<String> {
        let parsed = Tree::of(&[("/n", text)]).parse("bind", &["/n"]);
        assert_eq!(parsed.problems, []);
        shown(&parsed).into_iter().filter(|line| !line.contains("/udp")).collect()
    }

    #[test]
    fn debians_files() {
        let tree = Tree::of(&[
            ("/etc/bind/named.conf", "// x\ninclude \"/etc/bind/named.conf.options\";\nzone \".\" { type hint; };\n"),
            (
                "/etc/bind/named.conf.options",
                "options {\n  directory \"/var/cache/bind\"; /* listen-on { 1.2.3.4; }; */\n  // forwarders { 0.0.0.0; };\n  listen-on-v6 { any; };\n};\n",
            ),
        ]);
        let parsed = tree.parse("bind", &["/etc/bind/named.conf"]);
        assert_eq!(parsed.problems, []);
        let expected = [
            "[::]:53/udp /etc/bind/named.conf.options:4 default",
            "[::]:53 /etc/bind/named.conf.options:4 default",
            "0.0.0.0:53/udp default",
            "0.0.0.0:53 default",
        ];
        assert_eq!(shown(&parsed), expected);
    }

    #[test]
    fn lists_add_up_each_with_its_port() {
        assert_eq!(
            of(
                "options { port 54;\nlisten-on { 127.0.0.1;\n10.0.0.1; };\nlisten-on port 5353 { any; }; listen-on-v6 { none; };\n};"
            ),
            ["127.0.0.1:54 /n:2 /n:1", "10.0.0.1:54 /n:3 /n:1", "0.0.0.0:5353 /n:4", "no IPv6 address /n:4 /n:1"]
        );
        assert_eq!(
            of("options { listen-on tls x { any; }; listen-on-v6 tls none http y { ::1; }; };"),
            ["0.0.0.0:853 /n:1 default", "[::1]:80 /n:1 default"]
        );
    }

    #[test]
    fn what_hangs_on_the_machines_addresses_is_not_worked_out() {
        assert_eq!(
            of("options { listen-on { { 10.0.0.1; }; }; };"),
            ["a list within the list:53 /n:1 default", "[::]:53 default"]
        );
        assert_eq!(
            of("options { listen-on { !10.0.0.1; any; }; listen-on-v6 { inside; 2001:db8::/32; }; };"),
            ["any (with exceptions):53 /n:1 default", "inside:53 /n:1 default", "2001:db8::/32:53 /n:1 default"]
        );
    }

    #[test]
    fn other_sockets_and_the_command_line() {
        let text = "controls { inet 127.0.0.1 port 954 allow { localhost; } keys { \"k\"; }; };\nstatistics-channels { inet * port 8053 allow { any; }; };\noptions { listen-on { 10.0.0.1; }; };\n";
        let parsed = Tree::of(&[("/n", text)]).arguments("-f -u bind -4 -p 99").parse("bind", &["/n"]);
        let expected =
            ["127.0.0.1:954 /n:1", "0.0.0.0:8053 /n:2", "10.0.0.1:99/udp /n:3 -p 99", "10.0.0.1:99 /n:3 -p 99"];
        assert_eq!(shown(&parsed), expected);
    }

    #[test]
    fn lists_that_take_nothing() {
        let of_tcp = of("options {\n listen-on { none; any; };\n listen-on-v6 { !::1; };\n};\n");
        assert_eq!(of_tcp, ["no IPv4 address /n:2 default", "no IPv6 address /n:3 default"]);
    }

    #[test]
    fn what_does_not_parse_is_said_with_its_line() {
        for (text, line, why) in [
            ("options {\n listen-on { any; }\n}\n;", 3, "missing `;` before `}`"),
            ("\noptions {", 2, "`{` without `}`"),
            ("}\n", 1, "unexpected `}`"),
            ("\n/* x", 2, "a comment has no end"),
            ("options { port many; };", 1, "`many` is no port"),
            ("a\n", 1, "missing `;` at the end of the file"),
            (&"{".repeat(100), 1, "too many blocks within each other"),
        ] {
            let parsed = Tree::of(&[("/n", text)]).parse("bind", &["/n"]);
            assert_eq!((parsed.problems[0].line, parsed.problems[0].why.as_str()), (Some(line), why), "{text}");
        }
    }
}
