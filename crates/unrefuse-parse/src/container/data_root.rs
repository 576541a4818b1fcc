//! Where Docker keeps its data: `data-root` of daemon.json and of dockerd(8)'s command line, `graph` before 17.05.

use serde_json::Value;

/// Where nobody moved it.
const DEFAULT: &str = "/var/lib/docker";

/// The folder by the text of a daemon.json, empty where there is none; `None` where the file is broken and names a folder,
/// or names one that is no absolute path.
///
/// ```
/// use unrefuse_parse::container::data_root;
/// assert_eq!(data_root(br#"{"data-root": "/srv/docker", "debug": true}"#).as_deref(), Some("/srv/docker"));
/// assert_eq!(data_root(b"").as_deref(), Some("/var/lib/docker"));
/// assert_eq!(data_root(br#"{"debug": true"#).as_deref(), Some("/var/lib/docker"));
/// assert_eq!(data_root(br#"{"data-root": "/srv/docker","#), None);
/// ```
pub fn data_root(daemon_json: &[u8]) -> Option<String> {
    let default = || Some(DEFAULT.to_owned());
    let Ok(value) = serde_json::from_slice::<Value>(daemon_json) else {
        let names = |key: &[u8]| daemon_json.windows(key.len()).any(|part| part == key);
        return if names(b"data-root") || names(b"graph") { None } else { default() };
    };
    match value.get("data-root").or_else(|| value.get("graph")) {
        None | Some(Value::Null) => default(),
        Some(folder) => folder.as_str().and_then(absolute),
    }
}

/// The folder by the words of a command line, where it names one: `--data-root DIR`, `--data-root=DIR`, `-g DIR`.
///
/// ```
/// use unrefuse_parse::container::data_root_option;
/// let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
/// assert_eq!(data_root_option(&words("dockerd -H fd:// --data-root=/srv/d")).as_deref(), Some("/srv/d"));
/// assert_eq!(data_root_option(&words("dockerd -g /srv/d -H fd://")).as_deref(), Some("/srv/d"));
/// assert_eq!(data_root_option(&words("dockerd --data-root")), None);
/// ```
pub fn data_root_option(words: &[String]) -> Option<String> {
    let named = |(index, word): (usize, &String)| match word.split_once('=') {
        Some(("--data-root" | "--graph", folder)) => absolute(folder),
        None if matches!(word.as_str(), "--data-root" | "--graph" | "-g") => absolute(words.get(index + 1)?),
        _ => None,
    };
    words.iter().enumerate().filter_map(named).next_back()
}

fn absolute(folder: &str) -> Option<String> {
    let folder = folder.trim_end_matches('/');
    (folder.starts_with('/') && !folder.contains('\0')).then(|| folder.to_owned())
}
