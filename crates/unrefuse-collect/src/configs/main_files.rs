//! Where the configuration of a service begins.

use super::instances::Instance;
use super::unit_line::CommandLine;
use crate::live::{files, folders};
use unrefuse_facts::ConfigProblem;
use unrefuse_facts::catalogue::KnownService;
use unrefuse_facts::text::from_bytes;

/// Main files in the order of reading.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mains {
    pub(super) paths: Vec<String>,
    /// Why there is none.
    pub(super) problem: Option<ConfigProblem>,
}

/// The main files of an instance: those that its command line names, else where the packages have them.
pub(super) fn of(service: &KnownService, instance: &Instance, command_line: &CommandLine) -> Mains {
    let named = named(service.id, &command_line.arguments);
    let paths: Vec<String> = if named.is_empty() {
        if command_line.names_all(service.id) {
            return Mains::default();
        }
        usual(service, instance)
    } else {
        named.into_iter().filter_map(|path| absolute(instance.pid, &path)).collect()
    };
    if paths.is_empty() && service.id != "memcached" {
        let why = format!("no configuration file of {} was found where packages have it", service.name);
        let path = service.config_files.first().copied().unwrap_or_default().to_owned();
        return Mains { paths, problem: Some(ConfigProblem { path, line: None, why, remedy: None, hides: true }) };
    }
    Mains { paths, problem: None }
}

/// What the command line says, as each service's manual has it.
fn named(id: &str, arguments: &[String]) -> Vec<String> {
    let all = |names: &[&str]| values(arguments, names);
    let last = |names: &[&str]| all(names).pop().into_iter().collect::<Vec<String>>();
    match id {
        "nginx" => {
            let prefix = last(&["-p"]).pop();
            let within = |path: String| match &prefix {
                Some(prefix) if !path.starts_with('/') => format!("{}/{path}", prefix.trim_end_matches('/')),
                _ => path,
            };
            match (last(&["-c"]).pop(), &prefix) {
                (Some(path), _) => vec![within(path)],
                (None, Some(_)) => vec![within("conf/nginx.conf".to_owned())],
                (None, None) => Vec::new(),
            }
        }
        "apache" => last(&["-f"]),
        "haproxy" => all(&["-f"]),
        "mariadb" => {
            let extra = last(&["--defaults-extra-file"]);
            match last(&["--defaults-file"]).pop() {
                Some(path) => vec![path],
                None if extra.is_empty() => Vec::new(),
                None => my_cnf().into_iter().chain(extra).collect(),
            }
        }
        "postgresql" => {
            let settings =
                all(&["-c"]).into_iter().filter_map(|set| set.strip_prefix("config_file=").map(str::to_owned));
            let file = settings.chain(last(&["--config-file", "--config_file"])).next_back();
            let data = last(&["-D"]).pop().map(|data| format!("{}/postgresql.conf", data.trim_end_matches('/')));
            file.or(data).into_iter().collect()
        }
        // Unless `set-proc-title no`, the title hides it; an address is no file.
        "redis" => arguments.first().filter(|first| first.starts_with('/')).cloned().into_iter().collect(),
        "vsftpd" => arguments.iter().filter(|argument| !argument.starts_with('-')).cloned().collect(),
        "sshd" => last(&["-f"]),
        "bind" => last(&["-c"]),
        "mongodb" => last(&["-f", "--config"]),
        "postfix" => last(&["-c"]).iter().map(|folder| format!("{}/main.cf", folder.trim_end_matches('/'))).collect(),
        "dovecot" => last(&["-c"]),
        "dnsmasq" => last(&["-C", "--conf-file"]),
        _ => Vec::new(),
    }
}

/// Where packages have the file.
fn usual(service: &KnownService, instance: &Instance) -> Vec<String> {
    if service.id == "mariadb" {
        return my_cnf();
    }
    // redis-server@NAME.service and its likes have a file of that name; Debian's postgresql@15-main.service a folder.
    let of_unit = instance.unit.as_deref().and_then(|unit| unit.strip_suffix(".service")?.split_once('@'));
    let paths = match (service.id, of_unit.map(|(_, name)| name)) {
        ("redis", Some(name)) => vec![format!("/etc/redis/redis-{name}.conf"), format!("/etc/redis/{name}.conf")],
        ("postgresql", Some(name)) => vec![format!("/etc/postgresql/{}/postgresql.conf", name.replacen('-', "/", 1))],
        _ => Vec::new(),
    };
    if let Some(path) = paths.into_iter().find(|path| is_there(path)) {
        return vec![path];
    }
    let mut there = service.config_files.iter().flat_map(|pattern| folders::list("", pattern).unwrap_or_default());
    there.next().into_iter().collect()
}

