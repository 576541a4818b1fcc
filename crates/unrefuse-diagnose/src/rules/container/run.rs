//! The engine's command, and a container made anew from what was given to its `run`.

use super::meant::Meant;
use crate::View;
use crate::fix::quote;
use crate::report::{Fix, Risk};
use std::net::{IpAddr, SocketAddr};
use unrefuse_facts::text::visible;
use unrefuse_facts::{Container, ContainerPort, Engine, EngineKind, NetworkMode, PublishedPort};

/// Where Docker's command looks for the engine by itself.
const DEFAULTS: [&str; 2] = ["/run/docker.sock", "/var/run/docker.sock"];

/// How an engine is spoken to from a root shell; from the user's own where it is that user's engine.
pub(super) struct Cli {
    program: String,
    /// The commands are the user's of that id.
    uid: Option<u32>,
    /// A folder that only who gives the commands may write to.
    folder: String,
}

impl Cli {
    /// `None` where its socket cannot be named safely.
    pub(super) fn of(view: &View<'_>, engine: &Engine) -> Option<Self> {
        let mut program = engine.kind.command().to_owned();
        if engine.kind == EngineKind::Docker && !DEFAULTS.contains(&engine.socket.as_str()) {
            program = format!("docker -H {}", quote(&format!("unix://{}", engine.socket))?);
        }
        let folder = engine.rootless_uid.map_or_else(|| "/run".to_owned(), |uid| format!("/run/user/{uid}"));
        // Docker's socket is root's, too; Podman's containers are found by the user's own process.
        let others = engine.rootless_uid.filter(|uid| *uid != view.case.host.own.uid);
        Some(Self { program, uid: others.filter(|_| engine.kind == EngineKind::Podman), folder })
    }

    /// `docker start web`; `arguments` are quoted already.
    pub(super) fn run(&self, arguments: &str) -> Option<String> {
        self.script(&format!("{} {arguments}", self.program))
    }

    /// A command line in which the engine's command may stand anywhere.
    fn script(&self, script: &str) -> Option<String> {
        let Some(uid) = self.uid else { return Some(script.to_owned()) };
        let inner = quote(&format!("export XDG_RUNTIME_DIR=/run/user/{uid}; {script}"))?;
        Some(format!("runuser -l \"$(id -nu {uid})\" -c {inner}"))
    }
}

/// A name as an argument, quoted; `None` where it would be read as an option, or cannot be quoted.
pub(super) fn argument(name: &str) -> Option<String> {
    quote(name).filter(|_| !name.is_empty() && !name.starts_with('-'))
}

/// `docker start web`, of the container that was meant; `None` where its name cannot be quoted.
pub(super) fn of_container(view: &View<'_>, engine: &Engine, container: &Container, verb: &str) -> Option<String> {
    Cli::of(view, engine)?.run(&format!("{verb} {}", argument(&container.name)?))
}

/// `127.0.0.1:8080:80/udp`, as `-p` and a compose file take it.
pub(super) fn entry(address: Option<IpAddr>, host_port: Option<u16>, to: ContainerPort) -> String {
    let udp = if to.transport == unrefuse_facts::Transport::Udp { "/udp" } else { "" };
    let host = match (address.filter(|ip| !ip.is_unspecified()), host_port) {
        (Some(ip), Some(port)) => format!("{}:", SocketAddr::new(ip, port)),
        (Some(ip @ IpAddr::V6(_)), None) => format!("[{ip}]::"),
        (Some(ip), None) => format!("{ip}::"),
        (None, Some(port)) => format!("{port}:"),
        (None, None) => String::new(),
    };
    format!("{host}{}{udp}", to.port)
}

/// What is different of the new container.
#[derive(Default)]
pub(super) struct Change {
    /// Ports to publish, beside the others, each as `-p` takes it.
    pub(super) publish: Vec<String>,
    /// The publication that it takes the place of.
    pub(super) in_place_of: Option<PublishedPort>,
    /// Other arguments after the image.
    pub(super) command: Option<Vec<String>>,
}

/// The container stopped, kept under another name, and run anew with that change. Without steps, and with the reason in
/// words, where a `run` line would lose settings.
pub(super) fn anew(view: &View<'_>, meant: &Meant<'_>, risk: Risk, title: &str, change: &Change) -> Fix {
    let container = meant.container;
    let lost = "what was written inside it and to no volume stays in the old one";
    match (obstacle(meant), steps(view, meant, change)) {
        (None, Some(build)) => build(Fix::new(view, risk, format!("{title}: run it anew; {lost}"))),
        (reason, _) => {
            let reason = reason.unwrap_or_else(|| "its arguments cannot be quoted safely".to_owned());
            let how: String = change.publish.iter().map(|entry| format!(" -p {entry}")).collect();
            let how = if how.is_empty() { how } else { format!(" with{how}") };
            let again = match crate::containers::pod(container) {
                Some(_) => "make the pod and its containers anew (`podman pod create`)".to_owned(),
                None => format!("run {} anew", visible(&container.name)),
            };
            let title = format!("{title}: {again}{how}, as it was made; no command is given: {reason}");
            Fix::new(view, risk, title)
        }
    }
}

