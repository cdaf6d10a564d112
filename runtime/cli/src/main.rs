//! The `runtime` command: everything is in the library, so that the tests' binary is the same program.

fn main() -> std::process::ExitCode {
    runtime_cli::main_entry()
}
