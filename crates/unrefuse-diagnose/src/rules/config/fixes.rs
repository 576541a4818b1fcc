//! Fixes of configurations: the edit, the service's own check, and what makes it read the file.

use super::change::{self, Scope};
use super::judge::{self, Decided};
use super::runner::Runner;
use super::words;
use crate::View;
use crate::finding::Fired;
use crate::fix::quote;
use crate::report::{Certainty, Edit, Fix, Risk};
use std::net::{IpAddr, SocketAddr};
use unrefuse_facts::catalogue::{self, Apply};
use unrefuse_facts::text::visible;
use unrefuse_facts::{AttemptOutcome, ConfiguredProcess, Origin, ServiceConfig};

/// Services that answer whoever reaches them, or hold what others want.
const STORES: [&str; 5] = ["mariadb", "postgresql", "redis", "memcached", "mongodb"];

/// What opening the service means, in words that follow a semicolon.
pub(super) fn warning(config: &ServiceConfig) -> &'static str {
    match config.service.as_str() {
        "redis" => "; without a password its protected mode still turns others away",
        "memcached" => "; it asks nobody for a password: let the firewall admit only who should come",
        "postgresql" => "; who may log in from where is for pg_hba.conf to say",
        "mariadb" => "; who may log in from where is for its accounts to say",
        "mongodb" => "; see that it asks for a password, and who the firewall lets in",
        _ => "",
    }
}

/// A service that listens on another address than the asked one, as its configuration says.
pub(super) fn bound(view: &View<'_>, decided: &Decided<'_>, title: String) -> Fired {
    let certainty = decided.runner.certainty(view, decided.config);
    // A name or a list may have held the address all the same.
    let certainty = if decided.misses(view) { certainty } else { certainty.min(Certainty::Likely) };
    let mut fired = Fired::new(certainty, decided.runner.title(title))
        .predicts(&[AttemptOutcome::Refused])
        .evidences(words::both(decided.listen, decided.runner));
    fired.fixes = addresses(view, decided);
    if let (true, Runner::Stopped(_)) = (fired.fixes.is_empty(), decided.runner) {
        let (name, asked) = (&decided.config.name, view.endpoint());
        let change = match &decided.listen.address_from.origin {
            Origin::Default(says) => format!("let {name} listen on {asked} ({})", visible(says)),
            origin => format!("change what {} says, so that {name} listens on {asked}", words::place(origin)),
        };
        fired.fixes.push(Fix::new(view, Risk::Medium, decided.runner.fixed(change)));
    }
    fired.unknown = judge::unread(decided.config).collect();
    fired
}

/// The advice to start what does not run and ask it at its own port. No steps: the asked port stays closed.
pub(super) fn start_and_ask(view: &View<'_>, decided: &Decided<'_>) -> Option<Fix> {
    let Runner::Stopped(_) = decided.runner else { return None };
    let command = decided.runner.take_up(view, decided.config, Apply::Restart)?;
    let mut target = view.case.target.clone();
    target.port = decided.listen.port;
    let title = format!("start {} by `{command}` and ask port {}", decided.runner.name(), target.port);
    (!decided.misses(view)).then(|| Fix::new(view, Risk::Low, title).verify(view.verify_at(&target.endpoint())))
}

/// The ways to let the service take the asked address: narrow before broad.
pub(super) fn addresses(view: &View<'_>, decided: &Decided<'_>) -> Vec<Fix> {
    let Some(ip) = view.ip() else { return Vec::new() };
    let config = decided.config;
    let is_store = STORES.contains(&config.service.as_str());
    let (asked, every) = if is_store { (Risk::Medium, Risk::High) } else { (Risk::Low, Risk::Medium) };
    let asked_edit = change::address(decided, ip, Scope::Asked);
    let replaces = asked_edit.as_ref().is_some_and(|edit| change::takes_away(decided, edit));
    let instead = if replaces { "in place of what it has" } else { "too" };
    let narrow = format!("let {} listen on {ip}, {instead}{}", config.name, warning(config));
    let broad = format!("let {} listen on every address{}", config.name, warning(config));
    if let Some(fix) = started_anew(view, decided, ip) {
        return vec![fix];
    }
    [
        (asked_edit, asked, narrow, apply_of(config)),
        (change::address(decided, ip, Scope::Every), every, broad, broad_apply(config)),
    ]
    .into_iter()
    .filter_map(|(edit, risk, title, apply)| edited(view, config, decided.runner, vec![edit?], risk, title, apply))
    .collect()
}

