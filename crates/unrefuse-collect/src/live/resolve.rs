//! Names as applications see them: getaddrinfo(3) of the running libc.

use super::routes::index;
use std::ffi::{CStr, CString};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::Instant;
use unrefuse_facts::{Family, NameError, Protocol, Resolution, Target, text::from_bytes};

/// `EAI_ADDRFAMILY` and `EAI_NODATA` (netdb.h of glibc and musl), which the libc crate does not name everywhere.
const EAI_ADDRFAMILY: i32 = -9;
const EAI_NODATA: i32 = -5;

/// Resolves the target's host. A literal goes the same way: it may be of a family or scope that this machine has not.
pub(super) fn resolve(target: &Target, family: Option<Family>) -> Resolution {
    let start = Instant::now();
    let (result, detail) = match target.protocol {
        Protocol::Unix => (Ok(Vec::new()), Some("a unix socket has no name to resolve".to_owned())),
        Protocol::Tcp => lookup(target, family, libc::SOCK_STREAM),
        Protocol::Udp => lookup(target, family, libc::SOCK_DGRAM),
    };
    Resolution { result, detail, elapsed: start.elapsed() }
}

type Answer = (Result<Vec<SocketAddr>, NameError>, Option<String>);

fn lookup(target: &Target, family: Option<Family>, socktype: i32) -> Answer {
    let host = match (&target.scope, target.literal()) {
        (Some(scope), Some(_)) => {
            // Said in our words: libc says only "name or service not known" of a scope that is not there.
            if let Err(missing) = index(scope) {
                return (Err(NameError::NotFound), Some(missing.detail));
            }
            format!("{}%{scope}", target.host)
        }
        _ => target.host.clone(),
    };
    let Ok(host) = CString::new(host) else {
        return (Err(NameError::Other), Some("the name has a NUL byte in it".to_owned()));
    };
    // AI_ADDRCONFIG stays off: an address of a family that this machine has not is a finding, not to be hidden.
    // SAFETY: all zero is a valid addrinfo: numbers and null pointers (getaddrinfo(3), "hints").
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_socktype = socktype;
    hints.ai_family = match family {
        None => libc::AF_UNSPEC,
        Some(Family::V4) => libc::AF_INET,
        Some(Family::V6) => libc::AF_INET6,
    };
    let mut list = std::ptr::null_mut();
    // SAFETY: host is NUL-terminated, hints and list live across the call; no service is given.
    let status = unsafe { libc::getaddrinfo(host.as_ptr(), std::ptr::null(), &hints, &mut list) };
    if status != 0 {
        let errno = std::io::Error::last_os_error();
        return (Err(error(status)), Some(detail(status, &errno)));
    }
    let addresses = collect(list, target.port);
    // SAFETY: getaddrinfo succeeded and gave this list; nothing of it is kept.
    unsafe { libc::freeaddrinfo(list) };
    (Ok(addresses), None)
}

/// The list's addresses with our port, in its order, each once.
fn collect(list: *const libc::addrinfo, port: u16) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    let mut next = list;
    // SAFETY: the list of getaddrinfo is null-terminated by ai_next, and not freed yet.
    while let Some(info) = unsafe { next.as_ref() } {
        next = info.ai_next;
        if let Some(address) = address(info, port)
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    addresses
}

fn address(info: &libc::addrinfo, port: u16) -> Option<SocketAddr> {
    let long = |size: usize| !info.ai_addr.is_null() && info.ai_addrlen as usize >= size;
    match info.ai_family {
        libc::AF_INET if long(size_of::<libc::sockaddr_in>()) => {
            // SAFETY: ai_family and ai_addrlen say that a sockaddr_in is there; read_unaligned asks for no alignment.
            let v4 = unsafe { info.ai_addr.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(SocketAddrV4::new(u32::from_be(v4.sin_addr.s_addr).into(), port).into())
        }
        libc::AF_INET6 if long(size_of::<libc::sockaddr_in6>()) => {
            // SAFETY: as above, for sockaddr_in6.
            let v6 = unsafe { info.ai_addr.cast::<libc::sockaddr_in6>().read_unaligned() };
            // An IPv4-mapped address, which a hosts file may give, is that of a host that is asked by IPv4.
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(match ip.to_ipv4_mapped() {
                Some(v4) => SocketAddrV4::new(v4, port).into(),
                None => SocketAddrV6::new(ip, port, 0, v6.sin6_scope_id).into(),
            })
        }
        _ => None,
    }
}

fn error(status: i32) -> NameError {
    match status {
        libc::EAI_NONAME => NameError::NotFound,
        EAI_NODATA | EAI_ADDRFAMILY => NameError::NoAddress,
        libc::EAI_AGAIN => NameError::TryAgain,
        libc::EAI_FAIL => NameError::ServerFailure,
        _ => NameError::Other,
    }
}

fn detail(status: i32, errno: &std::io::Error) -> String {
    if status == libc::EAI_SYSTEM {
        return format!("getaddrinfo: {errno}");
    }
    // SAFETY: gai_strerror gives a pointer to a constant string for every number.
    let text = unsafe { CStr::from_ptr(libc::gai_strerror(status)) };
    format!("getaddrinfo: {}", from_bytes(text.to_bytes()))
}
