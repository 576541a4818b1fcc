//! Places to measure in: namespaces of their own, so that neither the machine's settings nor its traffic take part.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use xshell::{Shell, cmd};

/// Runs the work in a fresh network and mount namespace with loopback up. Only this thread and what it starts are in it.
pub(super) fn apart<T: Send>(work: impl FnOnce(&Shell) -> Result<T> + Send) -> Result<T> {
    let inside = move || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
            .context("cannot make namespaces: this needs root")?;
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("cannot make mounts private")?;
        let shell = crate::workspace::shell()?;
        cmd!(shell, "ip link set lo up").quiet().run()?;
        work(&shell)
    };
    std::thread::scope(|scope| scope.spawn(inside).join().unwrap_or_else(|_| bail!("the work panicked")))
}

/// A listener whose accept queue is full: it and the connections that fill it.
pub(super) struct FullQueue {
    listener: TcpListener,
    _connections: Vec<TcpStream>,
}

impl FullQueue {
    /// Fills one. A SYN to it is dropped from then on.
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        // listen(2): a second call changes the backlog.
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(1)?)?;
        let address = listener.local_addr()?;
        let mut connections = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
            connections.push(stream);
            if connections.len() > 64 {
                bail!("the accept queue of {address} does not fill up");
            }
        }
        Ok(Self { listener, _connections: connections })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }
}

/// An Ethernet on which nobody answers: a neighbour's address on it is that of a host that is down.
pub(super) const DOWN_HOST: &str = "10.88.0.2";
/// This machine's link to it.
pub(super) const DOWN_LINK: &str = "down0";

pub(super) fn empty_ethernet(shell: &Shell) -> Result<()> {
    cmd!(shell, "ip link add {DOWN_LINK} type veth peer name down1").quiet().run()?;
    cmd!(shell, "ip addr add 10.88.0.1/24 dev {DOWN_LINK}").quiet().run()?;
    for link in [DOWN_LINK, "down1"] {
        cmd!(shell, "ip link set {link} up").quiet().run()?;
    }
    Ok(())
}

/// A host at the other end of a wire: a network namespace, in which commands can be run.
pub(super) struct Neighbour(std::process::Child);

impl Neighbour {
    /// This machine's address on the wire.
    pub(super) const HERE: &str = "192.0.2.1";
    /// This machine's link.
    pub(super) const LINK: &str = "wire0";

    /// Starts it.
    pub(super) fn start(shell: &Shell) -> Result<Self> {
        let mut holder = std::process::Command::new("cat");
        holder.stdin(std::process::Stdio::piped());
        // SAFETY: between fork and exec only this system call is made. Starting is over when it is done.
        unsafe { holder.pre_exec(|| unshare(CloneFlags::CLONE_NEWNET).map_err(Into::into)) };
        let neighbour = Self(holder.spawn().context("cannot make a namespace")?);
        let (link, other, pid) = (Self::LINK, "wire1", neighbour.0.id().to_string());
        cmd!(shell, "ip link add {link} type veth peer name {other} netns {pid}").quiet().run()?;
        cmd!(shell, "ip addr add 192.0.2.1/24 dev {link}").quiet().run()?;
        cmd!(shell, "ip link set {link} up").quiet().run()?;
        let namespace = neighbour.namespace();
        cmd!(shell, "nsenter {namespace} ip addr add 192.0.2.2/24 dev {other}").quiet().run()?;
        cmd!(shell, "nsenter {namespace} ip link set {other} up").quiet().run()?;
        Ok(neighbour)
    }

    /// nsenter(1)'s argument for a command that is run there.
    pub(super) fn namespace(&self) -> String {
        format!("--net=/proc/{}/ns/net", self.0.id())
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It ends by itself at the end of its input.
        let _ = self.0.wait();
    }
}

/// A name server that takes questions and never answers, and the resolver configuration that asks it.
pub(super) struct SilentResolver {
    _socket: UdpSocket,
    folder: PathBuf,
}

impl SilentResolver {
    pub(super) fn start() -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.53:53").context("cannot be the name server")?;
        let folder = std::env::temp_dir().join(format!("xtask-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let silent = Self { _socket: socket, folder };
        for (name, text) in [("resolv.conf", "nameserver 127.0.0.53\n"), ("nsswitch.conf", "hosts: files dns\n")] {
            let file = silent.folder.join(name);
            std::fs::write(&file, text)?;
            let place = PathBuf::from("/etc").join(name).canonicalize().with_context(|| format!("/etc/{name}"))?;
            let none = None::<&str>;
            mount(Some(&file), &place, none, MsFlags::MS_BIND, none)
                .with_context(|| format!("cannot cover /etc/{name}"))?;
        }
        Ok(silent)
    }
}

impl Drop for SilentResolver {
    fn drop(&mut self) {
        // The mounts go with the namespace; a folder that stays behind in /tmp harms nobody.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