/// The ways to let the service take the asked address at the asked port, where it has neither: narrow before broad.
pub(super) fn endpoints(view: &View<'_>, decided: &Decided<'_>) -> Vec<Fix> {
    let Some(ip) = view.ip() else { return Vec::new() };
    let (config, asked, old) = (decided.config, view.case.target.port, decided.listen.port);
    let way = |scope, risk, place: String, apply| {
        let edits = change::endpoint(decided, ip, asked, scope)?;
        let leaves = edits.iter().any(|edit| change::takes_away_port(edit, old));
        let told = if leaves { format!("; who uses port {old} must be told") } else { String::new() };
        let title = format!("let {} listen on {place}{}{told}", config.name, warning(config));
        edited(view, config, decided.runner, edits, risk, title, apply)
    };
    let narrow = way(Scope::Asked, Risk::Medium, SocketAddr::new(ip, asked).to_string(), apply_of(config));
    let broad = way(Scope::Every, Risk::High, format!("port {asked} of every address"), broad_apply(config));
    narrow.into_iter().chain(broad).collect()
}

/// A wildcard address takes the place of an open socket on the same port: nginx must close that first.
fn broad_apply(config: &ServiceConfig) -> Apply {
    if config.service == "nginx" { Apply::Restart } else { apply_of(config) }
}

/// A process without a unit is started by somebody: what its command line must say instead.
fn started_anew(view: &View<'_>, decided: &Decided<'_>, ip: IpAddr) -> Option<Fix> {
    let (runner, listen) = (decided.runner, decided.listen);
    match runner {
        Runner::Process(process) if process.unit.is_none() && process.user_unit.is_none() => {}
        _ => return None,
    }
    let name = runner.name();
    let every = if ip.is_ipv4() { "0.0.0.0" } else { "::" };
    let title = match &listen.address_from.origin {
        Origin::CommandLine(shown) => {
            let old = listen.address.to_string();
            let with = |new: &str| visible(&readdressed(shown, &old, new));
            if with(every) == visible(shown) {
                return None;
            }
            let (old, new, all) = (visible(shown), with(&ip.to_string()), with(every));
            format!("start {name} with `{new}` (or `{all}` for every address) in place of `{old}`")
        }
        Origin::Default(says) if !says.is_empty() => {
            format!("start {name} so that it listens on {ip} or on every address ({every}): {}", visible(says))
        }
        _ => return None,
    };
    Some(Fix::new(view, Risk::Medium, title))
}

/// `shown` with `new` in place of `old`: an IPv6 address before a port has brackets, an IPv4 address has none.
fn readdressed(shown: &str, old: &str, new: &str) -> String {
    let bracketed = format!("[{old}]");
    let (old, before_port) = match shown.contains(&bracketed) {
        true => (bracketed.as_str(), true),
        false => (old, !old.contains(':') && shown.contains(&format!("{old}:"))),
    };
    if before_port && new.contains(':') {
        shown.replacen(old, &format!("[{new}]"), 1)
    } else {
        shown.replacen(old, new, 1)
    }
}

/// How the service takes up a changed address; a restart where that is not known.
pub(super) fn apply_of(config: &ServiceConfig) -> Apply {
    catalogue::by_id(&config.service).map_or(Apply::Restart, |service| service.apply)
}

