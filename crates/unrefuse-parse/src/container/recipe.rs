//! What a `run` line needs that makes a container anew.

use super::ImageDefaults;
use super::words::{entries, items, labels, number, string};
use crate::secret::{Trust, redact};
use serde_json::Value;
use std::collections::BTreeSet;
use unrefuse_facts::{NetworkMode, Recipe};

/// Variables that Podman sets in every container.
const SET_BY_PODMAN: [&str; 5] = ["PATH", "TERM", "HOSTNAME", "HOME", "container"];

/// Settings of `HostConfig` that are a list of words: their option.
const LISTS: [(&str, &str); 13] = [
    ("Binds", "--volume"),
    ("VolumesFrom", "--volumes-from"),
    ("CapAdd", "--cap-add"),
    ("CapDrop", "--cap-drop"),
    ("Dns", "--dns"),
    ("DnsOptions", "--dns-option"),
    ("DnsSearch", "--dns-search"),
    ("ExtraHosts", "--add-host"),
    ("GroupAdd", "--group-add"),
    ("SecurityOpt", "--security-opt"),
    ("DeviceCgroupRules", "--device-cgroup-rule"),
    ("Links", ""),
    ("DeviceRequests", ""),
];
/// Those that are a flag.
const FLAGS: [(&str, &str); 6] = [
    ("AutoRemove", "--rm"),
    ("Privileged", "--privileged"),
    ("ReadonlyRootfs", "--read-only"),
    ("Init", "--init"),
    ("OomKillDisable", "--oom-kill-disable"),
    ("PublishAllPorts", "--publish-all"),
];
/// Those that are a number or a word, with what engines write where nothing was asked for.
const VALUES: [(&str, &str, &[&str]); 21] = [
    ("Memory", "--memory", &["0"]),
    ("MemoryReservation", "--memory-reservation", &["0"]),
    ("MemorySwap", "--memory-swap", &["0"]),
    ("MemorySwappiness", "--memory-swappiness", &["-1", "0"]),
    ("CpuShares", "--cpu-shares", &["0"]),
    ("CpuPeriod", "--cpu-period", &["0"]),
    ("CpuQuota", "--cpu-quota", &["0"]),
    ("CpusetCpus", "--cpuset-cpus", &[]),
    ("CpusetMems", "--cpuset-mems", &[]),
    ("PidsLimit", "--pids-limit", &["0", "-1", "2048"]),
    ("OomScoreAdj", "--oom-score-adj", &["0"]),
    ("BlkioWeight", "--blkio-weight", &["0"]),
    ("ShmSize", "--shm-size", &["0", "67108864", "65536000"]),
    ("IpcMode", "--ipc", &["private", "shareable"]),
    ("PidMode", "--pid", &["private"]),
    ("UTSMode", "--uts", &["private"]),
    ("UsernsMode", "--userns", &["private"]),
    ("CgroupnsMode", "--cgroupns", &["private", "host"]),
    ("CgroupParent", "--cgroup-parent", &[]),
    ("Runtime", "--runtime", &["runc", "oci", "crun"]),
    ("VolumeDriver", "--volume-driver", &[]),
];
/// Those that are said elsewhere, or follow from the others.
const ELSEWHERE: [&str; 21] = [
    "ContainerIDFile",
    "NetworkMode",
    "PortBindings",
    "RestartPolicy",
    "LogConfig",
    "Mounts",
    "Devices",
    "Tmpfs",
    "Ulimits",
    "NanoCpus",
    "Sysctls",
    "ConsoleSize",
    "Isolation",
    "MaskedPaths",
    "ReadonlyPaths",
    "Cgroup",
    "KernelMemory",
    "KernelMemoryTCP",
    "Annotations",
    "CgroupManager",
    "CgroupMode",
];

/// The recipe of an inspected container.
pub(super) fn recipe(value: &Value, id: &str, mode: &NetworkMode, image: Option<&ImageDefaults>) -> Recipe {
    let (config, host) = (&value["Config"], &value["HostConfig"]);
    let nothing = Value::Null;
    let of_image = image.map_or(&nothing, |image| &image.config);
    let mut made = Made::default();
    made.config(config, of_image, id, mode);
    made.host(host);
    made.network(value, host, id, mode);
    made.volumes(value, host);
    let own: BTreeSet<String> = items(&of_image["Env"]).collect();
    let podman = items(&config["Env"]).any(|variable| variable == "container=podman");
    let environment = items(&config["Env"]).filter(|variable| !own.contains(variable));
    let names = environment.filter_map(|variable| Some(variable.split_once('=')?.0.to_owned()));
    let environment = names.filter(|name| !podman || !SET_BY_PODMAN.contains(&name.as_str())).collect();
    let mut command = made.entry;
    command.extend(items(&config["Cmd"]).filter(|_| !made.same_command));
    for words in [&mut made.arguments, &mut command] {
        mask(words, &mut made.incomplete);
    }
    Recipe { arguments: made.arguments, environment, command, incomplete: made.incomplete }
}

