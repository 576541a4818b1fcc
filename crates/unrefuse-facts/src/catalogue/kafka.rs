//! Apache Kafka.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "kafka",
    name: "Kafka",
    units: &["kafka.service", "confluent-kafka.service", "confluent-server.service"],
    sockets: &[],
    processes: &["java"],
    binaries: &["/opt/kafka/bin/kafka-server-start.sh", "/usr/bin/kafka-server-start"],
    // Its maker has its own repositories; distributions do not ship it.
    packages: &[],
    ports: &[tcp(9092), tcp(9093)],
    schemes: &["kafka"],
    default_bind: &[bind(Bind::Any, "")],
    config_files: &["/opt/kafka/config/server.properties", "/etc/kafka/server.properties"],
    log_files: &["/opt/kafka/logs/server.log", "/var/log/kafka/server.log"],
    check: None,
    apply: Apply::Restart,
};
