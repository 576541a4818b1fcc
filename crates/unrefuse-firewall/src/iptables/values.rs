//! Values as iptables' option parser reads them (libxtables, `xtoptions.c` and `xtables.c`).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::names;
use crate::model::{Family, Scalar};

/// A number as `strtoul` with base 0 reads it: decimal, `0x` hexadecimal, a leading `0` octal.
pub(super) fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    // `from_str_radix` would take a sign.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// A number that fits.
pub(super) fn number_to<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    number(text).and_then(|n| T::try_from(n).ok()).ok_or_else(|| format!("not a number in range: {text}"))
}

/// `a:b`, `a:`, `:b` or `a` (with another separator where a module has one).
pub(super) fn range<T>(
    text: &str,
    separator: char,
    last: T,
    one: impl Fn(&str) -> Result<T, String>,
) -> Result<(T, T), String>
where
    T: TryFrom<u64> + Copy + PartialOrd + Default,
{
    let Some((from, to)) = text.split_once(separator) else {
        return one(text).map(|n| (n, n));
    };
    let from = if from.is_empty() { T::default() } else { one(from)? };
    let to = if to.is_empty() { last } else { one(to)? };
    if from > to { Err(format!("range upside down: {text}")) } else { Ok((from, to)) }
}

/// A port, by number or service name.
pub(super) fn port(text: &str) -> Result<u16, String> {
    number(text)
        .and_then(|n| u16::try_from(n).ok())
        .or_else(|| names::service(text))
        .ok_or_else(|| format!("not a port: {text}"))
}

/// A range of ports `a:b`.
pub(super) fn ports(text: &str) -> Result<(u16, u16), String> {
    range(text, ':', u16::MAX, port)
}

/// `value[/mask]`; `None` where there is no mask.
pub(super) fn marked(text: &str) -> Result<(u32, Option<u32>), String> {
    match text.split_once('/') {
        Some((value, mask)) => Ok((number_to(value)?, Some(number_to(mask)?))),
        None => Ok((number_to(text)?, None)),
    }
}

/// An address of a family, as a number.
pub(super) fn address(text: &str, family: Family) -> Result<Scalar, String> {
    let found = match family {
        Family::Ip6 => text.parse::<Ipv6Addr>().ok().map(|a| a.to_bits()),
        _ => ipv4(text).map(|a| a.to_bits().into()),
    };
    found.ok_or_else(|| format!("not an address: {text}"))
}

/// A dotted quad whose parts may be hexadecimal or octal; a cut one (`10`, `10.1`) is filled up with zeros
/// (`__numeric_to_ipaddr`).
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let Some(part) = parts.next() else { break };
        *octet = u8::try_from(number(part)?).ok()?;
    }
    parts.next().is_none().then(|| octets.into())
}

/// Widths of a family's addresses in bits.
pub(super) const fn width(family: Family) -> u8 {
    if matches!(family, Family::Ip6) { 128 } else { 32 }
}

/// `width` bits, of which the first `length` are set.
pub(super) const fn prefix_mask(length: u8, width: u8) -> Scalar {
    let all = if width >= 128 { Scalar::MAX } else { (1 << width) - 1 };
    if length == 0 { 0 } else { all >> (width - length) << (width - length) }
}

/// An address and its mask: `10.0.0.0/8`, `10/8`, `10.0.0.0/255.0.255.0`, `::1`. The address is cut by the mask.
pub(super) fn network(text: &str, family: Family) -> Result<(Scalar, Scalar), String> {
    let full = width(family);
    let (host, mask) = match text.split_once('/') {
        None => (text, prefix_mask(full, full)),
        Some((host, mask)) => (host, self::mask(mask, family)?),
    };
    // With an empty mask the address is not read ("any/0", `xtables_ipparse_any`).
    if mask == 0 {
        return Ok((0, 0));
    }
    Ok((address(host, family)? & mask, mask))
}

fn mask(text: &str, family: Family) -> Result<Scalar, String> {
    let full = width(family);
    if text.contains(['.', ':']) {
        let dots = text.bytes().filter(|&b| b == b'.').count();
        if family == Family::Ip6 || dots == 3 {
            return address(text, family);
        }
    }
    match number(text).and_then(|n| u8::try_from(n).ok()) {
        Some(n) if n <= full => Ok(prefix_mask(n, full)),
        _ => Err(format!("not a mask: {text}")),
    }
}

/// `a-b` or `a`.
pub(super) fn address_range(text: &str, family: Family) -> Result<(Scalar, Scalar), String> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (address(from, family)?, address(to, family)?);
    if from > to { Err(format!("range upside down: {text}")) } else { Ok((from, to)) }
}

/// A MAC address as 48 bits.
pub(super) fn mac(text: &str) -> Result<Scalar, String> {
    let mut value = 0;
    let mut count = 0;
    for part in text.split([':', '-']) {
        let byte = (part.len() <= 2 && !part.starts_with('+')).then(|| u8::from_str_radix(part, 16).ok()).flatten();
        value = value << 8 | Scalar::from(byte.ok_or_else(|| format!("not a MAC address: {text}"))?);
        count += 1;
        if count > 6 {
            break;
        }
    }
    if count == 6 { Ok(value) } else { Err(format!("not a MAC address: {text}")) }
}

/// An interface name as 16 bytes, padded with zeros. Names have at most 15 bytes (`IFNAMSIZ`).
pub(super) fn name_bytes(name: &str) -> Result<Scalar, String> {
    if name.len() > 15 {
        return Err(format!("name too long: {name}"));
    }
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Ok(Scalar::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_c_bases() {
        assert_eq!((number("10"), number("0x1F"), number("010"), number("0")), (Some(10), Some(31), Some(8), Some(0)));
        for bad in ["", "0x", "+1", "-1", "0x+1", "08", "1 ", "a"] {
            assert_eq!(number(bad), None, "{bad}");
        }
        assert_eq!((ports(":1024"), ports("1024:"), ports("http")), (Ok((0, 1024)), Ok((1024, 65535)), Ok((80, 80))));
        assert!(ports("2:1").is_err() && ports("65536").is_err() && ports("").is_err());
    }

    #[test]
    fn networks_are_cut_by_their_mask() {
        assert_eq!(network("10.1.2.3/8", Family::Ip), Ok((0x0a00_0000, 0xff00_0000)));
        assert_eq!(network("10/8", Family::Ip), network("10.0.0.0/255.0.0.0", Family::Ip));
        assert_eq!(network("10.0.3.0/255.0.255.0", Family::Ip), Ok((0x0a00_0300, 0xff00_ff00)));
        assert_eq!(network("any/0", Family::Ip), Ok((0, 0)));
        assert_eq!(network("fe80::/10", Family::Ip6), Ok((0xfe80 << 112, prefix_mask(10, 128))));
        for bad in ["10.0.0.0/33", "10.0.0.0.0", "host", "", "10.0.0.256", "::1", "1/1/1"] {
            assert!(network(bad, Family::Ip).is_err(), "{bad}");
        }
        assert!(network("1.2.3.4", Family::Ip6).is_err() && network("::1/129", Family::Ip6).is_err());
    }

    #[test]
    fn macs_have_six_bytes() {
        assert_eq!(mac("00:1b:21:Aa:0:1"), Ok(0x001b_21aa_0001));
        for bad in ["", "0:0:0:0:0", "0:0:0:0:0:0:0", "100:0:0:0:0:0", "+1:0:0:0:0:0"] {
            assert!(mac(bad).is_err(), "{bad}");
        }
    }
}