/// A word with a secret gives no word that would make the same container.
fn mask(words: &mut [String], incomplete: &mut Vec<String>) {
    let clean = crate::unit::without_secrets(words);
    if clean != words {
        incomplete.push("a secret among its arguments".to_owned());
        words.clone_from_slice(&clean);
    }
}

#[derive(Default)]
struct Made {
    arguments: Vec<String>,
    incomplete: Vec<String>,
    /// The entry point's words after the first.
    entry: Vec<String>,
    /// The command is the image's own.
    same_command: bool,
}

impl Made {
    fn option(&mut self, name: &str, value: impl Into<String>) {
        self.arguments.extend([name.to_owned(), value.into()]);
    }

    fn config(&mut self, config: &Value, of_image: &Value, id: &str, mode: &NetworkMode) {
        let entry: Vec<String> = items(&config["Entrypoint"]).collect();
        let same_entry = entry == items(&of_image["Entrypoint"]).collect::<Vec<_>>();
        if let Some((first, rest)) = entry.split_first().filter(|_| !same_entry) {
            self.option("--entrypoint", first);
            self.entry = rest.to_vec();
        }
        // A changed entry point makes the engine forget the image's command.
        let same = items(&config["Cmd"]).eq(items(&of_image["Cmd"]));
        self.same_command = same && same_entry;
        let own_name = string(&config["Hostname"]);
        let given = !own_name.is_empty() && !id.starts_with(own_name);
        if given && !matches!(mode, NetworkMode::Host | NetworkMode::Container(_)) {
            self.option("--hostname", own_name);
        }
        for (key, option) in [("User", "--user"), ("WorkingDir", "--workdir"), ("StopSignal", "--stop-signal")] {
            let value = string(&config[key]);
            let default = value.is_empty() || value == string(&of_image[key]) || (key, value) == ("StopSignal", "15");
            if !default && (key, value) != ("WorkingDir", "/") {
                self.option(option, value);
            }
        }
        for (key, option) in [("Tty", "--tty"), ("OpenStdin", "--interactive")] {
            if config[key].as_bool() == Some(true) {
                self.arguments.push(option.to_owned());
            }
        }
        let ours: BTreeSet<(&str, String)> = labels(of_image).collect();
        for (name, value) in labels(config).filter(|label| !ours.contains(label)) {
            let text = format!("{name}={value}");
            if redact(&text, Trust::Parsed) == text {
                self.option("--label", text);
            } else {
                self.incomplete.push(format!("label {name}"));
            }
        }
        if !config["Healthcheck"].is_null() && config["Healthcheck"] != of_image["Healthcheck"] {
            self.incomplete.push("health check".to_owned());
        }
    }

    fn host(&mut self, host: &Value) {
        for (key, value) in entries(host) {
            if let Some((_, option)) = LISTS.iter().find(|(name, _)| *name == key) {
                for item in items(value) {
                    if option.is_empty() {
                        self.incomplete.push(key.to_owned());
                    } else {
                        self.option(option, item);
                    }
                }
                if value.as_array().is_some_and(|list| list.iter().any(Value::is_object)) {
                    self.incomplete.push(key.to_owned());
                }
            } else if let Some((_, option)) = FLAGS.iter().find(|(name, _)| *name == key) {
                if value.as_bool() == Some(true) {
                    self.arguments.push((*option).to_owned());
                }
            } else if let Some((_, option, defaults)) = VALUES.iter().find(|(name, ..)| *name == key) {
                let word = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                if !(value.is_null() || word.is_empty() || defaults.contains(&word.as_str())) {
                    self.option(option, word);
                }
            } else if !ELSEWHERE.contains(&key) && is_set(value) {
                self.incomplete.push(unrefuse_facts::text::clip(key, 64));
            }
        }
        self.rest(host);
    }

