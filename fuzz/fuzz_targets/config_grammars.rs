//! Configurations of services: nothing panics or loops, and each line that is named stands in its file as it is shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_facts::{Missing, Origin, Reason, Setting, text};
use unrefuse_parse::config::{self, Files, SERVICES, Start, glob};

/// Up to four files that may include each other.
struct Some4<'a>(Vec<(&'static str, &'a [u8])>);

const PATHS: [&str; 4] = ["/etc/main.conf", "/etc/a.conf", "/etc/conf.d/b.conf", "/etc/postgresql.auto.conf"];

impl Files for Some4<'_> {
    fn read(&mut self, path: &str) -> Result<Vec<u8>, Missing> {
        let found = self.0.iter().find(|(known, _)| *known == path);
        found.map(|(_, bytes)| bytes.to_vec()).ok_or_else(|| Missing::new(Reason::Absent, "no such file"))
    }
    fn list(&mut self, pattern: &str) -> Result<Vec<String>, Missing> {
        let (folder, last) = pattern.rsplit_once('/').unwrap_or(("", pattern));
        let fits = |path: &str| path.rsplit_once('/').is_some_and(|(f, name)| f == folder && glob::matches(last, name));
        Ok(self.0.iter().filter(|(path, _)| fits(path)).map(|(path, _)| (*path).to_owned()).collect())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let mut parts = rest.split(|&b| b == 0x1e);
    let line = text::from_bytes(parts.next().unwrap_or_default());
    let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let mut files = Some4(PATHS.into_iter().zip(parts).collect());
    let main = [PATHS[0].to_owned()];
    let variables = [("A".to_owned(), "b".to_owned())];
    let service = SERVICES[usize::from(*choice) % SERVICES.len()];
    let start = Start { files: &main, arguments: &arguments, variables: &variables, command: "mysqld" };
    let parsed = config::grammar(service).unwrap()(&start, &mut files);
    let stands = |origin: &Origin| {
        let Origin::Line(line) = origin else { return };
        let (_, bytes) = files.0.iter().find(|(path, _)| *path == line.location.path).expect("a file that was read");
        let own = bytes.split(|&b| b == b'\n').nth(line.location.line as usize - 1).expect("a line of the file");
        if let Some((from, to)) = line.value {
            assert_eq!(line.text.as_bytes(), own.strip_suffix(b"\r").unwrap_or(own));
            assert!(from <= to && line.text.get(from..to).is_some(), "{line:?}");
            assert!(line.with_value("x").is_some());
        }
    };
    let setting = |setting: &Setting| {
        stands(&setting.origin);
        setting.beats.iter().for_each(|beaten| stands(&beaten.origin));
    };
    for listen in &parsed.listens {
        setting(&listen.address_from);
        setting(&listen.port_from);
        let is_unix = listen.protocol == unrefuse_facts::Protocol::Unix;
        assert!(!is_unix || listen.port == 0, "{listen:?}");
        assert!(listen.port != 0 || is_unix || parsed.disabled.is_some(), "{listen:?}");
    }
    parsed.disabled.iter().for_each(setting);
    for problem in &parsed.problems {
        let lines =
            files.0.iter().find(|(path, _)| *path == problem.path).map_or(0, |(_, b)| b.split(|&b| b == b'\n').count());
        assert!(problem.line.is_none_or(|line| line >= 1 && line as usize <= lines), "{problem:?}");
        assert_eq!(text::visible(&problem.why), problem.why);
    }
});
