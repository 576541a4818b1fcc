//! PostgreSQL: Debian's clusters, PGDG's versioned units, and plain.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "postgresql",
    name: "PostgreSQL",
    // Debian's postgresql.service runs nothing itself: it pulls in the instances, and is active (exited) without them.
    units: &["postgresql@?*.service", "postgresql-*.service", "postgresql.service"],
    sockets: &[],
    processes: &["postgres", "postmaster"],
    binaries: &["/usr/lib/postgresql/*/bin/postgres", "/usr/pgsql-*/bin/postgres", "/usr/bin/postgres"],
    packages: &[
        package("debian", "postgresql"),
        package("fedora", "postgresql-server"),
        package("suse", "postgresql-server"),
        package("arch", "postgresql"),
        package("alpine", "postgresql"),
    ],
    ports: &[tcp(5432), tcp(5433)],
    schemes: &["postgres", "postgresql"],
    // listen_addresses = 'localhost'
    default_bind: &[bind(Bind::Loopback, "")],
    config_files: &[
        "/etc/postgresql/*/*/postgresql.conf",
        "/var/lib/pgsql/data/postgresql.conf",
        "/var/lib/pgsql/*/data/postgresql.conf",
        "/var/lib/postgres/data/postgresql.conf",
    ],
    log_files: &["/var/log/postgresql/postgresql-*.log", "/var/lib/pgsql/data/log/postgresql-*.log"],
    check: None,
    apply: Apply::Restart,
};
