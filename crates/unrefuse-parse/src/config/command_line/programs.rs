//! Programs whose options are known, as data: each program's own `--help` and documentation.

/// A program's options.
pub(super) struct Program {
    /// Beginnings of its command name, or of its script's.
    pub(super) names: &'static [&'static str],
    /// Options that take `[address]:port`.
    pub(super) endpoint: &'static [&'static str],
    /// Options that take an address.
    pub(super) address: &'static [&'static str],
    /// Options that take a port.
    pub(super) port: &'static [&'static str],
    /// Address and port without options; no port: it must be given.
    pub(super) default: (&'static str, Option<u16>),
}

const NONE: &[&str] = &[];

const fn program(
    names: &'static [&'static str],
    address: &'static [&'static str],
    port: &'static [&'static str],
    default: (&'static str, Option<u16>),
) -> Program {
    Program { names, endpoint: NONE, address, port, default }
}

const fn with_endpoint(
    names: &'static [&'static str],
    endpoint: &'static [&'static str],
    default: (&'static str, Option<u16>),
) -> Program {
    Program { names, endpoint, address: NONE, port: NONE, default }
}

/// gunicorn's own port.
pub(super) const GUNICORN: u16 = 8000;

/// Of two that fit the first is taken: longer names stand first.
pub(super) const PROGRAMS: &[Program] = &[
    with_endpoint(
        &["prometheus", "node_exporter", "alertmanager", "blackbox_export", "pushgateway", "grafana-agent"],
        &["--web.listen-address"],
        ("*", None),
    ),
    with_endpoint(&["etcd"], &["--listen-client-urls"], ("localhost", Some(2379))),
    with_endpoint(&["minio"], &["--address"], ("*", Some(9000))),
    with_endpoint(&["dockerd"], &["-H", "--host"], ("", None)),
    with_endpoint(&["php"], &["-S"], ("", None)),
    with_endpoint(&["code-server"], &["--bind-addr"], ("127.0.0.1", Some(8080))),
    // Servers of Python, Ruby and JavaScript applications.
    with_endpoint(&["gunicorn"], &["--bind", "-b"], ("127.0.0.1", Some(GUNICORN))),
    with_endpoint(&["hypercorn"], &["--bind", "-b"], ("127.0.0.1", Some(8000))),
    program(&["uvicorn"], &["--host"], &["--port"], ("127.0.0.1", Some(8000))),
    program(&["daphne"], &["-b", "--bind"], &["-p", "--port"], ("127.0.0.1", Some(8000))),
    program(&["flask"], &["--host", "-h"], &["--port", "-p"], ("127.0.0.1", Some(5000))),
    program(&["vite"], &["--host"], &["--port"], ("localhost", Some(5173))),
    program(&["webpack"], &["--host"], &["--port"], ("localhost", Some(8080))),
    program(&["ng"], &["--host"], &["--port"], ("localhost", Some(4200))),
    // Documentation and notebooks.
    with_endpoint(&["mkdocs"], &["-a", "--dev-addr"], ("127.0.0.1", Some(8000))),
    program(&["hugo"], &["--bind"], &["-p", "--port"], ("127.0.0.1", Some(1313))),
    program(&["jekyll"], &["-H", "--host"], &["-P", "--port"], ("localhost", Some(4000))),
    program(&["jupyter"], &["--ip"], &["--port"], ("localhost", Some(8888))),
    program(&["tensorboard"], &["--host"], &["--port"], ("localhost", Some(6006))),
    program(&["ollama"], NONE, NONE, ("127.0.0.1", Some(11434))),
    program(&["ttyd"], NONE, &["--port", "-p"], ("*", Some(7681))),
    program(
        &["chrome", "chromium", "headless_shell"],
        &["--remote-debugging-address"],
        &["--remote-debugging-port"],
        ("127.0.0.1", None),
    ),
];

impl Program {
    /// The option that changes the address, for words about a default.
    pub(super) fn option(&self) -> Option<&'static str> {
        match self.names {
            ["ollama"] => Some("OLLAMA_HOST in its environment"),
            _ => self
                .address
                .iter()
                .chain(self.endpoint)
                .find(|o| o.starts_with("--"))
                .or(self.endpoint.first())
                .copied(),
        }
    }
}