/// Both are read, in this order, where they are there (MariaDB's and MySQL's own lists, `mariadbd --help --verbose`).
fn my_cnf() -> Vec<String> {
    let all = ["/etc/my.cnf", "/etc/mysql/my.cnf"].map(str::to_owned);
    let mut found: Vec<String> = all.into_iter().filter(|path| is_there(path)).collect();
    // One may be a link to the other.
    if let [first, second] = found.as_slice()
        && std::fs::canonicalize(first).ok() == std::fs::canonicalize(second).ok()
    {
        found.pop();
    }
    found
}

fn is_there(path: &str) -> bool {
    rustix::fs::lstat(path).is_ok()
}

/// A relative path begins at the process' working directory.
fn absolute(pid: Option<u32>, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return Some(path.to_owned());
    }
    let cwd = std::fs::read_link(format!("/proc/{}/cwd", pid?)).ok()?;
    Some(format!("{}/{path}", cwd.to_str()?.trim_end_matches('/')))
}

/// The values of options, `-c x`, `-cx`, `--config=x`, `--config x`.
fn values(arguments: &[String], names: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        for name in names {
            if argument == name {
                found.extend(rest.next().cloned());
                break;
            }
            let inline = argument.strip_prefix(name);
            match inline {
                Some(value) if name.starts_with("--") => found.extend(value.strip_prefix('=').map(str::to_owned)),
                Some(value) if !argument.starts_with("--") => found.push(value.to_owned()),
                _ => continue,
            }
            break;
        }
    }
    found
}

/// Variables that a configuration may name.
pub(super) fn variables(
    service: &KnownService,
    instance: &Instance,
    command_line: &CommandLine,
) -> Vec<(String, String)> {
    match service.id {
        "apache" => files::read("/etc/apache2/envvars").map(|bytes| exported(&from_bytes(&bytes))).unwrap_or_default(),
        "haproxy" => {
            let Some(pid) = instance.pid else { return command_line.environment() };
            let bytes = files::read(&format!("/proc/{pid}/environ")).unwrap_or_default();
            let pair = |entry: &[u8]| from_bytes(entry).split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()));
            bytes.split(|&b| b == 0).filter_map(pair).collect()
        }
        _ => Vec::new(),
    }
}

/// `export NAME=value` of a shell file, values without expansions only.
fn exported(text: &str) -> Vec<(String, String)> {
    let pair = |line: &str| {
        let (name, value) = line.trim().strip_prefix("export ")?.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        (!value.contains(['$', '`'])).then(|| (name.trim().to_owned(), value.to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_line(id: &str, line: &str) -> Vec<String> {
        named(id, &line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn command_lines_name_their_files() {
        assert_eq!(of_line("nginx", "-p /srv/ -c a.conf"), ["/srv/a.conf"]);
        assert_eq!(of_line("nginx", "-g daemon"), Vec::<String>::new());
        assert_eq!(of_line("haproxy", "-Ws -f /a -f /b -p /run/x"), ["/a", "/b"]);
        assert_eq!(of_line("mariadb", "--defaults-file=/x --user=y"), ["/x"]);
        assert_eq!(of_line("postgresql", "-D /d -c config_file=/e/p.conf"), ["/e/p.conf"]);
        assert_eq!(of_line("postgresql", "-D /d"), ["/d/postgresql.conf"]);
        assert_eq!(of_line("redis", "127.0.0.1:6379"), Vec::<String>::new());
        assert_eq!(of_line("redis", "/etc/r.conf --port 1"), ["/etc/r.conf"]);
        assert_eq!(of_line("mongodb", "--config /m"), ["/m"]);
    }

    #[test]
    fn exported_variables() {
        let text = "# x\nexport APACHE_RUN_USER=www-data\nexport A=\"b\"\nexport B=$A\nunset C\n";
        assert_eq!(exported(text), [("APACHE_RUN_USER".into(), "www-data".into()), ("A".into(), "b".into())]);
    }
}
