//! TCP and unix listeners in every state that a listener can be in.

use super::{bound, ready, set_command_name};
use anyhow::{Context as _, Result};
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixListener;

/// A TCP listener.
#[derive(Debug, clap::Args)]
pub(crate) struct Tcp {
    /// Addresses with port.
    #[arg(required = true)]
    addresses: Vec<SocketAddr>,
    /// IPV6_V6ONLY.
    #[arg(long)]
    v6only: bool,
    /// Backlog of listen(2).
    #[arg(long, default_value_t = 128)]
    backlog: i32,
    /// SO_BINDTODEVICE.
    #[arg(long)]
    device: Option<String>,
    /// What /proc/PID/comm shows.
    #[arg(long)]
    comm: Option<String>,
    /// Bind, but never listen.
    #[arg(long)]
    no_listen: bool,
    /// Never accept.
    #[arg(long)]
    never_accept: bool,
    /// Never accept, and connect to itself until no further connection fits into the queue.
    #[arg(long)]
    fill_queue: bool,
    /// Accept and close at once.
    #[arg(long)]
    close: bool,
    /// Say this after accepting.
    #[arg(long)]
    banner: Option<String>,
    /// Demand TCP-MD5 (RFC 2385) with some key from this peer.
    #[arg(long)]
    md5: Option<std::net::IpAddr>,
    /// Use up the process's file descriptors before accepting, so that accept(2) fails with EMFILE.
    #[arg(long)]
    no_files: bool,
}

/// A unix socket.
#[derive(Debug, clap::Args)]
pub(crate) struct Unix {
    /// Its path.
    path: String,
}

/// Listens on a unix socket, accepts and holds.
pub(crate) fn serve_unix(arguments: &Unix) -> Result<()> {
    let listener = UnixListener::bind(&arguments.path).with_context(|| format!("bind {}", arguments.path))?;
    ready()?;
    let mut held = Vec::new();
    loop {
        held.push(listener.accept()?);
    }
}

/// Listens as told.
pub(crate) fn serve(arguments: &Tcp) -> Result<()> {
    if let Some(name) = &arguments.comm {
        set_command_name(name)?;
    }
    let mut listeners = Vec::new();
    for address in &arguments.addresses {
        let socket = bound(*address, socket2::Type::STREAM, arguments.v6only, arguments.device.as_deref())?;
        if let Some(peer) = arguments.md5 {
            demand_md5(&socket, peer)?;
        }
        if !arguments.no_listen {
            socket.listen(arguments.backlog).context("listen")?;
        }
        listeners.push(TcpListener::from(socket));
    }
    let mut held = Vec::new();
    if arguments.fill_queue {
        for listener in &listeners {
            held.extend(fill(listener)?);
        }
    }
    let descriptors = if arguments.no_files { use_up_files()? } else { Vec::new() };
    ready()?;
    if arguments.no_listen || arguments.never_accept || arguments.fill_queue {
        park(&held);
    }
    std::thread::scope(|scope| {
        for listener in &listeners {
            scope.spawn(|| accept(listener, arguments));
        }
    });
    drop(descriptors);
    Ok(())
}

fn accept(listener: &TcpListener, arguments: &Tcp) {
    let mut held = Vec::new();
    loop {
        match listener.accept() {
            Ok((mut stream, _)) if !arguments.close => {
                if let Some(banner) = &arguments.banner {
                    let _ = writeln!(stream, "{banner}");
                }
                // Held until the peer closes; a scenario makes a handful of connections, its sweep some dozens.
                held.push(stream);
                held.retain(|stream: &TcpStream| !ended(stream));
            }
            Ok(_) => {}
            // EMFILE: as daemons do, wait a little and try again.
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(20)),
        }
    }
}

/// Whether the peer has closed: an end that can be read without waiting.
fn ended(stream: &TcpStream) -> bool {
    let socket = socket2::SockRef::from(stream);
    let mut byte = [std::mem::MaybeUninit::uninit()];
    matches!(socket.recv_with_flags(&mut byte, libc::MSG_PEEK | libc::MSG_DONTWAIT), Ok(0))
}

/// Connects to a listener of ours until its queue is full: it holds `backlog + 1` (`sk_acceptq_is_full`,
/// include/net/sock.h), and further connections stay in SYN_SENT.
fn fill(listener: &TcpListener) -> Result<Vec<socket2::Socket>> {
    let mut address = listener.local_addr()?;
    if address.ip().is_unspecified() {
        let loopback: std::net::IpAddr =
            if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    let mut held = Vec::new();
    loop {
        let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
        // The handshake over loopback is done within the call where the queue has room.
        match socket.connect_timeout(&address.into(), std::time::Duration::from_millis(150)) {
            Ok(()) => held.push(socket),
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => return Ok(held),
            Err(error) => return Err(error).context("fill the queue"),
        }
    }
}

/// Opens descriptors up to the limit, which is set low first.
fn use_up_files() -> Result<Vec<std::fs::File>> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid rlimit that the kernel fills in.
    anyhow::ensure!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } == 0, "getrlimit");
    // The soft limit alone, as in most services: the hard one can't be raised again without CAP_SYS_RESOURCE.
    limit.rlim_cur = 64;
    // SAFETY: a valid rlimit that the kernel only reads.
    anyhow::ensure!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } == 0, "setrlimit");
    let mut files = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
    }
    Ok(files)
}

/// `struct tcp_md5sig` of include/uapi/linux/tcp.h, which the libc crate lacks.
#[repr(C)]
struct Md5Sig {
    address: libc::sockaddr_storage,
    flags: u8,
    prefix: u8,
    key_length: u16,
    interface: i32,
    key: [u8; 80],
}

/// TCP_MD5SIG (tcp(7), RFC 2385) for one peer.
fn demand_md5(socket: &socket2::Socket, peer: std::net::IpAddr) -> Result<()> {
    // SAFETY: all zero is a valid value: plain integers and byte arrays.
    let mut option: Md5Sig = unsafe { std::mem::zeroed() };
    let address: socket2::SockAddr = SocketAddr::new(peer, 0).into();
    // SAFETY: both are socket address storages; the source holds at least as many bytes as its length says.
    unsafe {
        std::ptr::copy_nonoverlapping(
            address.as_ptr().cast::<u8>(),
            std::ptr::from_mut(&mut option.address).cast::<u8>(),
            address.len() as usize,
        );
    }
    option.key_length = 6;
    option.key[..6].copy_from_slice(b"secret");
    // SAFETY: the pointer and the length are those of a live value.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_MD5SIG,
            std::ptr::from_ref(&option).cast(),
            size_of::<Md5Sig>() as libc::socklen_t,
        )
    };
    anyhow::ensure!(result == 0, "TCP_MD5SIG: {}", std::io::Error::last_os_error());
    Ok(())
}

/// Does nothing for ever, and keeps what it is given.
pub(super) fn park<T>(_held: &[T]) -> ! {
    loop {
        std::thread::park();
    }
}