/// The fix of these edits, made in their order. Without a unit to restart there are no steps: half of it would be no fix.
pub(super) fn edited(
    view: &View<'_>,
    config: &ServiceConfig,
    runner: Runner<'_>,
    edits: Vec<Edit>,
    risk: Risk,
    title: String,
    apply: Apply,
) -> Option<Fix> {
    let folders = ["/systemd/system/", "/systemd/user/"];
    let of_unit = edits.iter().any(|edit| folders.iter().any(|folder| edit.path.contains(folder)));
    // What is no file of its configuration is read when it starts.
    let at_start = of_unit || edits.iter().any(|edit| !edit.old.is_empty() && config.file(&edit.path).is_none());
    let Some(command) = runner.take_up(view, config, if at_start { Apply::Restart } else { apply }) else {
        let becomes = |edit: &Edit| format!("{}:{} becomes `{}`", edit.path, edit.line, edit.new.trim());
        let changes: Vec<String> = edits.iter().map(becomes).collect();
        let title = format!("{title}: {}, then restart {}", changes.join(", "), runner.name());
        return Some(Fix::new(view, risk, visible(&title)));
    };
    let title = runner.fixed(title);
    let undo = runner.undo(view, &command)?;
    let read = if of_unit { runner.reread(view) } else { None };
    let with_read = |command: String| read.iter().fold(command, |command, read| format!("{read} && {command}"));
    let fix = edits.into_iter().fold(Fix::new(view, risk, title), Fix::edit);
    let fix = fix.command(with_read(command)).undo(with_read(undo));
    Some(if runner.lasts() { fix.persistent() } else { fix })
}

/// Checks the configuration where the service can, then has it read: `nginx -t && systemctl reload nginx.service`.
pub(super) fn reload(config: &ServiceConfig, process: &ConfiguredProcess, apply: Apply) -> Option<String> {
    let unit = quote(process.unit.as_deref()?)?;
    let verb = match apply {
        Apply::Reload => "reload",
        Apply::Restart => "restart",
    };
    let systemctl = format!("systemctl {verb} {unit}");
    Some(match check(config) {
        Some(check) => format!("{check} && {systemctl}"),
        None => systemctl,
    })
}

/// The service's own check, of the file that it was started with.
fn check(config: &ServiceConfig) -> Option<String> {
    let main = config.files.first().map(|file| file.path.as_str());
    let words = catalogue::by_id(&config.service)?.check?;
    let command = words.join(" ");
    Some(match config.service.as_str() {
        "haproxy" => format!("haproxy -c -f {}", quote(main?)?),
        "nginx" if main != Some("/etc/nginx/nginx.conf") => format!("nginx -t -c {}", quote(main?)?),
        "sshd" if main != Some("/etc/ssh/sshd_config") => format!("sshd -t -f {}", quote(main?)?),
        "dnsmasq" if main != Some("/etc/dnsmasq.conf") => format!("dnsmasq --test -C {}", quote(main?)?),
        "bind" if !matches!(main, Some("/etc/bind/named.conf" | "/etc/named.conf")) => {
            format!("named-checkconf {}", quote(main?)?)
        }
        // It prints the whole configuration.
        "dovecot" => "doveconf -n >/dev/null".to_owned(),
        "nginx" | "apache" | "sshd" | "dnsmasq" | "postfix" | "bind" => command,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::readdressed;

    #[test]
    fn ipv6_before_a_port_has_brackets() {
        assert_eq!(readdressed("0.0.0.0:80", "0.0.0.0", "::1"), "[::1]:80");
        assert_eq!(readdressed("--bind [::1]:80", "::1", "10.0.0.1"), "--bind 10.0.0.1:80");
        assert_eq!(readdressed("--bind 127.0.0.1", "127.0.0.1", "::"), "--bind ::");
        assert_eq!(readdressed("127.0.0.1:80", "127.0.0.1", "10.0.0.1"), "10.0.0.1:80");
    }
}
