//! Breaks connections on purpose, in network namespaces of its own, and holds what unrefuse says against it.
//!
//! See `lab/README.md` for how a scenario is written.

mod cgroup;
mod check;
mod cli;
mod connect;
mod fix;
mod hold;
mod keep;
mod lab;
mod node;
mod placeholders;
mod rootfs;
mod run;
mod scenario;
mod scenarios;
mod schema;
mod serve;
mod service;
mod shell;
mod stage;
mod sys;
mod system;
mod topology;

fn main() -> std::process::ExitCode {
    cli::main()
}
