//! resolv.conf(5): one to three servers, options within their bounds, locations that are in the file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let conf = unrefuse_parse::resolv_conf::parse("/etc/resolv.conf", bytes);
    assert!((1..=3).contains(&conf.servers.len()));
    assert!(conf.ndots <= 15 && conf.timeout_s <= 30 && conf.attempts <= 5);
    assert!(conf.ignored_servers.is_empty() || conf.servers.len() == 3);
    assert!(conf.search.iter().all(|domain| !domain.is_empty() && !domain.contains([' ', '\t', '\n', '\0'])));
    let lines: Vec<&[u8]> = bytes.split(|&b| b == b'\n').collect();
    for server in conf.servers.iter().chain(&conf.ignored_servers) {
        match &server.location {
            Some(location) => assert!(lines[location.line as usize - 1].starts_with(b"nameserver")),
            None => assert!(conf.servers.len() == 1 && server.address.is_loopback()),
        }
    }
});
