//! What Debian's script gives to dnsmasq.
//!
//! From a real unit (Debian 12): `ExecStart=/usr/share/dnsmasq/systemd-helper exec`, or `… exec "%i"` of an instance. The
//! script (/usr/share/dnsmasq/init-system-common) takes shell variables of /etc/default/dnsmasq, of an instance
//! /etc/default/dnsmasq.INSTANCE:
//! ```text
//! #DNSMASQ_OPTS="--conf-file=/etc/dnsmasq.alt"
//! CONFIG_DIR=/etc/dnsmasq.d,.dpkg-dist,.dpkg-old,.dpkg-new
//! ```

use crate::live::files;
use unrefuse_facts::{Missing, Reason};
use unrefuse_parse::environment;

/// Its path.
pub(super) const SCRIPT: &str = "/usr/share/dnsmasq/systemd-helper";

/// The options of dnsmasq that matter here, of what the script is given.
///
/// # Errors
/// The file cannot be read, or the shell would make something else of what stands there.
pub(super) fn arguments(given: &[String], root: &str) -> Result<Vec<String>, Missing> {
    let instance = given.get(1).filter(|name| !name.is_empty()).map(|name| format!(".{name}")).unwrap_or_default();
    let path = format!("/etc/default/dnsmasq{instance}");
    let bytes = match files::read(&format!("{root}{path}")) {
        Ok(bytes) => bytes,
        // The script goes on without it.
        Err(missing) if missing.reason == Reason::Absent => return Ok(Vec::new()),
        Err(missing) => return Err(missing),
    };
    let set = environment::variables(&path, &bytes);
    let value = |name: &str| match set.iter().rfind(|(own, _, _)| own == name) {
        Some((_, value, at)) if value.contains(['$', '`', '\\']) => {
            let remedy = format!("what the shell makes of {at}");
            Err(Missing::new(Reason::Failed, format!("read {at}: the shell puts it together")).remedy(remedy))
        }
        found => Ok(found.map(|(_, value, _)| value.as_str()).unwrap_or_default()),
    };
    let mut all = Vec::new();
    for interface in value("DNSMASQ_INTERFACE")?.split_whitespace() {
        all.extend(["-i".to_owned(), interface.to_owned()]);
    }
    let folder = value("CONFIG_DIR")?;
    if !folder.is_empty() {
        all.extend(["-7".to_owned(), folder.to_owned()]);
    }
    all.extend(value("DNSMASQ_OPTS")?.split_whitespace().map(str::to_owned));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;

    #[test]
    fn variables_become_options() {
        let root = Root::new("dnsmasq-script");
        root.file("/etc/default/dnsmasq", "DNSMASQ_INTERFACE='a b'\nCONFIG_DIR=/d,.old\nDNSMASQ_OPTS=\"-p 54 -z\"\n");
        root.file("/etc/default/dnsmasq.x", "#CONFIG_DIR=/d\nDNSMASQ_OPTS=\"-p $PORT\"\n");
        let of = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            arguments(&words, root.path()).map(|all| all.join(" "))
        };
        assert_eq!(of(&["exec"]).unwrap(), "-i a -i b -7 /d,.old -p 54 -z");
        assert_eq!(of(&["exec", "none"]).unwrap(), "");
        assert!(of(&["exec", "x"]).unwrap_err().detail.contains("/etc/default/dnsmasq.x:2"));
    }
}
