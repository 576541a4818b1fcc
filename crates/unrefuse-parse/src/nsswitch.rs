//! nsswitch.conf(5): where names of hosts are looked up.
//!
//! From a real one (Debian 12):
//! ```text
//! group:          files systemd
//!
//! hosts:          files dns
//! networks:       files
//! ```

use crate::lines;
use unrefuse_facts::{Location, NsSwitch, text};

/// Services kept of one line.
const MAX_SERVICES: usize = 100;

/// The `hosts` line of nsswitch.conf as glibc reads it (nss/nss_database.c, nss/nss_action_parse.c; checked on 2.36).
///
/// The name may be indented and have blanks before its colon; of several `hosts` lines the last one wins; `#` starts a
/// comment. An action list in brackets goes with the service before it: `mdns4_minimal [NOTFOUND=return]` is one
/// service. `None` where there is no such line: glibc then looks as if it were `dns [!UNAVAIL=return] files`.
///
/// ```
/// let line = unrefuse_parse::nsswitch::hosts_line("/etc/nsswitch.conf", b"hosts:          files dns\n").unwrap();
/// assert_eq!(line.services, ["files", "dns"]);
/// ```
pub fn hosts_line(path: &str, bytes: &[u8]) -> Option<NsSwitch> {
    let mut found = None;
    for (number, line) in lines::numbered(bytes) {
        let code = lines::c_string(line).split(|&b| b == b'#').next().unwrap_or_default();
        let Some(colon) = code.iter().position(|&b| b == b':') else { continue };
        let mut name = lines::words(&code[..colon]);
        if (name.next(), name.next()) == (Some(b"hosts"), None) {
            let location = Some(Location { path: path.to_owned(), line: number });
            found = Some(NsSwitch { services: services(&code[colon + 1..]), location });
        }
    }
    found
}

fn services(mut rest: &[u8]) -> Vec<String> {
    let mut services: Vec<String> = Vec::new();
    loop {
        let blanks = rest.iter().take_while(|&&b| lines::is_space(b)).count();
        rest = &rest[blanks..];
        match rest.first() {
            None => return services,
            Some(b'[') => {
                let end = rest.iter().position(|&b| b == b']').map_or(rest.len(), |at| at + 1);
                if let Some(last) = services.last_mut() {
                    let words: Vec<String> = lines::words(&rest[..end]).map(text::from_bytes).collect();
                    last.push(' ');
                    last.push_str(&words.join(" "));
                }
                rest = &rest[end..];
            }
            Some(_) => {
                let end = rest.iter().position(|&b| lines::is_space(b) || b == b'[').unwrap_or(rest.len());
                if services.len() == MAX_SERVICES {
                    return services;
                }
                services.push(text::from_bytes(&rest[..end]));
                rest = &rest[end..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn services_of(bytes: &[u8]) -> Option<Vec<String>> {
        hosts_line("n", bytes).map(|line| line.services)
    }

    #[test]
    fn a_desktop_line() {
        let line = hosts_line("/n", b"# c\npasswd: files\nhosts: files mdns4_minimal [NOTFOUND=return] dns\n").unwrap();
        assert_eq!(line.services, ["files", "mdns4_minimal [NOTFOUND=return]", "dns"]);
        assert_eq!(line.location.unwrap().to_string(), "/n:3");
    }

    #[test]
    fn forms_that_glibc_takes() {
        let files = Some(vec!["files".to_owned()]);
        assert_eq!(services_of(b"hosts: dns\nhosts: files\n"), files);
        assert_eq!(services_of(b"  hosts : files\n"), files);
        assert_eq!(services_of(b"hosts:files\r\n"), files);
        assert_eq!(services_of(b"hosts: files # dns\n"), files);
        assert_eq!(services_of(b"HOSTS: files\n"), None);
        assert_eq!(services_of(b"#hosts: files\n"), None);
        assert_eq!(services_of(b""), None);
    }

    #[test]
    fn actions_stay_with_their_service() {
        let line = b"hosts: resolve[!UNAVAIL=return  SUCCESS=merge] [X=y] dns [open";
        assert_eq!(services_of(line).unwrap(), ["resolve [!UNAVAIL=return SUCCESS=merge] [X=y]", "dns [open"]);
        assert_eq!(services_of(b"hosts: [NOTFOUND=return] files").unwrap(), ["files"]);
    }

    /// `[u8]::trim_ascii` does not count a vertical tab as a blank, isspace(3) does: the loop once stood still there.
    #[test]
    fn a_vertical_tab_is_a_blank() {
        assert_eq!(services_of(b"hosts:\x0b").unwrap(), [""; 0]);
        assert_eq!(services_of(b"hosts:\x0bfiles\x0b\x0cdns\x0b").unwrap(), ["files", "dns"]);
    }

    #[test]
    fn hostile_lines() {
        assert_eq!(services_of(b"hosts: fi\xffles\0 dns").unwrap(), ["fi\\xffles"]);
        assert_eq!(services_of(&[&b"hosts: "[..], &b"x ".repeat(40_000)].concat()).unwrap().len(), MAX_SERVICES);
    }

    proptest! {
        #[test]
        fn any_services(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let all = services_of(&[b"hosts:", bytes.as_slice()].concat());
            prop_assert!(all.into_iter().flatten().all(|s| !s.is_empty()));
        }
    }
}
