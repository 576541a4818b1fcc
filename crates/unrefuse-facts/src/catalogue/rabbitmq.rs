//! RabbitMQ; its process is the Erlang machine's.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "rabbitmq",
    name: "RabbitMQ",
    units: &["rabbitmq-server.service", "rabbitmq.service"],
    sockets: &[],
    processes: &["beam.smp", "rabbitmq-server"],
    binaries: &["/usr/sbin/rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server"],
    packages: &[package("debian", "rabbitmq-server"), package("fedora", "rabbitmq-server"), package("suse", "rabbitmq-server"), package("arch", "rabbitmq")],
    ports: &[tcp(5672), tcp(5671), tcp(15672), tcp(25672)],
    schemes: &["amqp", "amqps"],
    default_bind: &[bind(Bind::Any, "")],
    config_files: &["/etc/rabbitmq/rabbitmq.conf", "/etc/rabbitmq/rabbitmq.config"],
    log_files: &["/var/log/rabbitmq/rabbit@*.log"],
    check: None,
    apply: Apply::Restart,
};
