//! Elasticsearch and OpenSearch.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "elasticsearch",
    name: "Elasticsearch/OpenSearch",
    units: &["elasticsearch.service", "opensearch.service"],
    sockets: &[],
    processes: &["java"],
    binaries: &["/usr/share/elasticsearch/bin/elasticsearch", "/usr/share/opensearch/bin/opensearch"],
    // Its maker has its own repositories; distributions do not ship it.
    packages: &[],
    ports: &[tcp(9200), tcp(9300)],
    schemes: &["elasticsearch", "opensearch"],
    default_bind: &[bind(Bind::Loopback, "")],
    config_files: &["/etc/elasticsearch/elasticsearch.yml", "/etc/opensearch/opensearch.yml"],
    log_files: &["/var/log/elasticsearch/elasticsearch.log", "/var/log/opensearch/opensearch.log"],
    check: None,
    apply: Apply::Restart,
};
