//! Which directories `--dir` refuses. Sockets cross every wall but landlock's newest: a job that sees the session bus or an
//! agent's socket, with its caller's uid, is its caller.
//!
//! Pure: paths in, a reason out. Opening is in `embedded`.

use std::path::{Path, PathBuf};

/// Where the kernel and running programs live, not files.
const LIVE: [&str; 4] = ["/proc", "/sys", "/dev", "/run"];
/// The same, but a directory of somebody's own below it is as good as any other.
const SHARED: [&str; 3] = ["/tmp", "/var/tmp", "/var/run"];

/// Why a job must not have this directory; `None` when it may. `path` has no links left in it; `sockets` are the directories
/// with sockets of this user's programs.
pub fn unfit(path: &Path, sockets: &[PathBuf]) -> Option<String> {
    let live = LIVE.iter().map(Path::new);
    let shared = SHARED.iter().map(Path::new);
    let within =
        live.clone().chain(sockets.iter().map(PathBuf::as_path)).find(|place| path.starts_with(place));
    let above =
        live.chain(shared).chain(sockets.iter().map(PathBuf::as_path)).find(|place| place.starts_with(path));
    let place = within.or(above)?;
    Some(format!(
        "--dir {} would give the job {}, where running programs have their sockets: give it a directory that holds only what the job needs",
        path.display(),
        place.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_unfit(path: &str) -> bool {
        unfit(Path::new(path), &[PathBuf::from("/home/me/.run"), PathBuf::from("/tmp/runtime-7")]).is_some()
    }

    #[test]
    fn a_directory_of_ones_own_will_do() {
        for path in
            ["/home/me/project", "/home/me/.runner", "/tmp/work", "/var/tmp/x", "/srv", "/processes", "/usr"]
        {
            assert!(!is_unfit(path), "{path}");
        }
    }

    #[test]
    fn places_with_sockets_and_what_is_above_them_will_not() {
        let unfit = [
            "/",
            "/run",
            "/run/user/7",
            "/proc",
            "/proc/self",
            "/sys/fs",
            "/dev",
            "/dev/shm",
            "/tmp",
            "/var",
            "/var/run",
        ];
        for path in unfit {
            assert!(is_unfit(path), "{path}");
        }
        for path in ["/home/me/.run", "/home/me/.run/bus", "/home/me", "/home", "/tmp/runtime-7/instances"] {
            assert!(is_unfit(path), "{path}");
        }
    }
}
