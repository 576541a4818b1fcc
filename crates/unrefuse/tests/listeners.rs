//! From where listeners can be reached, in namespaces of their own with a firewall. Needs root; says so where it is not.

mod schemas;

use serde_json::Value;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A namespace with an interface, rules, and listeners; ends with the value.
struct Namespace(Child);

impl Namespace {
    /// `None`, and said loudly, where namespaces cannot be made.
    fn new(test: &str, rules: &str, listeners: &[&str]) -> Option<Self> {
        let may = Command::new("unshare").args(["--net", "true"]).output().is_ok_and(|o| o.status.success());
        if !may {
            let _ = writeln!(std::io::stderr(), "SKIPPED: {test} needs root, to make a network namespace");
            return None;
        }
        let listen: String = listeners.iter().map(|nc| format!("nc {nc} >/dev/null 2>&1 </dev/null & ")).collect();
        let script = format!(
            "set -e; ip link set lo up; ip link add in0 type veth peer name out0; ip link set in0 up; ip link set out0 up
             ip address add 192.0.2.1/24 dev in0; ip address add 2001:db8:1::1/64 dev in0 nodad
             ip address add 198.51.100.1/24 dev out0
             ip route add default via 192.0.2.254; ip -6 route add default via 2001:db8:1::fe dev in0
             nft -f -; {listen} wait"
        );
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", &script])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
        Some(Self(child))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unrefuse"));
        command.args(["listeners", "--netns", &self.0.id().to_string()]);
        command
    }

    /// The listeners, once there are so many.
    fn listeners(&self, count: usize) -> Value {
        let started = Instant::now();
        loop {
            let output = self.command().arg("--json").output().unwrap();
            let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            if found["listeners"].as_array().is_some_and(|all| all.len() >= count) {
                schemas::hold("listeners", &found);
                return found;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The shell that waits, and the listeners that it started.
        let _ = Command::new("kill").args(["-TERM", "--", &format!("-{}", self.0.id())]).status();
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn reach(found: &Value, address: &str, port: u16) -> String {
    let all = found["listeners"].as_array().unwrap();
    let row = all.iter().find(|row| row["port"] == port && row["address"] == address);
    row.unwrap_or_else(|| panic!("{address}:{port} in {found:#}"))["reach"].as_str().unwrap().to_owned()
}

#[test]
fn a_policy_of_drop_with_allowed_prefixes() {
    let rules = "table inet t {
        set office { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 203.0.113.7 } }
        chain input {
            type filter hook input priority 0; policy drop;
            iif lo accept
            ct state established,related accept
            tcp dport 8001 accept
            tcp dport 8002 ip saddr 10.0.0.0/8 accept
            tcp dport 8002 ip6 saddr 2001:db8:5::/48 accept
            tcp dport 8003 ip saddr @office accept
            tcp dport 8005 iifname out0 accept
            tcp dport 8006 limit rate 5/second accept
            tcp dport 8008 ip saddr != 203.0.113.0/24 accept
        }
    }\n";
    let listeners: Vec<String> = (8001..=8008)
        .flat_map(|port| [format!("-4 -lk 0.0.0.0 {port}"), format!("-6 -lk :: {port}")])
        .chain(["-4 -lk 192.0.2.1 8009".to_owned(), "-4 -lk 127.0.0.1 8010".to_owned()])
        .collect();
    let listeners: Vec<&str> = listeners.iter().map(String::as_str).collect();
    let Some(namespace) = Namespace::new("a_policy_of_drop_with_allowed_prefixes", rules, &listeners) else { return };
    let found = namespace.listeners(18);
    assert_eq!(found["firewall"]["looked"], true, "{found:#}");
    let v4 = |port| reach(&found, "0.0.0.0", port);
    let v6 = |port| reach(&found, "[::]", port);
    // The sockets of IPv6 take IPv4, too.
    assert_eq!((v4(8001).as_str(), v6(8001).as_str()), ("anywhere, IPv4 only", "anywhere"));
    assert_eq!((v4(8002).as_str(), v6(8002).as_str()), ("10.0.0.0/8", "IPv4: 10.0.0.0/8; IPv6: 2001:db8:5::/48"));
    assert_eq!(v4(8003), "10.0.0.0/8, 203.0.113.7");
    assert_eq!(v6(8003), "IPv4: 10.0.0.0/8, 203.0.113.7; IPv6: nobody");
    assert_eq!(v6(8004), "this machine only (firewall)");
    assert_eq!(v4(8004), "this machine only (firewall)", "nothing is allowed");
    assert_eq!(v4(8005), "anywhere by out0");
    assert_eq!(v4(8006), "perhaps anywhere");
    assert_eq!(v4(8008), "anywhere but 203.0.113.0/24");
    assert_eq!(reach(&found, "192.0.2.1", 8009), "this machine only (firewall)");
    assert_eq!(reach(&found, "127.0.0.1", 8010), "this machine only");
    let all = found["listeners"].as_array().unwrap();
    let office = all.iter().find(|row| row["port"] == 8003 && row["address"] == "0.0.0.0").unwrap();
    let by = office["reachable_from"].as_array().unwrap().iter().find(|by| by["interface"] == "in0").unwrap();
    assert_eq!((&by["family"], &by["exact"]), (&"ipv4".into(), &true.into()));
    assert_eq!(by["from"], serde_json::json!(["10.0.0.0/8", "203.0.113.7"]));
}

#[test]
fn one_socket_for_both_families() {
    let rules =
        "table ip t { chain input { type filter hook input priority 0; policy drop; ip saddr 10.0.0.0/8 accept; }; }
        table ip nat { chain pre { type nat hook prerouting priority -100; tcp dport 8012 dnat to 198.51.100.7; }; }\n";
    let script = ["-lk 0.0.0.0 8012", "-lk 8011"];
    let Some(namespace) = Namespace::new("one_socket_for_both_families", rules, &script) else { return };
    let found = namespace.listeners(2);
    let all = found["listeners"].as_array().unwrap();
    let both = all.iter().find(|row| row["port"] == 8011).unwrap();
    let reach_of = |row: &Value| row["reach"].as_str().unwrap().to_owned();
    let expected = if both["address"] == "0.0.0.0" { "10.0.0.0/8" } else { "IPv4: 10.0.0.0/8; IPv6: anywhere" };
    assert_eq!(reach_of(both), expected, "{found:#}");
    assert_eq!(reach(&found, "0.0.0.0", 8012), "this machine only (firewall)", "NAT sends it elsewhere");
}

#[test]
fn without_a_firewall_the_bind_address_decides() {
    let Some(namespace) = Namespace::new("without_a_firewall", "\n", &["-4 -lk 0.0.0.0 8013"]) else { return };
    let found = namespace.listeners(1);
    assert_eq!(found["firewall"], serde_json::json!({"looked": true}));
    assert_eq!(reach(&found, "0.0.0.0", 8013), "anywhere, IPv4 only");
    assert_eq!(found["listeners"][0].get("reachable_from"), None);
}

#[test]
fn who_may_not_read_the_rules_is_told_so() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unrefuse"));
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if root {
        command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", env!("CARGO_BIN_EXE_unrefuse")]);
    }
    let _open = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = command.arg("listeners").output().unwrap();
    let (shown, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() != Some(0) && root {
        // The build's folder is closed to others.
        let _ = writeln!(std::io::stderr(), "SKIPPED: nobody may not run {}: {said}", env!("CARGO_BIN_EXE_unrefuse"));
        return;
    }
    assert!(shown.contains("BIND ADDRESS REACHES"), "{shown}{said}");
    assert!(said.contains("the firewall was not looked at"), "{said}");
}
