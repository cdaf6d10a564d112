//! The whole run again as an ordinary user: from a directory of its own, with an environment of its own.

use crate::args::Args;
use crate::error::Error;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs this program again as `uid`, and brings its JSON to `out`. The user may not be able to reach our files, so it gets
/// copies.
pub fn run(args: &Args, uid: u32, runtime: &Path, out: &Path, name: &str) -> Result<(), Error> {
    let home = tempfile::Builder::new()
        .prefix("runtime-benches-")
        .tempdir()
        .map_err(Error::io("make a directory"))?;
    let own = std::env::current_exe().map_err(Error::io("find this program"))?;
    let copies: [PathBuf; 2] = [home.path().join("runtime-benches"), home.path().join("runtime")];
    for (from, to) in [own.as_path(), runtime].into_iter().zip(&copies) {
        fs::copy(from, to).map_err(Error::io(format!("copy {}", from.display())))?;
        fs::set_permissions(to, fs::Permissions::from_mode(0o755))
            .map_err(Error::io("make a copy executable"))?;
    }
    for folder in ["out", "run", "tmp"] {
        let folder = home.path().join(folder);
        fs::create_dir(&folder).map_err(Error::io("make a directory"))?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))
            .map_err(Error::io("close a directory"))?;
        chown(&folder, Some(uid), Some(uid)).map_err(Error::io("give a directory away"))?;
    }
    chown(home.path(), Some(uid), Some(uid)).map_err(Error::io("give a directory away"))?;
    let status = Command::new(&copies[0])
        .args(flags(args, name))
        .arg("--runtime")
        .arg(&copies[1])
        .arg("--out")
        .arg(home.path().join("out"))
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", home.path())
        .env("TMPDIR", home.path().join("tmp"))
        .env("XDG_RUNTIME_DIR", home.path().join("run"))
        .current_dir(home.path())
        .uid(uid)
        .gid(uid)
        .status()
        .map_err(Error::io("start again as the user"))?;
    if !status.success() {
        return Err(Error::Ended { mode: "as the user", status, words: "see above".to_owned() });
    }
    let file = format!("{name}.json");
    fs::create_dir_all(out).map_err(Error::io(format!("make {}", out.display())))?;
    fs::copy(home.path().join("out").join(&file), out.join(&file)).map_err(Error::io("bring the JSON"))?;
    println!("copied to {}", out.join(&file).display());
    Ok(())
}

/// What the second run has in common with the first.
fn flags(args: &Args, name: &str) -> Vec<String> {
    let in_flight: Vec<String> = args.in_flight.iter().map(u32::to_string).collect();
    let finished: Vec<String> = args.finished.iter().map(u64::to_string).collect();
    let growth = args.growth.then(|| "--growth".to_owned());
    let logs = args.logs.then(|| "--logs".to_owned());
    let same = [
        format!("--samples={}", args.samples),
        format!("--rounds={}", args.rounds),
        format!("--block-ms={}", args.block_ms),
        format!("--in-flight={}", in_flight.join(",")),
        format!("--stream-mib={}", args.stream_mib),
        format!("--profile={}", args.profile),
        format!("--past-mib={}", args.past_mib),
        format!("--finished={}", finished.join(",")),
        format!("--name={name}"),
    ];
    same.into_iter().chain(logs).chain(growth).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn the_second_run_measures_the_same() {
        let line = "runtime-benches --samples 7 --rounds 2 --block-ms 50 --in-flight 1,4 --stream-mib 3 --profile strict --growth --finished 10,20";
        let args = Args::parse_from(line.split(' '));
        let flags = flags(&args, "x");
        let again =
            Args::parse_from(std::iter::once("runtime-benches").chain(flags.iter().map(String::as_str)));
        let expected = Args { name: Some("x".to_owned()), ..args };
        assert_eq!(format!("{again:?}"), format!("{expected:?}"));
    }
}
