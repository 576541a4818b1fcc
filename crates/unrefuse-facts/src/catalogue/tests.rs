use super::*;

#[test]
fn a_service_is_found_by_port_process_unit_and_scheme() {
    assert!(by_port(5432, Transport::Tcp).any(|s| s.id == "postgresql"));
    assert_eq!(by_port(5432, Transport::Udp).count(), 0);
    assert!(by_port(80, Transport::Tcp).count() > 1, "several web servers share the port");
    assert_eq!(by_process("mariadbd").unwrap().id, "mariadb");
    assert!(by_process("java").is_none(), "several services are java");
    assert_eq!(by_unit("postgresql@15-main.service").unwrap().id, "postgresql");
    assert_eq!(by_unit("ssh.socket").unwrap().id, "sshd");
    assert!(by_unit("postgresql@.service").is_none(), "a template is no instance");
    assert!(by_unit("notnginx.service").is_none());
    assert!(by_scheme("redis").any(|s| s.id == "redis"));
    assert_eq!(by_id("nginx").unwrap().package(&["ubuntu", "debian"]), Some("nginx"));
}

#[test]
fn every_entry_holds_together() {
    let mut ids: Vec<&str> = SERVICES.iter().map(|s| s.id).collect();
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all, "an id is used twice");
    for service in SERVICES {
        let id = service.id;
        assert!(service.units.iter().all(|u| u.ends_with(".service")), "{id}: units");
        assert!(service.sockets.iter().all(|u| u.ends_with(".socket")), "{id}: sockets");
        assert!(service.processes.iter().all(|p| p.len() <= 15), "{id}: comm is at most 15 bytes");
        let paths = service.binaries.iter().chain(service.config_files).chain(service.log_files);
        assert!(paths.into_iter().all(|p| p.starts_with('/')), "{id}: paths are absolute");
        assert!(!service.ports.is_empty() && !service.processes.is_empty(), "{id}");
    }
}
