//! Kernel settings and counters.

use super::files;
use super::missing::missing;
use std::collections::BTreeMap;
use unrefuse_facts::{Missing, Observed, Reason, Source, text::from_bytes};
use unrefuse_parse::counters;

/// A setting by its name. /proc/sys/net shows the settings of the namespace of the thread that opens it.
pub(super) fn sysctl(name: &str) -> Observed<String> {
    let Some(path) = path(name) else {
        let detail = format!("`{}` is no name of a kernel setting", unrefuse_facts::text::visible(name));
        return Observed::Missing(Missing::new(Reason::Failed, detail));
    };
    match files::read(&path) {
        Ok(bytes) => Observed::known(from_bytes(bytes.trim_ascii()), Source::running(path)),
        Err(missing) => Observed::Missing(missing),
    }
}

/// The file of a setting. As in sysctl(8): where the first separator is a dot, dots and slashes change places, so that
/// `net.ipv4.conf.eth0/5.rp_filter` means the interface `eth0.5`; where it is a slash, the name is the path.
fn path(name: &str) -> Option<String> {
    let separator = name.find(['.', '/']).map(|place| name.as_bytes()[place])?;
    let relative: String = match separator {
        b'.' => name
            .chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect(),
        _ => name.to_owned(),
    };
    let good = relative.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'));
    good.then(|| format!("/proc/sys/{relative}"))
}

/// The network counters of this thread's namespace.
///
/// /proc/net is that of the thread group's leader, /proc/thread-self/net that of the thread (proc(5)).
pub(super) fn counters() -> Observed<BTreeMap<String, u64>> {
    let mut all = BTreeMap::new();
    let mut failed: Option<Missing> = None;
    let mut read = Vec::new();
    for (name, parse) in [
        ("netstat", counters::parse as fn(&[u8]) -> BTreeMap<String, u64>),
        ("snmp", counters::parse),
        // A kernel without IPv6 has none.
        ("snmp6", counters::parse_snmp6),
        // Nor one without IPsec.
        ("xfrm_stat", counters::parse_xfrm),
    ] {
        let path = format!("/proc/thread-self/net/{name}");
        match files::read(&path) {
            Ok(bytes) => {
                all.extend(parse(&bytes));
                read.push(path);
            }
            Err(missing) => failed = failed.or(Some(missing)),
        }
    }
    match failed {
        Some(missing) if all.is_empty() => Observed::Missing(missing),
        _ => Observed::known(all, Source::running(read.join(", "))),
    }
}

/// gethostname(2), through uname(2).
pub(super) fn hostname() -> Observed<String> {
    match from_bytes(rustix::system::uname().nodename().to_bytes()) {
        name if name.is_empty() => Observed::Missing(missing("gethostname", rustix::io::Errno::NODATA)),
        name => Observed::known(name, Source::running("gethostname")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_sysctl_takes_them() {
        let path = |name| path(name);
        assert_eq!(path("net.ipv4.ip_forward").unwrap(), "/proc/sys/net/ipv4/ip_forward");
        assert_eq!(path("net.ipv4.conf.eth0/5.rp_filter").unwrap(), "/proc/sys/net/ipv4/conf/eth0.5/rp_filter");
        assert_eq!(path("net/ipv4/conf/eth0.5/rp_filter").unwrap(), "/proc/sys/net/ipv4/conf/eth0.5/rp_filter");
        assert_eq!(path("net/../../../etc/shadow"), None);
        assert_eq!(path("net.//.x"), None);
        assert_eq!(path("net..x"), None);
        assert_eq!(path("x"), None);
        assert_eq!(path(""), None);
    }
}
