//! The stage of one run: its nodes, wired up, with their services.

use crate::lab::Bench;
use crate::node::Node;
use crate::scenario::{Kind, Scenario, ServiceSpec, Step};
use crate::service::Service;
use crate::sys;
use crate::topology::Plan;
use anyhow::{Context as _, Result, ensure};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

/// Nodes and services. They end with it, services first.
#[derive(Debug)]
pub(crate) struct Stage {
    services: Vec<Service>,
    /// Nodes by name.
    pub(crate) nodes: BTreeMap<String, Node>,
    /// The node that holds the bridges. They live apart, so that no firewall of a node sees their frames.
    _switch: Node,
}

impl Stage {
    /// Builds the nodes of a scenario in their healthy state and starts `services`.
    pub(crate) fn build(scenario: &Scenario, services: &[ServiceSpec], bench: &Bench) -> Result<Self> {
        let lab = std::env::current_exe()?;
        let plans = scenario.topology.plan(&scenario.nodes);
        let switch = Node::start("switch", "switch", &[], None)?;
        let mut nodes = BTreeMap::new();
        for (name, plan) in &plans {
            let mut binaries: BTreeMap<String, PathBuf> = services
                .iter()
                .filter(|s| s.serve.is_some() && s.node == *name)
                .map(|s| (s.name.clone(), lab.clone()))
                .collect();
            binaries.insert("unrefuse-lab".to_owned(), lab.clone());
            binaries.insert("unrefuse".to_owned(), bench.unrefuse.clone());
            let binaries: Vec<_> = binaries.into_iter().collect();
            let hostname = plan.spec.hostname.as_deref().unwrap_or(name);
            let root = match plan.spec.kind {
                Kind::Plain => None,
                kind => Some(bench.root(kind)?),
            };
            nodes.insert(name.clone(), Node::start(name, hostname, &binaries, root)?);
        }
        wire(&switch, &nodes, &plans)?;
        for (name, plan) in &plans {
            let node = nodes.get_mut(name).context("each plan has its node")?;
            furnish(node, plan).with_context(|| format!("set up node {name}"))?;
        }
        let mut stage = Self { services: Vec::new(), nodes, _switch: switch };
        for spec in services {
            let service = Service::start(spec, stage.node(&spec.node)?)?;
            stage.services.push(service);
        }
        Ok(stage)
    }

    /// The node of that name.
    pub(crate) fn node(&self, name: &str) -> Result<&Node> {
        self.nodes.get(name).with_context(|| format!("there is no node {name}"))
    }

    /// Takes one step of the fault.
    pub(crate) fn step(&mut self, step: &Step) -> Result<()> {
        if let Some(script) = &step.run {
            self.node(&step.node)?.must(script)?;
        }
        for (wanted, act) in [
            (&step.stop, Service::stop as fn(&mut Service) -> Result<()>),
            (&step.freeze, Service::freeze as fn(&mut Service) -> Result<()>),
        ] {
            let Some(wanted) = wanted else { continue };
            let service = self.services.iter_mut().find(|service| service.name == *wanted);
            act(service.with_context(|| format!("there is no service {wanted}"))?)?;
        }
        if let Some(script) = &step.until {
            let node = self.node(&step.node)?;
            let done = sys::poll_until(Instant::now() + crate::node::STEP_LIMIT, || {
                node.shell(script).is_ok_and(|o| o.success())
            });
            ensure!(done, "on {}: still not true: {script}", node.name);
        }
        Ok(())
    }
}

