//! Rulesets from files: iptables-save, ipset, nft's own language and its JSON; the kind is told by what is in them.

use super::tables_of;
use std::io::Read;
use std::path::Path;
use unrefuse_facts::{Family, text};
use unrefuse_firewall::model::{Backend, Problem, Ruleset, Statement, Table};
use unrefuse_firewall::{iptables, nft};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 16 << 20;

/// What the files hold.
pub(super) struct Files {
    pub(super) ruleset: Ruleset,
    /// Names of the files, as they were given.
    pub(super) names: Vec<String>,
    /// For each table the file that it is from.
    pub(super) of_table: Vec<String>,
    /// A table, chain or rule that could not be read at all: no verdict can be believed without it.
    broken: Option<String>,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Iptables,
    Ipset,
    Nft,
    NftJson,
}

/// Reads files one after the other; `-` is standard input. An error is a sentence for a person.
pub(super) fn read(paths: &[String]) -> Result<Files, String> {
    let mut files = Files { ruleset: Ruleset::default(), names: Vec::new(), of_table: Vec::new(), broken: None };
    if paths.iter().filter(|path| *path == "-").count() > 1 {
        return Err("--rules: standard input (-) can be read only once".to_owned());
    }
    let mut read_later = Vec::new();
    for path in paths {
        let name = if path == "-" { "standard input".to_owned() } else { path.clone() };
        let bytes = bytes(path).map_err(|error| format!("--rules {name}: {error}"))?;
        let kind = kind(&bytes).map_err(|error| format!("--rules {name}: {error}"))?;
        match kind {
            Kind::Iptables => {
                let read = iptables::parse(&bytes, by_name(path));
                if read.tables.is_empty() {
                    return Err(format!("--rules {name}: there is no table in it: give the whole of iptables-save"));
                }
                read_later.push((read, name.clone()));
            }
            Kind::Ipset => {
                let mut read = Ruleset::default();
                iptables::parse_ipset(&bytes, &mut read);
                files.take(read, &name);
            }
            Kind::Nft => {
                let read = nft::file::parse(&name, &bytes, &included);
                files.not_understood(&read, &name);
                files.take(read, &name);
            }
            Kind::NftJson => {
                let mut read = nft::json::parse(&bytes).map_err(|error| format!("--rules {name}: {}", error.0))?;
                files.not_understood(&read, &name);
                read.problems.extend(left_out(&read));
                files.take(read, &name);
            }
        }
        files.names.push(name);
    }
    // After nft's JSON: of tables that are in both, iptables-save says more.
    for (read, name) in read_later {
        files.take(read, &name);
    }
    Ok(files)
}

/// What nft's JSON does not say of rules that iptables-nft wrote.
fn left_out(read: &Ruleset) -> Option<Problem> {
    let chains = read.tables.iter().filter(|table| table.backend == Backend::IptablesNft);
    let rules = chains.flat_map(|table| table.chains.values()).flat_map(|chain| chain.rules.iter());
    let open = rules.filter(|rule| rule.statements.iter().any(|one| matches!(one, Statement::Unknown(_)))).count();
    let text = format!(
        "{open} rules of iptables are named without their options: give that machine's iptables-save and ip6tables-save, too"
    );
    (open > 0).then(|| Problem { place: "nft JSON".to_owned(), text })
}

/// What a file includes: names without a folder lie beside it, as the machine that it is from may be another one.
fn included(path: &str, from: &str) -> Vec<nft::file::Included> {
    let folder = Path::new(from).parent().and_then(Path::to_str).filter(|folder| !folder.is_empty());
    unrefuse_collect::filters::nft_includes(path, folder.unwrap_or("."))
}

fn bytes(path: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = if path == "-" {
        std::io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)
    } else {
        let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
        if metadata.is_dir() {
            return Err("that is a directory: give the files in it".to_owned());
        }
        std::fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
    };
    match read {
        Err(error) => Err(error.to_string()),
        Ok(size) if size as u64 > LARGEST => Err(format!("larger than {} MiB", LARGEST >> 20)),
        Ok(_) => Ok(bytes),
    }
}

/// `rules.v6`, `ip6tables.save`: names under which IPv6 rules are kept, where the text does not say it.
fn by_name(path: &str) -> Option<unrefuse_firewall::model::Family> {
    let name = Path::new(path).file_name()?.to_str()?;
    let six = name.ends_with("v6") || name.contains("ip6tables") || name.ends_with("6.rules");
    six.then_some(unrefuse_firewall::model::Family::Ip6)
}

/// What the bytes are, by the first line that says something.
fn kind(bytes: &[u8]) -> Result<Kind, String> {
    let mut comments = false;
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    for line in lines.take(10_000) {
        let starts = |word: &str| line.starts_with(word.as_bytes());
        if starts("#") {
            comments = true;
            continue;
        }
        if starts("{") {
            return Ok(Kind::NftJson);
        }
        let word = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        if is_nft(line) {
            return Ok(Kind::Nft);
        }
        if matches!(word, b"create" | b"Name:") {
            return Ok(Kind::Ipset);
        }
        let text = line.windows(8).any(|part| part == b"iptables") || line.windows(9).any(|part| part == b"ip6tables");
        if starts("*") || starts(":") || starts("-") || starts("[") || text || line == b"COMMIT" {
            return Ok(Kind::Iptables);
        }
    }
    match bytes.is_empty() || (!comments && bytes.iter().all(u8::is_ascii_whitespace)) {
        true => Err("it is empty: a dump of no rules at all says nothing".to_owned()),
        false => Err("neither iptables-save, `ipset save`, `nft list ruleset` nor `nft -j list ruleset`".to_owned()),
    }
}

