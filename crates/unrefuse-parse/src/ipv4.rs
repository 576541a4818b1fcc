//! The number forms of IPv4 addresses.

use std::net::Ipv4Addr;

/// What inet_aton(3) makes of `text`: one to four numbers, decimal, octal (`010`) or hexadecimal (`0x7f`), the last
/// one filling the bytes that are left. `127.1` is 127.0.0.1. `None` where it is no such address.
pub(crate) fn inet_aton(text: &str) -> Option<Ipv4Addr> {
    let number_like = |c: char| c.is_ascii_hexdigit() || c == 'x' || c == 'X' || c == '.';
    if text.ends_with('.') || !text.chars().all(number_like) {
        return None;
    }
    // The URL standard's IPv4 parser takes the same forms.
    match url::Host::parse(text) {
        Ok(url::Host::Ipv4(address)) => Some(address),
        _ => None,
    }
}

/// Whether every part is a number, so that a reader (and libc) takes `text` for an IPv4 address, right or wrong.
pub(crate) fn looks_numeric(text: &str) -> bool {
    let number = |part: &str| match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
        Some(hex) => hex.chars().all(|c| c.is_ascii_hexdigit()),
        None => !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()),
    };
    !text.is_empty() && text.split('.').all(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_inet_aton() {
        // Checked with `getent ahostsv4` on glibc 2.36.
        for (text, address) in [
            ("127.1", "127.0.0.1"),
            ("0", "0.0.0.0"),
            ("0x7f.1", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("010.0.0.1", "8.0.0.1"),
            ("10.1.258", "10.1.1.2"),
        ] {
            assert_eq!(inet_aton(text), address.parse().ok(), "{text}");
        }
        for bad in ["", "1.2.3.4.5", "10.0.0.256", "a.b", "127.0.0.1.", "1.2.3.08", "1..2", "beef"] {
            assert_eq!(inet_aton(bad), None, "{bad}");
        }
    }

    #[test]
    fn numeric_looks() {
        assert!(looks_numeric("10.0.0.256") && looks_numeric("1.2.3.4.5") && looks_numeric("0x7f.1"));
        assert!(!looks_numeric("web.1") && !looks_numeric("1.2.3.") && !looks_numeric(""));
    }
}