/// Bridges on the switch, a veth pair for each interface, addresses and routes.
fn wire(switch: &Node, nodes: &BTreeMap<String, Node>, plans: &BTreeMap<String, Plan>) -> Result<()> {
    let mut lans: BTreeMap<&str, usize> = BTreeMap::new();
    let mut bridges = String::from("link set lo up\n");
    let mut port = 0;
    for (name, plan) in plans {
        for interface in &plan.interfaces {
            let known = lans.len();
            let lan = *lans.entry(&interface.lan).or_insert(known);
            if lan == known {
                let _ = writeln!(bridges, "link add br{lan} type bridge stp_state 0 mcast_snooping 0 forward_delay 0");
                let _ = writeln!(bridges, "link set br{lan} up");
            }
            let (own, pid) = (&interface.name, nodes[name].pid());
            let _ = writeln!(bridges, "link add p{port} type veth peer name {own} netns {pid}");
            let _ = writeln!(bridges, "link set p{port} master br{lan} up");
            port += 1;
        }
    }
    batch(switch, &bridges, true)?;
    for (name, plan) in plans {
        let mut lines = String::from("link set lo up\n");
        for interface in &plan.interfaces {
            for address in &interface.addresses {
                let nodad = if address.contains(':') { " nodad" } else { "" };
                let _ = writeln!(lines, "addr add {address} dev {}{nodad}", interface.name);
            }
            let _ = writeln!(lines, "link set {} up", interface.name);
        }
        for line in &plan.ip {
            let _ = writeln!(lines, "{line}");
        }
        batch(&nodes[name], &lines, false)?;
    }
    await_carriers(switch, nodes, plans, port)
}

/// Waits until every interface has its carrier and every bridge port forwards. The kernel tells bridges of a carrier from
/// a work queue (linkwatch_event, net/core/link_watch.c); until then they drop the first packets, and with them the first
/// question for a neighbour.
fn await_carriers(
    switch: &Node,
    nodes: &BTreeMap<String, Node>,
    plans: &BTreeMap<String, Plan>,
    ports: usize,
) -> Result<()> {
    let reads = |node: &Node, file: &str, wanted: &str| {
        std::fs::read_to_string(node.path(&format!("/sys/class/net/{file}"))).is_ok_and(|text| text.trim() == wanted)
    };
    let up = || {
        // BR_STATE_FORWARDING of include/uapi/linux/if_bridge.h.
        (0..ports).all(|port| reads(switch, &format!("p{port}/brport/state"), "3"))
            && plans.iter().all(|(name, plan)| {
                plan.interfaces.iter().all(|own| reads(&nodes[name], &format!("{}/operstate", own.name), "up"))
            })
    };
    ensure!(sys::poll_until(Instant::now() + crate::node::STEP_LIMIT, up), "the links did not come up");
    Ok(())
}

/// Runs `ip -batch`. With `outside` the process stays in the lab's process namespace, where holders' ids are known.
fn batch(node: &Node, lines: &str, outside: bool) -> Result<()> {
    let mut input = sys::memory_file()?;
    input.write_all(lines.as_bytes())?;
    std::io::Seek::rewind(&mut input)?;
    let (program, arguments): (&str, Vec<String>) = if outside {
        ("nsenter", vec![format!("--net=/proc/{}/ns/net", node.pid()), "ip".into(), "-batch".into(), "-".into()])
    } else {
        ("ip", vec!["-batch".into(), "-".into()])
    };
    let mut command = Node::command(program);
    command.args(&arguments).stdin(input);
    let output = if outside {
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output()?;
        crate::node::Output { status: Some(output.status), stdout: output.stdout, stderr: output.stderr }
    } else {
        node.run(command, crate::scenario::User::Root, crate::node::STEP_LIMIT)?
    };
    ensure!(output.success(), "ip on {}: {}", node.name, output.text());
    Ok(())
}

/// Settings, files, further namespaces and commands of the scenario's own, and a systemd host's start.
fn furnish(node: &mut Node, plan: &Plan) -> Result<()> {
    let mut script = String::new();
    for (key, value) in &plan.spec.sysctls {
        let _ = writeln!(script, "echo '{value}' >/proc/sys/{}", key.replace('.', "/"));
    }
    for name in &plan.spec.netns {
        let _ = writeln!(script, "ip netns add {name}\nip -n {name} link set lo up");
    }
    for (path, text) in &plan.spec.files {
        let place = node.path(path);
        if let Some(folder) = place.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let _ = std::fs::remove_file(&place);
        std::fs::write(&place, text).with_context(|| format!("write {path}"))?;
    }
    all(node, &plan.spec.before_boot)?;
    if node.has_systemd() {
        node.boot()?;
    }
    all(node, &[&[script], &plan.spec.setup[..]].concat())
}

/// Runs shell commands one after the other, each of which must succeed.
fn all(node: &Node, commands: &[String]) -> Result<()> {
    let script = commands.join("\n");
    if script.trim().is_empty() { Ok(()) } else { node.must(&format!("set -e\n{script}")) }
}
