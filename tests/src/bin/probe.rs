//! The containment probes as a program of their own, which needs nothing but the C library of the sandbox.

fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    runtime_probes::main(&args)
}