/// A line of nft's own language (nft(8)) that begins a file. `add` alone is a word of ipset, too.
fn is_nft(line: &[u8]) -> bool {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let objects: [&[u8]; 5] = [b"table", b"chain", b"rule", b"set", b"map"];
    match words.next() {
        Some(b"table") => line.contains(&b'{'),
        Some(b"flush") => words.next().is_some_and(|word| word == b"ruleset" || objects.contains(&word)),
        Some(b"add" | b"insert" | b"create" | b"destroy" | b"delete") => {
            let object = words.next().is_some_and(|word| objects.contains(&word));
            let families: [&[u8]; 6] = [b"ip", b"ip6", b"inet", b"arp", b"bridge", b"netdev"];
            object && words.next().is_some_and(|word| families.contains(&word))
        }
        Some(b"include") => line.contains(&b'"'),
        Some(b"define") => line.contains(&b'='),
        _ => false,
    }
}

impl Files {
    fn not_understood(&mut self, read: &Ruleset, name: &str) {
        if let Some(problem) = read.problems.first() {
            self.broken = Some(format!("{}: {}", place(problem, name), problem.text));
        }
    }

    fn take(&mut self, read: Ruleset, name: &str) {
        for table in read.tables {
            self.table(table, name);
        }
        self.ruleset.ipsets.extend(read.ipsets);
        let problems = read.problems.into_iter().map(|p| Problem { place: place(&p, name), ..p });
        self.ruleset.problems.extend(problems);
    }

    /// Adds a table, or puts it in the place of the same one of an earlier file.
    fn table(&mut self, table: Table, name: &str) {
        let Some(at) = self.ruleset.tables.iter().position(|known| is_same(known, &table)) else {
            self.ruleset.tables.push(table);
            self.of_table.push(name.to_owned());
            return;
        };
        let text = format!("table {} comes again: this one is taken, that of {} is not", table.name, self.of_table[at]);
        self.ruleset.problems.push(Problem { place: name.to_owned(), text });
        self.ruleset.tables[at] = table;
        name.clone_into(&mut self.of_table[at]);
    }

    /// Why the files cannot say anything of packets of that family.
    pub(super) fn lacks(&self, family: Family) -> Option<String> {
        use unrefuse_firewall::model::Family::{Inet, Netdev};
        if let Some(broken) = &self.broken {
            return Some(format!("a part of the rules is not understood: {broken}"));
        }
        let of = |table: &Table| table.family == tables_of(family) || matches!(table.family, Inet | Netdev);
        if self.ruleset.tables.iter().any(of) {
            return None;
        }
        Some(match family {
            Family::V4 => "--rules holds no rules of IPv4: give the dump of iptables-save, too".to_owned(),
            Family::V6 => "--rules holds no rules of IPv6: give the dump of ip6tables-save, too".to_owned(),
        })
    }

    /// What is taken for granted of the machine that the files are from.
    pub(super) fn assumptions(&self) -> Vec<String> {
        vec!["that machine filters by what --rules holds, and by nothing else".to_owned()]
    }

    pub(super) fn problems(&self) -> Vec<String> {
        self.ruleset.problems.iter().map(|p| format!("{}: {}", text::visible(&p.place), p.text)).collect()
    }
}

/// Where a problem is: that of nft's own language names the file itself.
fn place(problem: &Problem, name: &str) -> String {
    if problem.place.starts_with(name) {
        return problem.place.clone();
    }
    format!("{name}: {}", problem.place)
}

/// Two dumps of one table: iptables-save may not say which backend it is of.
fn is_same(one: &Table, other: &Table) -> bool {
    let unsure = |table: &Table| table.backend == Backend::Iptables;
    (one.family, &one.name) == (other.family, &other.name)
        && (one.backend == other.backend || unsure(one) || unsure(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_content() {
        assert_eq!(kind(b"# Generated by iptables-save v1.8.9\n*filter\n"), Ok(Kind::Iptables));
        assert_eq!(kind(b"\n:INPUT DROP [0:0]\n"), Ok(Kind::Iptables));
        assert_eq!(kind(b"root@x:~# iptables -S\n-P INPUT ACCEPT\n"), Ok(Kind::Iptables));
        assert_eq!(kind(b"create bad hash:ip family inet\nadd bad 192.0.2.1\n"), Ok(Kind::Ipset));
        assert_eq!(kind(b"Name: bad\nType: hash:ip\n"), Ok(Kind::Ipset));
        assert_eq!(kind(b" {\"nftables\": []}"), Ok(Kind::NftJson));
        let nft = [
            "table inet filter {\n}\n",
            "#!/usr/sbin/nft -f\nflush ruleset\n",
            "add table inet filter\n",
            "create chain ip t c\n",
            "define WAN = eth0\n",
            "include \"/etc/nftables.d/*\"\n",
        ];
        for text in nft {
            assert_eq!(kind(text.as_bytes()), Ok(Kind::Nft), "{text}");
        }
        assert_eq!(kind(b"create table hash:ip family inet\n"), Ok(Kind::Ipset), "a set may be called so");
        assert!(kind(b"\n").unwrap_err().contains("empty"));
        assert!(kind(b"\x7fELF\x02\x01").unwrap_err().contains("neither"));
        assert!(kind(b"# only a comment\n").unwrap_err().contains("neither"));
    }
}
