//! cargo with a toolchain that an operator's profile mounts read-only.

use crate::skip_story;
use runtime_tests::{Daemon, Stage, stories};
use std::{
    ffi::OsStr,
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

stories!(a_small_crate_is_built_tested_and_run);

const STORY: &str = "cargo::a_small_crate_is_built_tested_and_run";

/// The toolchain that builds these tests.
fn toolchain() -> Option<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    path.join("bin/cargo").exists().then_some(path)
}

/// The same where the actor can read it: as it is, or linked onto the stage file by file.
fn within_reach(stage: &Stage, toolchain: &Path) -> io::Result<PathBuf> {
    let readable = stage.command(toolchain.join("bin/cargo")).arg("--version").output();
    if readable.is_ok_and(|output| output.status.success()) {
        return Ok(toolchain.to_owned());
    }
    let copy = stage.path().join("toolchain");
    // Documentation and sources are not needed.
    for part in ["bin", "lib"] {
        link_tree(&toolchain.join(part), &copy.join(part))?;
    }
    Ok(copy)
}

fn link_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            link_tree(&entry.path(), &target)?;
        } else if entry.file_type()?.is_symlink() {
            symlink(fs::read_link(entry.path())?, &target)?;
        } else {
            fs::hard_link(entry.path(), &target)?;
        }
    }
    Ok(())
}

const BUILD: &str = r#"
set -e
cargo init -q --vcs none --name small .
mkdir -p dep/src; printf '[package]\nname = "dep"\nversion = "0.1.0"\nedition = "2021"\n' >dep/Cargo.toml
echo 'pub fn text() -> String { (1..=3).map(|n| n.to_string()).collect::<Vec<_>>().join(",") }' >dep/src/lib.rs
printf '[package]\nname = "small"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\ndep = { path = "dep" }\n' >Cargo.toml
cat >build.rs <<'END'
fn main() { println!("cargo::rustc-env=FROM_BUILD={}", 6 * 7); }
END
cat >src/main.rs <<'END'
fn main() { println!("{} {}", dep::text(), env!("FROM_BUILD")); }
#[test]
fn adds() { assert_eq!(dep::text(), "1,2,3"); }
END
cargo --version; cargo build -q 2>&1; ./target/debug/small; cargo test -q 2>&1 | grep -o 'test result: ok. 1 passed' | head -1; cargo run -q --release
"#;

fn a_small_crate_is_built_tested_and_run(stage: &Stage) {
    let Some(toolchain) = toolchain() else {
        return skip_story(stage, STORY, "this host has no Rust toolchain with cargo");
    };
    let toolchain = match within_reach(stage, &toolchain) {
        Ok(toolchain) => toolchain,
        Err(error) => {
            return skip_story(stage, STORY, &format!("{} cannot be linked: {error}", toolchain.display()));
        }
    };
    let profiles = stage.home().join("profiles");
    let text = format!(
        "description = \"A toolchain of this host.\"\nextends = \"build\"\n[[mounts]]\nsource = \"{}\"\ntarget = \"/opt/rust\"\nexec = true\n",
        toolchain.display()
    );
    let script = r#"umask 022; mkdir "$1" outside; printf %s "$2" >"$1/rust.toml""#;
    let mut command = stage.command("/bin/sh");
    command.args(["-c", script, "sh"]).arg(&profiles).arg(text).current_dir(stage.home());
    assert!(command.status().unwrap().success());

    let mut outside = stage.command("/bin/bash");
    outside
        .args(["-c", BUILD])
        .current_dir(stage.home().join("outside"))
        .env("CARGO_HOME", stage.home().join("cargo"));
    outside
        .env("PATH", format!("{}/bin:/usr/bin:/bin", toolchain.display()))
        .env("CARGO_NET_OFFLINE", "true");
    let outside = outside.output().unwrap();
    let said = String::from_utf8_lossy(&outside.stdout).into_owned();
    assert!(outside.status.success(), "outside: {said}{}", String::from_utf8_lossy(&outside.stderr));
    assert!(said.contains("1,2,3 42\ntest result: ok. 1 passed\n1,2,3 42\n"), "{said}");

    let daemon = Daemon::start(stage, &[OsStr::new("--profiles"), profiles.as_os_str()], "");
    let run = |script: &str| {
        daemon.client(&["run", "--profile", "rust", "--", "/bin/bash", "-c", script]).output().unwrap()
    };
    let inside = run(BUILD);
    assert_eq!(
        String::from_utf8_lossy(&inside.stdout),
        said,
        "stderr inside: {}",
        String::from_utf8_lossy(&inside.stderr)
    );
    let written = run("touch /opt/rust/bin/x 2>&1; ls -d /root /root/.cargo 2>&1");
    let told = String::from_utf8_lossy(&written.stdout).into_owned();
    assert!(told.contains("Read-only file system") && told.matches("No such file").count() == 2, "{told}");
}
