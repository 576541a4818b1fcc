//! The command `unrefuse`.

fn main() -> std::process::ExitCode {
    unrefuse::run(std::env::args_os())
}
