//! `IPAddressDeny=` and `IPAddressAllow=` of units (systemd.resource-control(5)).

use crate::View;
use crate::fix::quote;
use crate::report::{Evidence, Fix, Risk};
use std::net::IpAddr;
use unrefuse_facts::text::visible;
use unrefuse_facts::{IpPrefix, UnitFacts};

/// A unit whose list denies an address.
pub(crate) struct Denied<'a> {
    pub(crate) unit: &'a UnitFacts,
    prefix: IpPrefix,
}

/// Whether units that lie in each other together deny `ip`: the lists of all are joined, and what one of them allows no
/// other denies.
pub(crate) fn denied<'a>(units: impl Iterator<Item = &'a UnitFacts>, ip: IpAddr) -> Option<Denied<'a>> {
    let units: Vec<&UnitFacts> = units.collect();
    if units.iter().any(|unit| unit.ip_allow.iter().any(|prefix| prefix.holds(ip))) {
        return None;
    }
    units.iter().find_map(|unit| {
        let prefix = unit.ip_deny.iter().find(|prefix| prefix.holds(ip))?;
        Some(Denied { unit, prefix: *prefix })
    })
}

impl Denied<'_> {
    /// `app.service has IPAddressDeny=10.0.0.0/8`.
    pub(crate) fn in_words(&self) -> String {
        format!("{} has IPAddressDeny={}/{}", visible(&self.unit.name), self.prefix.address, self.prefix.length)
    }
}

/// The files that a unit's settings stand in.
pub(crate) fn files(unit: &UnitFacts) -> Option<Evidence> {
    let files: Vec<String> = unit.fragment.iter().chain(&unit.drop_ins).map(|path| visible(path)).collect();
    (!files.is_empty()).then(|| Evidence::new(format!("its files: {}", files.join(", ")), "systemctl cat"))
}

/// Allows `ip` in a unit, at once and for good.
pub(crate) fn allow(view: &View<'_>, unit: &UnitFacts, ip: IpAddr) -> Option<Fix> {
    let name = quote(&unit.name)?;
    Some(
        Fix::new(view, Risk::Medium, format!("let {} speak with {ip}", visible(&unit.name)))
            .command(format!("systemctl set-property {name} IPAddressAllow={ip}"))
            .undo(format!("systemctl revert {name}"))
            .persistent(),
    )
}

/// Whether `slice` is `above` or lies in it: `a-b.slice` lies in `a.slice`, all in `-.slice` (systemd.slice(5)).
pub(crate) fn lies_in(slice: &str, above: &str) -> bool {
    let (Some(slice), Some(above)) = (slice.strip_suffix(".slice"), above.strip_suffix(".slice")) else { return false };
    above == "-" || slice == above || slice.strip_prefix(above).is_some_and(|rest| rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_in_slices() {
        assert!(lies_in("a-b.slice", "a.slice") && lies_in("a.slice", "-.slice") && lies_in("a.slice", "a.slice"));
        assert!(!lies_in("ab.slice", "a.slice") && !lies_in("a.slice", "a.service"));
    }
}
