//! The program that is started in every way, and the ways that need no daemon: posix_spawn and bubblewrap.

use crate::error::Error;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// A static program on many hosts, whose applet `true` does nothing.
const BUSYBOX: &str = "/bin/busybox";
/// A program that does nothing on every host; it loads the C library.
const TRUE: &str = "/bin/true";

/// What is started.
#[derive(Debug, Clone)]
pub struct Program {
    /// The command line.
    pub argv: Vec<OsString>,
    /// Whether it needs no loader.
    pub is_static: bool,
}

/// The smallest program of this host that a sandbox can see: busybox when it is there and static, else /bin/true.
pub fn choose() -> Result<Program, Error> {
    let program =
        |argv: &[&str], is_static| Program { argv: argv.iter().map(OsString::from).collect(), is_static };
    match std::fs::read(BUSYBOX) {
        Ok(elf) if !has_interpreter(&elf) => Ok(program(&[BUSYBOX, "true"], true)),
        _ if Path::new(TRUE).exists() => Ok(program(&[TRUE], false)),
        _ => Err(Error::Missing { what: TRUE.to_owned(), next: "install coreutils" }),
    }
}

/// Whether an ELF file of 64 bits, little-endian, names an interpreter (elf(5): a program header of type `PT_INTERP`). A
/// file that cannot be read this way counts as one with an interpreter.
pub fn has_interpreter(elf: &[u8]) -> bool {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, bytes: usize| -> Option<u64> {
        let field = elf.get(at..at.checked_add(bytes)?)?;
        Some(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    let headers = || {
        let offset = usize::try_from(number(32, 8)?).ok()?;
        let (size, count) = (usize::try_from(number(54, 2)?).ok()?, usize::try_from(number(56, 2)?).ok()?);
        (0..count).map(|index| number(offset.checked_add(index * size)?, 4)).collect::<Option<Vec<_>>>()
    };
    let is_elf = elf.starts_with(b"\x7fELF\x02\x01");
    !is_elf || headers().is_none_or(|types| types.contains(&PT_INTERP))
}

/// A program in the PATH.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// The arguments of bubblewrap that come nearest to what a job gets from namespaces and mounts. It sets up no seccomp
/// filter, no landlock, no cgroup limits, no user of its own per job, no masked /proc.
pub fn bubblewrap(bwrap: &Path, argv: &[OsString]) -> Vec<OsString> {
    let options = "--unshare-all --die-with-parent --new-session --cap-drop ALL --hostname sandbox \
                   --ro-bind / / --dev /dev --proc /proc --tmpfs /tmp --chdir /tmp --clearenv";
    let options = options.split_ascii_whitespace().map(OsString::from);
    std::iter::once(bwrap.as_os_str().to_owned()).chain(options).chain(argv.iter().cloned()).collect()
}

/// The arguments of `runtime run`, embedded or at a daemon's socket. `output_bytes_max` is above the profile's own bound, or
/// `None` for that one.
pub fn runtime_run(
    runtime: &Path,
    socket: Option<&Path>,
    profile: &str,
    output_bytes_max: Option<u64>,
    argv: &[OsString],
) -> Vec<OsString> {
    let mut line = vec![runtime.as_os_str().to_owned()];
    match socket {
        Some(socket) => {
            let mut endpoint = OsString::from("unix:");
            endpoint.push(socket);
            line.extend([OsStr::new("--endpoint").to_owned(), endpoint, "run".into()]);
        }
        None => line.extend(["run".into(), "--embedded".into()]),
    }
    line.extend(["--profile".into(), profile.into()]);
    if let Some(bytes) = output_bytes_max {
        line.extend(["--limit".into(), format!("output={bytes}B").into()]);
    }
    line.push("--".into());
    line.extend(argv.iter().cloned());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF head with program headers of these types.
    fn elf(types: &[u32]) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32..40].copy_from_slice(&64_u64.to_le_bytes());
        file[54..56].copy_from_slice(&56_u16.to_le_bytes());
        file[56..58].copy_from_slice(&u16::try_from(types.len()).unwrap().to_le_bytes());
        for kind in types {
            let mut header = vec![0; 56];
            header[..4].copy_from_slice(&kind.to_le_bytes());
            file.extend(header);
        }
        file
    }

    #[test]
    fn a_static_program_has_no_interpreter() {
        assert!(!has_interpreter(&elf(&[1, 2, 6])));
        assert!(has_interpreter(&elf(&[6, 3, 1])));
        let mut cut = elf(&[1, 2]);
        cut.truncate(100);
        for no_elf in [&b""[..], b"#!/bin/sh\n", &cut] {
            assert!(has_interpreter(no_elf), "{no_elf:?}");
        }
        // This test binary is what the loader of the C library runs.
        let this = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(has_interpreter(&this));
    }

    #[test]
    fn the_program_comes_last_in_every_command_line() {
        let argv: Vec<OsString> = vec!["/bin/busybox".into(), "true".into()];
        let embedded = runtime_run(Path::new("/r"), None, "strict", None, &argv);
        assert_eq!(
            embedded,
            ["/r", "run", "--embedded", "--profile", "strict", "--", "/bin/busybox", "true"]
        );
        let daemon = runtime_run(Path::new("/r"), Some(Path::new("/s")), "strict", Some(7), &argv);
        assert_eq!(daemon[..4], ["/r", "--endpoint", "unix:/s", "run"]);
        assert_eq!(
            daemon[4..],
            ["--profile", "strict", "--limit", "output=7B", "--", "/bin/busybox", "true"]
        );
        assert!(bubblewrap(Path::new("/b"), &argv).ends_with(&argv));
    }
}
