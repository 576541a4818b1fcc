use super::*;
use proptest::prelude::*;
use unrefuse_facts::text;

fn ok(words: &[&str]) -> Target {
    parse(words, false).unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

fn error(words: &[&str], udp: bool) -> String {
    match parse(words, udp) {
        Ok(target) => panic!("{words:?} was taken for {target:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn plain_targets() {
    for (words, endpoint) in [
        (&[][..], "localhost:80"),
        (&["localhost"], "localhost:80"),
        (&["db1:5432"], "db1:5432"),
        (&["DB1.Example:05432"], "db1.example:5432"),
        (&["my_host-1.example.:22"], "my_host-1.example.:22"),
        (&[":5432"], "localhost:5432"),
        (&["db1", "5432"], "db1:5432"),
        (&["db1", "postgresql"], "db1:5432"),
        (&["db1:HTTPS"], "db1:443"),
        (&["10.0.0.5:443"], "10.0.0.5:443"),
        (&["redis:6379"], "redis:6379"),
        (&["http:80"], "http:80"),
        (&["127.1"], "127.1:80"),
        (&["0x7f.1:22"], "0x7f.1:22"),
        (&["0"], "0:80"),
        (&["2130706433"], "2130706433:80"),
        (&["web.1", "80"], "web.1:80"),
        (&["::1"], "[::1]:80"),
        (&["::"], "[::]:80"),
        (&["[::1]"], "[::1]:80"),
        (&["[0:0:0:0:0:0:0:1]:8080"], "[::1]:8080"),
        (&["::ffff:10.0.0.1"], "[::ffff:10.0.0.1]:80"),
        (&["fe80::1%eth0"], "[fe80::1%eth0]:80"),
        (&["fe80::1%eth0", "22"], "[fe80::1%eth0]:22"),
        (&["[fe80::1%eth0]:22"], "[fe80::1%eth0]:22"),
        (&["[fe80::1%2]"], "[fe80::1%2]:80"),
        (&["2001:db8::5", "https"], "[2001:db8::5]:443"),
        (&["[::1]", "443"], "[::1]:443"),
        (&["bücher.example"], "xn--bcher-kva.example:80"),
        (&["BÜCHER.example:443"], "xn--bcher-kva.example:443"),
        (&["１２７.0.0.1"], "127.0.0.1:80"),
        (&["/run/docker.sock"], "/run/docker.sock"),
        (&["unix:/run/docker.sock"], "/run/docker.sock"),
        (&["UNIX:///run/a b@c:d.sock"], "/run/a b@c:d.sock"),
    ] {
        let target = ok(words);
        assert_eq!(target.endpoint(), endpoint, "{words:?}");
        assert_eq!(target.scheme, None, "{words:?}");
    }
    assert_eq!(ok(&[]).input, "localhost 80");
    assert_eq!(ok(&["DB1", "80"]).input, "DB1 80");
    assert_eq!(ok(&["[fe80::1%eth0]"]).scope.as_deref(), Some("eth0"));
}

#[test]
fn urls() {
    for (url, endpoint, scheme) in [
        ("http://example.com", "example.com:80", "http"),
        ("HTTPS://Example.com/a?b#c", "example.com:443", "https"),
        ("http://example.com:/x", "example.com:80", "http"),
        ("redis://cache:80", "cache:80", "redis"),
        ("http://127.1/", "127.1:80", "http"),
        ("ws://h", "h:80", "ws"),
        ("wss://h", "h:443", "wss"),
        ("postgres://u:p@h/db", "h:5432", "postgres"),
        ("postgresql://u:p%2F@h:6000/db", "h:6000", "postgresql"),
        ("postgresql+psycopg2://h/db", "h:5432", "postgresql+psycopg2"),
        ("git+ssh://git@h/x", "h:22", "git+ssh"),
        ("mysql://h", "h:3306", "mysql"),
        ("mariadb://h", "h:3306", "mariadb"),
        ("rediss://:p@h/0", "h:6379", "rediss"),
        ("valkey://h", "h:6379", "valkey"),
        ("amqp://g:g@h/%2F", "h:5672", "amqp"),
        ("amqps://h", "h:5671", "amqps"),
        ("ssh://git@h/~x", "h:22", "ssh"),
        ("sftp://h", "h:22", "sftp"),
        ("ftp://h", "h:21", "ftp"),
        ("smtp://h", "h:25", "smtp"),
        ("submission://h", "h:587", "submission"),
        ("ldaps://h/dc=x", "h:636", "ldaps"),
        ("mqtts://h", "h:8883", "mqtts"),
        ("kafka://a:9093,b", "a:9093", "kafka"),
        ("mongodb://u:p@a,b:27018/db?replicaSet=x", "a:27017", "mongodb"),
        ("mongodb://[::1]:1,b/", "[::1]:1", "mongodb"),
        ("jdbc:postgresql://h:5433/db?user=u", "h:5433", "postgresql"),
        ("jdbc:mysql:loadbalance://a:1,b:2/db", "a:1", "mysql"),
        ("JDBC:sqlserver://h:1434;databaseName=x", "h:1434", "sqlserver"),
        ("http://[::1]:8080/", "[::1]:8080", "http"),
        ("http://[fe80::1%25eth0]/", "[fe80::1%eth0]:80", "http"),
        ("http://[fe80::1%eth0]/", "[fe80::1%eth0]:80", "http"),
        ("http://b%C3%BCcher.example/", "xn--bcher-kva.example:80", "http"),
        ("redis://bücher.example/", "xn--bcher-kva.example:6379", "redis"),
        ("http://h:443/@user", "h:443", "http"),
        ("tcp://h:2375", "h:2375", "tcp"),
        ("weird-app://h:7", "h:7", "weird-app"),
        ("postgresql://%2Fvar%2Frun%2Fpostgresql/db", "/var/run/postgresql/.s.PGSQL.5432", "postgresql"),
        ("postgresql://%2Ftmp:5433/db", "/tmp/.s.PGSQL.5433", "postgresql"),
        ("mongodb://%2Ftmp%2Fmongodb-27017.sock/db", "/tmp/mongodb-27017.sock", "mongodb"),
        ("http+unix://%2Frun%2Fdocker.sock/info", "/run/docker.sock", "http+unix"),
        ("http://unix:/run/app.sock:/path", "/run/app.sock", "http"),
    ] {
        let target = ok(&[url]);
        assert_eq!((target.endpoint().as_str(), target.scheme.as_deref()), (endpoint, Some(scheme)), "{url}");
    }
}

#[test]
fn protocols() {
    let protocol = |words: &[&str], udp| parse(words, udp).unwrap().protocol;
    assert_eq!(protocol(&["h"], false), Protocol::Tcp);
    assert_eq!(protocol(&["h"], true), Protocol::Udp);
    assert_eq!(protocol(&["h:53/udp"], false), Protocol::Udp);
    assert_eq!(protocol(&["h", "53/UDP"], true), Protocol::Udp);
    assert_eq!(protocol(&["h", "53/tcp"], false), Protocol::Tcp);
    assert_eq!(protocol(&["[::1]:53/udp"], false), Protocol::Udp);
    assert_eq!(protocol(&["h", "dns"], false), Protocol::Udp);
    assert_eq!(protocol(&["h", "dns/tcp"], false), Protocol::Tcp);
    assert_eq!(protocol(&["dns://h"], false), Protocol::Udp);
    assert_eq!(protocol(&["udp://h:9"], false), Protocol::Udp);
    assert_eq!(protocol(&["https://h"], true), Protocol::Udp);
    assert_eq!(protocol(&["/x"], false), Protocol::Unix);
}

#[test]
fn errors_name_the_fault_and_the_remedy() {
    for (words, message) in [
        (&[""][..], "an empty word is no target: write host:port, a URL, or host and port"),
        (&["a", "b", "c"], "3 words where one or two belong: give host:port, a URL, or a host and a port"),
        (&["h:0"], "port 0 in `h:0`: nothing can be reached there; ports go from 1 to 65535"),
        (&["h", "65536"], "port `65536` is too large: ports go from 1 to 65535"),
        (&["h:99999999999999999999"], "port `99999999999999999999` is too large: ports go from 1 to 65535"),
        (&["h:"], "no port after the colon in `h:`: write host:port"),
        (&["h:+80"], "port `+80` is neither a number nor a service known here: write the number, as in host:80"),
        (&["h", "-1"], "port `-1` is neither a number nor a service known here: write the number, as in host:80"),
        (&["h:80", "81"], "two ports, one in `h:80` and `81` after it: give one of them"),
        (&["http://h", "81"], "port `81` beside the URL `http://h`: write the port in the URL, after the host"),
        (&["/run/x", "81"], "a unix socket has no port: give `/run/x` alone"),
        (&["h 80"], "a space in `h 80`: write host:port, or host and port as two words"),
        (&["h\u{1b}[2J"], "a character that cannot be seen in `h\\x1b[2J`: leave it out"),
        (&["h\u{200b}st"], "a character that cannot be seen in `h\\u{200b}st`: leave it out"),
        (&["[::1"], "no closing bracket in `[::1`: write [address]:port"),
        (&["::1]"], "more than one colon in `::1]`: write host:port, or [address]:port for IPv6"),
        (&["[::1]80"], "`80` after the closing bracket: only :port belongs there, as in [::1]:80"),
        (&["[db1]:80"], "`db1` is no IPv6 address: brackets are for those, as in [::1]:80"),
        (
            &["1:2:3:4:5:6:7:8:443"],
            "`1:2:3:4:5:6:7:8:443` is an IPv6 address without brackets: write [1:2:3:4:5:6:7:8]:443",
        ),
        (&["fe80::1%"], "`` after % is no interface: write the name that `ip link` shows, as in fe80::1%eth0"),
        (&["http:/h"], "`http:/h` is no URL: after the scheme comes ://, as in http://host"),
        (&["redis:cache.example"], "`redis:cache.example` is no URL: after the scheme comes ://, as in redis://host"),
        (&["//h/x"], "no scheme before // in `//h/x`: write http://h/x"),
        (&["://h"], "no scheme before :// in `://h`: write one of letters and digits, as in https://host"),
        (&["http://"], "no host in `http://`: write scheme://host:port"),
        (&["http://:80"], "no host in `http://:80`: write scheme://host:port"),
        (&["http://::1/"], "an IPv6 address without brackets in `http://::1/`: write [::1] in a URL"),
        (&["http://a,b"], "a list in `http://a,b`: give one host at a time"),
        (&["http://h:x"], "port `x` is no number: in a URL write scheme://host:80"),
        (&["foo://h"], "no port is known for the scheme of `foo://h`: write foo://host:port"),
        (
            &["mongodb+srv://h"],
            "`mongodb+srv://h` names no host but an SRV record: give one of the hosts that the record lists, as host:port",
        ),
        (&["jdbc:oracle:thin:@h"], "no :// in `jdbc:***@h`: write jdbc:postgresql://host:port/database, or host:port"),
        (&["user@h"], "a user in `user@h`: write the host alone, or a URL such as ssh://user@host"),
        (&["./s"], "`./s` is part of a path: write the whole path of a unix socket, from the first / on"),
        (&["run/x.sock"], "`run/x.sock` is part of a path: write the whole path of a unix socket, from the first / on"),
        (&["h/path"], "a path in `h/path`: write the host alone, or a URL such as http://host/path"),
        (
            &["h:80/path"],
            "`/path` after the port in `h:80/path`: only /tcp and /udp belong there; a path needs its scheme, as in http://host:port/path",
        ),
        (&["*:80"], "`*` in `*:80` is every address of a listener: write :port for this machine"),
        (&["a..b"], "a dot too many in `a..b`: something must stand between two dots and before the first"),
        (&["."], "no host in `.`: write host:port"),
        (&["h$x"], "`$` cannot be in a host name: `h$x` may hold letters, digits, dots, - and _"),
        (&["10.0.0.256"], "`10.0.0.256` is no IPv4 address: it has four numbers from 0 to 255, as in 192.0.2.1"),
        (&["8080"], "`8080` alone may be a host or a port: write :8080 for that port of this machine, or host:8080"),
        (&["unix:x"], "`unix:x` names no unix socket by an absolute path: write unix:/path/to/socket"),
        (
            &["postgres://u:p/x@h/d"],
            "`postgres://u:***@h/d` has an @ behind its host: in a password write / as %2F, ? as %3F and # as %23",
        ),
    ] {
        assert_eq!(error(words, false), message);
    }
    assert_eq!(error(&["h:53/tcp"], true), "`h:53/tcp` says tcp and --udp says udp: leave one away");
    assert_eq!(error(&["tcp://h:1"], true), "`tcp://h:1` says tcp and --udp says udp: leave one away");
    assert_eq!(error(&["/run/x"], true), "`/run/x` is a unix socket: leave --udp away");
}

#[test]
fn lengths_are_held() {
    let label = "a".repeat(63);
    let name = [label.as_str(); 4].join(".");
    assert!(error(&[&name], false).contains("has 255 characters: 253 is the most"));
    let name = &name[..253];
    assert_eq!(ok(&[name]).host, name);
    assert_eq!(ok(&[&format!("{name}.")]).host.len(), 254);
    assert!(error(&[&"a".repeat(64)], false).contains("64 characters: 63 is the most"));
    assert_eq!(ok(&[&format!("/{}", "x".repeat(106))]).host.len(), 107);
    assert!(error(&[&format!("/{}", "x".repeat(107))], false).contains("108 bytes"));
    let long = error(&[&"x".repeat(64 * 1024)], false);
    assert!(long.chars().count() < 300, "{long}");
}

#[test]
fn passwords_stay_inside() {
    const SECRET: &str = "hunter2";
    for words in [
        &["postgres://u:hunter2@h/d"][..],
        &["postgres://u:hunter2@h:99999/d"],
        &["postgres://u:hunter2@/d"],
        &["postgres://u:hunter2@h/d", "80"],
        &["postgres://u:x/hunter2@h/d"],
        &["postgres://u:12/hunter2@h/d"],
        &["postgres://u:x#hunter2@h/d"],
        &["postgres://u:x?hunter2@h/d"],
        &["postgres://u:x@hunter2@h/d"],
        &["postgres://u:[hunter2@h/d"],
        &["postgres:/u:hunter2@h/d"],
        &["postgres://h/d?user=u&password=hunter2"],
        &["postgres://h:x/d?user=u&password=hunter2"],
        &["postgres://h/d?sslpassword=hunter2#x"],
        &["jdbc:sqlserver://h;user=u;password=hunter2"],
        &["jdbc:sqlserver://h:x;user=u;password=hunter2"],
        &["jdbc:oracle:thin:u/hunter2@h:1521:x"],
        &["https://hunter2@h/"],
        &["u:hunter2@h:80"],
        &["h:80", "password=hunter2"],
        &["password=hunter2"],
        &["h;password=hunter2"],
        &["mongodb://u:hunter2@a,b:0/"],
        &["weird://u:hunter2@h"],
        &["http://h/?next=http://u:hunter2@i"],
        &["1http://u:hunter2@h"],
        &["http://u:hunter2@unix:/x"],
        // Found by fuzzing: taken for the path of a unix socket.
        &["/Y?://user:hunter2@host"],
    ] {
        for udp in [false, true] {
            let shown = match parse(words, udp) {
                Ok(target) => format!("{target:?}"),
                Err(error) => error.to_string(),
            };
            assert!(!shown.contains(SECRET), "{words:?} -> {shown}");
        }
    }
}

/// What every answer has to be, whatever was typed. The fuzz target checks the same.
fn check(words: &[&str], udp: bool) -> Result<(), TestCaseError> {
    match parse(words, udp) {
        Err(error) => {
            let error = error.to_string();
            prop_assert_eq!(&text::visible(&error), &error);
            prop_assert!(error.chars().count() < 500, "{}", error);
        }
        Ok(target) => {
            prop_assert!(target.protocol == Protocol::Unix || target.port > 0);
            let again = parse(&[&target.endpoint()], target.protocol == Protocol::Udp).unwrap();
            prop_assert_eq!(
                (again.host, again.scope, again.port, again.protocol),
                (target.host, target.scope, target.port, target.protocol)
            );
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_words(words in proptest::collection::vec(".{0,30}", 0..3), udp: bool) {
        check(&words.iter().map(String::as_str).collect::<Vec<_>>(), udp)?;
    }

    #[test]
    fn any_likely_words(words in proptest::collection::vec("(jdbc:|unix:)?(http|redis|x)?:?/{0,2}(u:p@)?[\\[a-f0-9:%.,/]{0,12}\\]?(:[0-9a-z]{0,6})?(/udp|/x)?", 1..3), udp: bool) {
        check(&words.iter().map(String::as_str).collect::<Vec<_>>(), udp)?;
    }
}
