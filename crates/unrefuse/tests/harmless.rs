//! Diagnosing changes nothing: what strace(1) sees of whole runs.
//!
//! Every system call that could write, create, load or configure is listed by strace and judged here. Where strace is not
//! installed (or may not trace) the test fails with what to install: a look that did not happen proves nothing.

use std::net::TcpListener;
use std::process::Command;

/// Calls that change files, modules, mounts or settings: none may happen.
const FORBIDDEN: &str = "creat,mkdir,mkdirat,mknod,mknodat,unlink,unlinkat,rename,renameat,renameat2,link,linkat,symlink,\
symlinkat,chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,truncate,ftruncate,mount,umount2,pivot_root,init_module,\
finit_module,delete_module,sethostname,setdomainname,setxattr,lsetxattr,fsetxattr,swapon,reboot,kexec_load,bpf,unshare";

/// Where the run's traffic may go.
#[derive(Clone, Copy)]
enum Network {
    /// The machine's own: for targets on loopback.
    Own,
    /// A network namespace of its own without any link: for names, which would be asked of the machine's name servers.
    None,
}

fn strace(calls: &str, network: Network, arguments: &[&str]) -> Vec<String> {
    let log = std::env::temp_dir().join(format!(
        "unrefuse-strace-{}-{}",
        std::process::id(),
        arguments.join("_").replace(['/', ':'], "-")
    ));
    let mut command = match network {
        Network::Own => Command::new("strace"),
        Network::None => {
            let mut unshare = Command::new("unshare");
            unshare.args(["--map-root-user", "--net", "strace"]);
            unshare
        }
    };
    let status = command
        .args(["-f", "-qq", "-s", "256", "-e", "signal=none", "-e"])
        .arg(format!("trace={calls}"))
        .arg("-o")
        .arg(&log)
        .arg(env!("CARGO_BIN_EXE_unrefuse"))
        .args(arguments)
        .output()
        .expect("strace is needed to show that a diagnosis changes nothing: apt-get install strace");
    assert!(status.status.code().is_some_and(|code| code != 4), "{}", String::from_utf8_lossy(&status.stderr));
    let text = std::fs::read_to_string(&log).expect("strace wrote its log");
    let _ = std::fs::remove_file(&log);
    text.lines().map(str::to_owned).collect()
}

/// The calls of one run that are not harmless.
fn harm(network: Network, arguments: &[&str]) -> Vec<String> {
    let opened = strace("open,openat,openat2,execve", network, arguments);
    assert!(opened.iter().any(|line| line.contains("execve(")), "strace saw nothing: {opened:?}");
    let writes = opened.iter().filter(|line| {
        let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"].iter().any(|flag| line.contains(flag));
        writes && !line.contains("\"/dev/tty\"") && !line.contains("\"/dev/null\"")
    });
    let processes = opened.iter().filter(|line| line.contains("execve(")).skip(1);
    let changes = strace(FORBIDDEN, network, arguments);
    writes.chain(processes).chain(&changes).cloned().collect()
}

/// Netlink messages other than questions, and socket options that create firewall tables.
fn configuration(arguments: &[&str]) -> Vec<String> {
    strace("sendto,sendmsg,setsockopt,getsockopt,ioctl", Network::Own, arguments)
        .into_iter()
        .filter(|line| {
            let asks = ["_NEW", "_DEL", "_SET", "RTM_NEW", "NFT_MSG_NEW"].iter().any(|word| {
                line.contains("nlmsg_type=")
                    && line
                        .split("nlmsg_type=")
                        .skip(1)
                        .any(|rest| rest.split(',').next().is_some_and(|t| t.contains(word)))
            });
            let tables = line.contains("IPT_SO_") || line.contains("IP6T_SO_");
            let sets = line.contains("SIOCS") && !line.contains("SIOCSPGRP");
            asks || tables || sets
        })
        .collect()
}

#[test]
fn a_refused_target() {
    let arguments = ["--json", "127.0.0.1", "1"];
    assert_eq!(harm(Network::Own, &arguments), [""; 0]);
    assert_eq!(configuration(&arguments), [""; 0]);
}

#[test]
fn an_open_target() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let arguments = ["-v", "localhost", &port];
    assert_eq!(harm(Network::Own, &arguments), [""; 0]);
    assert_eq!(configuration(&arguments), [""; 0]);
}

#[test]
fn a_name_that_does_not_exist() {
    assert_eq!(harm(Network::None, &["--deadline", "3s", "no-such-name.invalid:80"]), [""; 0]);
}

#[test]
fn the_tables() {
    assert_eq!(harm(Network::Own, &["listeners"]), [""; 0]);
    assert_eq!(harm(Network::Own, &["who", "1"]), [""; 0]);
    assert_eq!(configuration(&["listeners", "--all"]), [""; 0]);
}
