//! How applications are told to listen on every address: by the words of their command.

use unrefuse_facts::Container;

/// Servers whose images hand further arguments on to the server, with what binds every address.
const APPENDED: [(&str, &[&str]); 7] = [
    ("redis-server", &["--bind", "0.0.0.0"]),
    ("valkey-server", &["--bind", "0.0.0.0"]),
    ("postgres", &["-c", "listen_addresses=*"]),
    ("mysqld", &["--bind-address=0.0.0.0"]),
    ("mariadbd", &["--bind-address=0.0.0.0"]),
    ("mongod", &["--bind_ip_all"]),
    ("memcached", &["-l", "0.0.0.0"]),
];

/// The same for servers that are told elsewhere, in words.
const OPTIONS: [(&str, &str); 14] = [
    ("nginx", "`listen 80;` in its configuration"),
    ("apache2", "`Listen 80` in its configuration"),
    ("httpd", "`Listen 80` in its configuration"),
    ("caddy", "`:80` as its site's address"),
    ("node", "HOST=0.0.0.0, `--host 0.0.0.0`, or server.listen(PORT, '0.0.0.0')"),
    ("python", "`--host 0.0.0.0`, or runserver 0.0.0.0:PORT"),
    ("python3", "`--host 0.0.0.0`, or runserver 0.0.0.0:PORT"),
    ("flask", "`--host 0.0.0.0`, or FLASK_RUN_HOST=0.0.0.0"),
    ("uvicorn", "`--host 0.0.0.0`"),
    ("gunicorn", "`--bind 0.0.0.0:PORT`"),
    ("ruby", "`-b 0.0.0.0`, or BINDING=0.0.0.0"),
    ("puma", "`-b tcp://0.0.0.0:PORT`"),
    ("java", "server.address=0.0.0.0, or network.host of Elasticsearch"),
    ("jupyter-lab", "`--ip=0.0.0.0`"),
];

/// The command with which the container's server listens on every address; `None` where that is not known.
pub(super) fn everywhere(container: &Container, process: Option<&str>, port: u16) -> Option<Vec<String>> {
    let command = &container.recipe.command;
    let mut changed: Vec<String> = command.clone();
    let mut hits = 0;
    for word in &mut changed {
        if let Some(new) = unbound(word, port) {
            (*word, hits) = (new, hits + 1);
        }
    }
    match hits {
        1 => return Some(changed),
        0 => {}
        _ => return None,
    }
    let (server, words) = APPENDED.iter().find(|(server, _)| Some(*server) == process)?;
    // Its own arguments, or none: the image's entry point puts the server in front.
    let own = command.first().is_none_or(|first| first.starts_with('-') || first.rsplit('/').next() == Some(server));
    own.then(|| command.iter().cloned().chain(words.iter().map(|word| (*word).to_owned())).collect())
}

/// How that process is told, in words.
pub(super) fn option(process: &str) -> Option<&'static str> {
    let appended = APPENDED.iter().find(|(server, _)| *server == process).map(|(_, words)| words[0]);
    OPTIONS.iter().find(|(server, _)| *server == process).map(|(_, how)| *how).or(appended)
}

/// `127.0.0.1:80`, `--host=localhost` with 0.0.0.0 in its place; `None` for words that name something else, as URLs do.
fn unbound(word: &str, port: u16) -> Option<String> {
    if word.contains("://") || word.contains(char::is_whitespace) {
        return None;
    }
    let (head, value) = match word.split_once('=') {
        Some((head, value)) if head.starts_with('-') || head.chars().all(|c| c.is_ascii_uppercase() || c == '_') => {
            (format!("{head}="), value)
        }
        Some(_) => return None,
        None => (String::new(), word),
    };
    let (host, rest) = match value.rsplit_once(':') {
        Some((host, number)) if number.parse() == Ok(port) => (host, format!(":{number}")),
        Some(_) if value != "::1" => return None,
        _ => (value, String::new()),
    };
    let every = match host {
        "127.0.0.1" | "localhost" => "0.0.0.0",
        "::1" => "::",
        "[::1]" => "[::]",
        _ => return None,
    };
    Some(format!("{head}{every}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::container::Made;

    #[test]
    fn words_that_bind_loopback() {
        assert_eq!(unbound("127.0.0.1:80", 80).unwrap(), "0.0.0.0:80");
        assert_eq!(unbound("--host=localhost", 80).unwrap(), "--host=0.0.0.0");
        assert_eq!(unbound("[::1]:80", 80).unwrap(), "[::]:80");
        assert_eq!(unbound("127.0.0.1:5432", 80), None);
        assert_eq!(unbound("http://127.0.0.1:80", 80), None);
        assert_eq!(unbound("postgres=127.0.0.1", 80), None);
    }

    #[test]
    fn servers_that_take_further_arguments() {
        let command = |words: &[&str]| {
            let words = words.iter().map(|w| (*w).to_owned()).collect();
            let made = Made::new("r").with(|c| c.recipe.command = words);
            made.container(|c| everywhere(c, Some("redis-server"), 6379))
        };
        assert_eq!(command(&[]).unwrap(), ["--bind", "0.0.0.0"]);
        assert_eq!(command(&["redis-server", "--save"]).unwrap(), ["redis-server", "--save", "--bind", "0.0.0.0"]);
        assert_eq!(command(&["redis-server", "--bind", "127.0.0.1"]).unwrap(), ["redis-server", "--bind", "0.0.0.0"]);
        assert_eq!(command(&["sh", "-c", "redis-server"]), None);
    }
}