    /// What has a form of its own.
    fn rest(&mut self, host: &Value) {
        let policy = &host["RestartPolicy"];
        match (string(&policy["Name"]), number::<u32>(&policy["MaximumRetryCount"])) {
            ("" | "no", _) => {}
            ("on-failure", Some(most)) if most > 0 => self.option("--restart", format!("on-failure:{most}")),
            (name, _) => self.option("--restart", name),
        }
        if let Some(nano) = number::<u64>(&host["NanoCpus"]).filter(|&nano| nano > 0) {
            self.option("--cpus", format!("{}", nano as f64 / 1e9));
        }
        for (name, value) in entries(&host["Sysctls"]) {
            self.option("--sysctl", format!("{name}={}", string(value)));
        }
        for (path, options) in entries(&host["Tmpfs"]) {
            let options = string(options);
            self.option("--tmpfs", if options.is_empty() { path.to_owned() } else { format!("{path}:{options}") });
        }
        for limit in host["Ulimits"].as_array().into_iter().flatten().take(32) {
            // Podman lists the limits that every container gets, as RLIMIT_…
            let (name, soft, hard) = (string(&limit["Name"]), &limit["Soft"], &limit["Hard"]);
            if !name.starts_with("RLIMIT_") {
                self.option("--ulimit", format!("{name}={soft}:{hard}"));
            }
        }
        for device in host["Devices"].as_array().into_iter().flatten().take(256) {
            let part = |name: &str| string(&device[name]).to_owned();
            let (outside, inside) = (part("PathOnHost"), part("PathInContainer"));
            self.option("--device", format!("{outside}:{inside}:{}", part("CgroupPermissions")));
        }
        let log = &host["LogConfig"];
        let driver = string(&log["Type"]);
        if !matches!(driver, "" | "json-file" | "journald" | "k8s-file") || entries(&log["Config"]).next().is_some() {
            self.incomplete.push("log driver".to_owned());
        }
    }

    fn network(&mut self, value: &Value, host: &Value, id: &str, mode: &NetworkMode) {
        let word = string(&host["NetworkMode"]);
        if matches!(mode, NetworkMode::Container(_)) || !matches!(word, "" | "default" | "bridge") {
            self.option("--network", word);
        }
        if matches!(mode, NetworkMode::Container(_) | NetworkMode::Host) {
            return;
        }
        for (name, entry) in entries(&value["NetworkSettings"]["Networks"]) {
            let alone =
                name == word || matches!(word, "" | "default" | "bridge") && matches!(name, "bridge" | "podman");
            if !alone {
                self.incomplete.push(format!("network {name}"));
                continue;
            }
            for alias in items(&entry["Aliases"]).filter(|alias| !id.starts_with(alias.as_str())) {
                self.option("--network-alias", alias);
            }
            let fixed = &entry["IPAMConfig"];
            for (key, option) in [("IPv4Address", "--ip"), ("IPv6Address", "--ip6")] {
                if let Some(address) = fixed[key].as_str().filter(|address| !address.is_empty()) {
                    self.option(option, address);
                }
            }
        }
    }

    /// `--mount`, and volumes that got no name: they hold data that a new container would not find.
    fn volumes(&mut self, value: &Value, host: &Value) {
        let mut named: BTreeSet<String> =
            items(&host["Binds"]).filter_map(|bind| bind.split(':').nth(1).map(str::to_owned)).collect();
        for mount in host["Mounts"].as_array().into_iter().flatten().take(256) {
            let part = |name: &str| string(&mount[name]).to_owned();
            let mut text = format!("type={},target={}", part("Type"), part("Target"));
            if !part("Source").is_empty() {
                text += &format!(",source={}", part("Source"));
            }
            if mount["ReadOnly"].as_bool() == Some(true) {
                text += ",readonly";
            }
            if entries(mount).any(|(key, value)| key.ends_with("Options") && is_set(value)) {
                self.incomplete.push(format!("options of the mount at {}", part("Target")));
            }
            named.insert(part("Target"));
            self.option("--mount", text);
        }
        for mount in value["Mounts"].as_array().into_iter().flatten().take(256) {
            let (name, place) = (string(&mount["Name"]), string(&mount["Destination"]));
            if mount["Type"].as_str() == Some("volume") && !name.is_empty() && !named.contains(place) {
                self.option("--volume", format!("{name}:{place}"));
            }
        }
    }
}

/// Not empty, null, zero or false.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(set) => *set,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => list.iter().any(is_set),
        Value::Object(map) => map.values().any(is_set),
    }
}
