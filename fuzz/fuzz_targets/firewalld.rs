//! firewalld's zones, services and settings: what is read fits into the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unrefuse_parse::firewalld;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(zone) = firewalld::zone(bytes) {
        let elements = zone.interfaces.len() + zone.sources.len() + zone.services.len() + zone.ports.len();
        assert!(elements + zone.rich_rules.len() <= bytes.len());
        assert!(zone.rich_rules.iter().all(|rule| rule.starts_with("rule")));
    }
    if let Ok(service) = firewalld::service(bytes) {
        assert!(service.ports.len() + service.includes.len() <= bytes.len());
    }
    let _ = firewalld::default_zone(bytes);
});
