//! The `runtime` command as tests run it: the same library, with the switch that takes walls down.

fn main() -> std::process::ExitCode {
    runtime_cli::main_entry()
}
