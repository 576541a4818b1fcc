//! Times the dump of all listeners with owners against `ss -tulnp`, and one port's owner against `ss -tlnp sport = :P`.
//!
//! Run as root: `cargo run --release --example bench_listeners -p unrefuse-collect [SOCKETS PROCESSES]`. The sockets are
//! made by forked processes in a network namespace of their own; they end with this program.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use unrefuse_collect::{Host, Owners, SocketQuery, States, live::Live};
use unrefuse_facts::Transport;

const ROUNDS: usize = 15;
const FIRST_PORT: usize = 2000;
const PORTS: usize = 60_000;

fn main() {
    let arguments: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    // Memory grows and never shrinks, so each size has a process of its own.
    match arguments[..] {
        [sockets, processes] => bench(sockets, processes),
        _ => {
            for (sockets, processes) in [(100, 10), (10_000, 200), (100_000, 250)] {
                let own = std::env::current_exe().expect("own path");
                let status = Command::new(own).args([sockets.to_string(), processes.to_string()]).status();
                assert!(status.is_ok_and(|status| status.success()), "{sockets} sockets failed");
            }
        }
    }
}

fn bench(sockets: usize, processes: usize) {
    // SAFETY: unshare with a network namespace only; this is the only thread.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0, "needs root: {}", std::io::Error::last_os_error());
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().is_ok_and(|s| s.success()), "ip link");
    let children = populate(sockets, processes);
    let port = u16::try_from(FIRST_PORT + sockets.min(PORTS) / 2).expect("port");
    let filter = format!("sport = :{port}");
    let all = SocketQuery {
        port: None,
        transports: vec![Transport::Tcp, Transport::Udp],
        owners: Owners::Wanted,
        states: States::Listening,
    };
    let one = SocketQuery {
        port: Some(port),
        transports: vec![Transport::Tcp],
        owners: Owners::Wanted,
        states: States::Listening,
    };

    println!("{sockets} listening sockets, {processes} processes, medians of {ROUNDS}");
    let before = peak_kib();
    let (ours, ss) = medians(|| look(&all, sockets), || run("ss", &["-tulnp"]));
    println!("  all:      {:>8.1} ms  ss -tulnp {:>8.1} ms  ratio {:.3}", ms(ours), ms(ss), ratio(ours, ss));
    let peak = peak_kib();
    let (ours, ss) = medians(|| look(&one, 1), || run("ss", &["-tlnp", &filter]));
    println!("  one port: {:>8.1} ms  ss sport  {:>8.1} ms  ratio {:.3}", ms(ours), ms(ss), ratio(ours, ss));
    println!("  peak memory {peak} KiB ({before} KiB before)");
    for child in children {
        // SAFETY: a child of ours that was not waited for, so its id is still its own.
        unsafe { libc::kill(child, libc::SIGKILL) };
    }
}

fn look(query: &SocketQuery, at_least: usize) {
    let table = Live::new().sockets(query);
    let table = table.get().expect("sockets");
    assert!(table.listeners.len() >= at_least, "{} listeners", table.listeners.len());
    assert!(table.listeners.iter().all(|socket| !table.owners(socket).is_empty()), "a socket without owner");
}

fn run(command: &str, arguments: &[&str]) {
    let status = Command::new(command).args(arguments).stdout(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "{command} failed");
}

/// Forks processes that hold the sockets and sleep; returns when all sockets listen.
fn populate(sockets: usize, processes: usize) -> Vec<libc::pid_t> {
    let per_process = sockets / processes;
    let mut pipe = [0; 2];
    // SAFETY: pipe has room for two descriptors.
    assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
    let mut children = Vec::new();
    for process in 0..processes {
        // SAFETY: this is the only thread, so the child may do anything.
        match unsafe { libc::fork() } {
            0 => {
                let held: Vec<TcpListener> = (0..per_process).map(|i| listener(process * per_process + i)).collect();
                // SAFETY: one byte to our own pipe; pause and prctl touch no memory of ours.
                unsafe {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    assert_eq!(libc::write(pipe[1], [1_u8].as_ptr().cast(), 1), 1);
                    while !held.is_empty() || per_process == 0 {
                        libc::pause();
                    }
                }
                std::process::exit(0);
            }
            child => children.push(child),
        }
    }
    for _ in 0..processes {
        let mut byte = 0_u8;
        // SAFETY: one byte of room.
        assert_eq!(unsafe { libc::read(pipe[0], (&raw mut byte).cast(), 1) }, 1);
    }
    children
}

/// The socket of that number: ports first, then further loopback addresses.
fn listener(number: usize) -> TcpListener {
    let address = Ipv4Addr::new(127, 0, 0, 1 + u8::try_from(number / PORTS).expect("address"));
    let port = u16::try_from(FIRST_PORT + number % PORTS).expect("port");
    TcpListener::bind((address, port)).unwrap_or_else(|e| panic!("bind {address}:{port}: {e}"))
}

/// Medians of two works that take turns, so that whatever else runs on the machine slows both.
fn medians(mut ours: impl FnMut(), mut theirs: impl FnMut()) -> (Duration, Duration) {
    let time = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    let (mut own, mut other): (Vec<_>, Vec<_>) = (0..ROUNDS).map(|_| (time(&mut ours), time(&mut theirs))).unzip();
    own.sort();
    other.sort();
    (own[ROUNDS / 2], other[ROUNDS / 2])
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn ratio(ours: Duration, theirs: Duration) -> f64 {
    ours.as_secs_f64() / theirs.as_secs_f64()
}

/// `VmHWM` of this process.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().expect("number")
}
