//! MariaDB and MySQL.

use super::*;

pub(super) static SERVICE: KnownService = KnownService {
    id: "mariadb",
    name: "MariaDB/MySQL",
    units: &["mariadb.service", "mysql.service", "mysqld.service", "mariadb@?*.service", "mysqld@?*.service"],
    sockets: &["mariadb.socket"],
    processes: &["mariadbd", "mysqld"],
    binaries: &["/usr/sbin/mariadbd", "/usr/sbin/mysqld", "/usr/libexec/mariadbd", "/usr/libexec/mysqld"],
    packages: &[
        package("debian", "mariadb-server"),
        package("ubuntu", "mysql-server"),
        package("fedora", "mariadb-server"),
        package("suse", "mariadb"),
        package("arch", "mariadb"),
        package("alpine", "mariadb"),
    ],
    ports: &[tcp(3306), tcp(33060)],
    schemes: &["mysql", "mariadb", "mysqlx"],
    // bind_address: the server's own default is every address; Debian's 50-server.cnf says 127.0.0.1.
    default_bind: &[bind(Bind::Any, "the server itself"), bind(Bind::Loopback, "Debian's packaged 50-server.cnf")],
    config_files: &["/etc/mysql/my.cnf", "/etc/my.cnf"],
    log_files: &["/var/log/mysql/error.log", "/var/log/mariadb/mariadb.log", "/var/log/mysqld.log"],
    // `mariadbd --help --verbose` reads the options, but also says yes to most mistakes.
    check: None,
    apply: Apply::Restart,
};
