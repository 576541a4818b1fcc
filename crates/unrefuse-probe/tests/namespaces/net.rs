//! Network namespaces that live as long as a thread each: nothing on the machine has to be cleaned up.

use std::io::Write;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};
use unrefuse_facts::{Attempt, AttemptOutcome, Protocol};
use unrefuse_probe::{AttemptOptions, attempts};

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace of its own, and the thread in it that does what it is told.
pub(crate) struct Node {
    jobs: Sender<Job>,
    thread: u32,
}

impl Node {
    fn new() -> Self {
        let (jobs, todo) = channel::<Job>();
        let (says, tid) = channel();
        std::thread::spawn(move || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            says.send(nix::unistd::gettid().as_raw() as u32).unwrap();
            for job in todo {
                job();
            }
        });
        let node = Self { jobs, thread: tid.recv_timeout(Duration::from_secs(10)).expect("a network namespace") };
        // No duplicate address detection: addresses are usable at once.
        node.set("net/ipv6/conf/default/accept_dad", "0");
        node.set("net/ipv6/conf/all/accept_dad", "0");
        node.ip("link set lo up");
        node
    }

    /// Runs `work` in the namespace and returns what it returns.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = channel();
        self.jobs.send(Box::new(move || done.send(work()).unwrap_or(()))).unwrap();
        result.recv_timeout(Duration::from_secs(30)).expect("the work in the namespace ended")
    }

    /// Runs a program in the namespace; it must succeed.
    fn command(&self, program: &'static str, arguments: Vec<String>) {
        self.run(move || {
            let output = Command::new(program).args(&arguments).output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program} {arguments:?}: {error}");
        });
    }

    /// ip(8).
    pub(crate) fn ip(&self, line: &str) {
        self.command("ip", line.split(' ').map(str::to_owned).collect());
    }

    /// An nft(8) table with one chain at `hook` and these rules.
    pub(crate) fn nft(&self, hook: &str, rules: &[&str]) {
        let rules = rules.join("; ");
        let script = format!("table inet t {{ chain c {{ type filter hook {hook} priority 0; {rules}; }}; }}");
        self.command("nft", vec![script]);
    }

    /// Sets a sysctl of the namespace.
    pub(crate) fn set(&self, name: &str, value: &'static str) {
        let path = format!("/proc/sys/{name}");
        self.run(move || std::fs::write(&path, value).unwrap());
    }

    /// One round of attempts over TCP with a packet socket.
    pub(crate) fn attempts(&self, addresses: &[&str]) -> Vec<Attempt> {
        self.attempts_with(Protocol::Tcp, addresses, Duration::from_secs(4), 1)
    }

    /// Attempts with a packet socket.
    pub(crate) fn attempts_with(
        &self,
        protocol: Protocol,
        to: &[&str],
        timeout: Duration,
        rounds: u32,
    ) -> Vec<Attempt> {
        let to: Vec<_> = to.iter().map(|address| address.parse().unwrap()).collect();
        self.run(move || {
            let deadline = Instant::now() + Duration::from_secs(10);
            attempts(&to, &AttemptOptions { protocol, timeout, deadline, rounds, sniff: true, watch: &|_, _| None })
        })
    }
}

/// A machine alone with its loopback, or `None` where that cannot be made.
pub(crate) fn alone() -> Option<Node> {
    can_make_namespaces().then(Node::new)
}

/// Client, router and server, each linked to the next. Server: 10.77.2.2 and fd77:2::2; router: 10.77.1.1 and
/// fd77:1::1 towards the client, which is 10.77.1.2 and fd77:1::2 on its link `c`.
pub(crate) struct Path {
    pub(crate) client: Node,
    pub(crate) router: Node,
    pub(crate) server: Node,
}

/// A path, or `None` where it cannot be made.
pub(crate) fn path() -> Option<Path> {
    if !can_make_namespaces() {
        return None;
    }
    let (client, router, server) = (Node::new(), Node::new(), Node::new());
    client.ip(&format!("link add name c type veth peer name a netns {}", router.thread));
    server.ip(&format!("link add name s type veth peer name b netns {}", router.thread));
    for (node, link, net, host) in
        [(&client, "c", 1, 2), (&router, "a", 1, 1), (&router, "b", 2, 1), (&server, "s", 2, 2)]
    {
        node.ip(&format!("address add 10.77.{net}.{host}/24 dev {link}"));
        node.ip(&format!("address add fd77:{net}::{host}/64 dev {link} nodad"));
        node.ip(&format!("link set dev {link} up"));
    }
    router.set("net/ipv4/ip_forward", "1");
    router.set("net/ipv6/conf/all/forwarding", "1");
    for (node, net) in [(&client, 1), (&server, 2)] {
        node.ip(&format!("route add default via 10.77.{net}.1"));
        node.ip(&format!("-6 route add default via fd77:{net}::1"));
    }
    let path = Path { client, router, server };
    // Neighbours get to know each other, and the links come up in their own time.
    let deadline = Instant::now() + Duration::from_secs(20);
    let ready =
        |attempt: &Attempt| attempt.outcome == AttemptOutcome::Refused && attempt.elapsed < Duration::from_millis(500);
    loop {
        let all = path.client.attempts(&["10.77.2.2:9", "[fd77:2::2]:9"]);
        if all.iter().all(ready) {
            return Some(path);
        }
        assert!(Instant::now() < deadline, "{all:?}");
    }
}

/// Whether `program` is there, said aloud if not.
pub(crate) fn has(program: &str) -> bool {
    let found = Command::new(program).arg("-V").output().is_ok();
    if !found {
        skipped(program);
    }
    found
}

/// Past the test harness, which keeps what a passing test prints to itself.
fn skipped(needs: &str) {
    let _ = std::io::stderr().write_all(format!("\nSKIPPED: needs {needs}\n").as_bytes());
}

fn can_make_namespaces() -> bool {
    let root = nix::unistd::geteuid().is_root();
    let allowed = root
        && std::thread::spawn(|| nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).is_ok()).join().unwrap();
    if !allowed {
        skipped("root");
    }
    allowed && has("ip")
}