/// Why a `run` line would not make the same container.
fn obstacle(meant: &Meant<'_>) -> Option<String> {
    let container = meant.container;
    if crate::containers::pod(container).is_some() {
        return Some("the ports of a pod are set when it is made".to_owned());
    }
    if let Some(first) = container.recipe.incomplete.first() {
        return Some(format!("it has settings that its run line would lose ({})", visible(first)));
    }
    let masked = |words: &[String]| words.iter().any(|word| word.contains("***"));
    if masked(&container.recipe.arguments) || masked(&container.recipe.command) {
        return Some("its arguments hold a secret".to_owned());
    }
    // Names as engines make them (moby's `names.RestrictedNameChars`): it becomes a part of a path.
    if !container.name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
        return Some("its name is none that an engine gives".to_owned());
    }
    let unit = container.recipe.arguments.iter().find_map(|word| Some(word.split_once("PODMAN_SYSTEMD_UNIT=")?.1));
    if let Some(unit) = unit {
        return Some(format!("it is made by the unit {}, whose file is the place to change", visible(unit)));
    }
    let shares = |c: &Container| matches!(&c.network_mode, NetworkMode::Container(of) if *of == container.name || *of == container.id);
    let other = meant.facts.all().map(|(_, c)| c).find(|c| shares(c))?;
    Some(format!("container {} uses its network", visible(&other.name)))
}

type Build = Box<dyn FnOnce(Fix) -> Fix>;

fn steps(view: &View<'_>, meant: &Meant<'_>, change: &Change) -> Option<Build> {
    let (container, recipe) = (meant.container, &meant.container.recipe);
    let cli = Cli::of(view, meant.engine)?;
    let name = argument(&container.name)?;
    let before = quote(&free_name(meant))?;
    let file = quote(&format!("{}/unrefuse-{}.env", cli.folder, container.name))?;
    let environment = !recipe.environment.is_empty();
    let removed_by_itself = recipe.arguments.iter().any(|word| word == "--rm" || word == "--rm=true");
    let always = meant.engine.kind == EngineKind::Docker && container.restart_policy.as_deref() == Some("always");

    let mut words: Vec<String> = vec!["run".into(), "-d".into(), "--name".into(), name.clone()];
    for argument in recipe.arguments.iter().filter(|word| *word != "-d" && *word != "--detach") {
        words.push(quote(argument)?);
    }
    if environment {
        words.extend(["--env-file".to_owned(), file.clone()]);
    }
    if container.publish_all {
        words.push("-P".into());
    }
    let kept = container.published.iter().filter(|p| Some(**p) != change.in_place_of);
    for entry in kept.map(|p| entry(p.host_address, p.host_port, p.container)).chain(change.publish.clone()) {
        words.extend(["-p".to_owned(), quote(&entry)?]);
    }
    words.push(argument(&container.image)?);
    for word in change.command.as_ref().unwrap_or(&recipe.command) {
        words.push(quote(word)?);
    }

    let mut steps = Vec::new();
    if environment {
        // The values are taken over by the engine itself and are never shown.
        let inspect = format!("inspect -f '{{{{range .Config.Env}}}}{{{{println .}}}}{{{{end}}}}' {name}");
        steps.push(cli.script(&format!("( umask 077; {} {inspect} >{file} )", cli.program))?);
    }
    if crate::containers::is_up(container) {
        steps.push(cli.run(&format!("stop {name}"))?);
    }
    let mut undo = vec![cli.run(&format!("rm -f {name}"))?];
    if !removed_by_itself {
        steps.push(cli.run(&format!("rename {name} {before}"))?);
        undo.push(cli.run(&format!("rename {before} {name}"))?);
        if always {
            // Else it comes back beside the new one when the engine starts again.
            steps.push(cli.run(&format!("update --restart=no {before}"))?);
            undo.push(cli.run(&format!("update --restart=always {name}"))?);
        }
        undo.push(cli.run(&format!("start {name}"))?);
    }
    steps.push(cli.run(&words.join(" "))?);
    if environment {
        steps.push(cli.script(&format!("rm {file}"))?);
    }
    let persistent = matches!(container.restart_policy.as_deref(), Some("always" | "unless-stopped"));
    Some(Box::new(move |mut fix: Fix| {
        fix = steps.into_iter().fold(fix, Fix::command);
        if !removed_by_itself {
            fix = undo.into_iter().fold(fix, Fix::undo);
        }
        if persistent { fix.persistent() } else { fix }
    }))
}

/// A name for the old container that no other has.
fn free_name(meant: &Meant<'_>) -> String {
    let wanted = format!("{}-before", meant.container.name);
    let taken = |name: &str| meant.facts.all().any(|(_, c)| c.name == name);
    let numbered = (2..100).map(|number| format!("{wanted}-{number}"));
    std::iter::once(wanted.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(wanted)
}
