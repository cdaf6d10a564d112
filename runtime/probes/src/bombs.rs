//! Bombs with a bound: processes, memory, pipes, scratch bytes, inodes. All refuse to run on a bare host.

use crate::{
    kernel::{self, End, Scratch, errno_name},
    number, sys,
    verdict::{Mode, Probe, Step, Tried, breached, broken, contained},
};
use std::{io::Write, path::Path};

const MEMORY: &str = "PROBE_MEMORY_BYTES: where it gives up (2 GiB by default), above the job's memory limit; contained also when the job dies without a line and its outcome is the memory limit; where nothing but polling bounds memory the filter answers ENOSYS";
const POLLED: &str =
    "as R06.memfd, but without the cgroup the launcher polls what is resident, and ends the job";

pub const PROBES: &[Probe] =
    &[
        Probe::new("R01.fork_bomb", "2000 processes", "cgroup,rlimits", fork_bomb)
            .inside()
            .note("without cgroups RLIMIT_NPROC bounds the user namespace"),
        Probe::new("R27.orphans", "2000 orphans that only pid 1 can reap", "-", orphans)
            .inside()
            .note("a positive: pid 1 reaps, and without the pid namespace the host's pid 1 does"),
        Probe::new("R05.memory", "anonymous memory without end", "-", memory)
            .inside()
            .mode(Mode::Solo)
            .seconds(60)
            .fatal(libc::SIGKILL)
            .note(POLLED),
        Probe::new("R06.memfd", "memory in a memfd without end", "cgroup,seccomp", memfd)
            .inside()
            .mode(Mode::Solo)
            .seconds(60)
            .fatal(libc::SIGKILL)
            .note(MEMORY),
        Probe::new("R06.sysv", "memory in SysV segments without end", "-", sysv)
            .inside()
            .mode(Mode::Solo)
            .seconds(60)
            .fatal(libc::SIGKILL)
            .note(POLLED),
        Probe::new("R06.pipes", "1 GiB in the pipes of one process", "-", pipes)
            .inside()
            .note("the limit of open files, and the kernel's soft limit of pipe pages per user"),
        Probe::new("R07.tmp", "fill /tmp", "mount", fill).args(&[0]).inside().seconds(30).note(SCRATCH),
        Probe::new("R07.shm", "fill /dev/shm", "mount", fill).args(&[1]).inside().seconds(30).note(SCRATCH),
        Probe::new("R07.workspace", "fill /workspace", "-", fill).args(&[2]).inside().seconds(30).note(
            "without the mount wall there is no /workspace; with --dir it is the host's and not bounded",
        ),
        Probe::new("R09.inodes", "use up the inodes of /tmp", "mount", inodes)
            .inside()
            .seconds(30)
            .note("PROBE_INODES: where it gives up (110 000 by default)"),
    ];

const SCRATCH: &str = "PROBE_SCRATCH_BYTES: where it gives up (640 MiB by default)";

fn fork_bomb(_: &[i64]) -> Tried {
    let bound = number("PROBE_PIDS", 2_000)?;
    let mut pids = Vec::new();
    let answer = loop {
        if pids.len() as u64 >= bound {
            break breached(format!("{} processes live", pids.len()));
        }
        let child = kernel::fork_child(|| {
            // SAFETY: pause(2) takes nothing; the parent or its parent kills this process.
            unsafe { libc::pause() }
        });
        match child {
            Ok(pid) => pids.push(pid),
            Err(errno @ (libc::EAGAIN | libc::ENOMEM)) => {
                break contained(format!("{} after {} processes", errno_name(errno), pids.len()));
            }
            Err(errno) => break broken(format!("fork: {}", errno_name(errno))),
        }
    };
    for pid in pids {
        sys!(libc::SYS_kill, pid, libc::SIGKILL).step("kill of a child")?;
        kernel::wait(pid).step("wait for a child")?;
    }
    answer
}

fn orphans(_: &[i64]) -> Tried {
    for count in 0..2_000 {
        // The child forks and leaves at once; the grandchild is nobody's.
        let end = kernel::run_child(|| match kernel::fork_child(|| 0) {
            Ok(_) => 0,
            Err(errno) => errno.clamp(1, 255),
        });
        match end {
            Ok(End::Exited(0)) => {}
            Ok(End::Exited(libc::EAGAIN)) | Err(libc::EAGAIN) => {
                // Pid 1 may only be slow: it gets a second to catch up.
                std::thread::sleep(std::time::Duration::from_secs(1));
                if let Err(errno) = kernel::run_child(|| 0) {
                    return breached(format!("{} for good after {count} orphans", errno_name(errno)));
                }
            }
            other => return broken(format!("after {count} orphans: {other:?}")),
        }
    }
    contained("2000 orphans were reaped")
}

const STEP_BYTES: usize = 16 << 20;

/// Repeats `take` in a child, 16 MiB each time; a child that is killed is the containment.
fn until_killed(what: &str, mut take: impl FnMut() -> Result<(), i32>) -> Tried {
    let bound = number("PROBE_MEMORY_BYTES", 2 << 30)?;
    let end = kernel::run_child(|| {
        let mut taken = 0u64;
        while taken < bound {
            if let Err(errno) = take() {
                return errno.clamp(1, 255);
            }
            taken += STEP_BYTES as u64;
        }
        0
    });
    match end.step("fork")? {
        End::Exited(0) => breached(format!("{bound} bytes of {what}")),
        End::Exited(errno @ (libc::ENOMEM | libc::ENOSPC | libc::EAGAIN | libc::EPERM | libc::ENOSYS)) => {
            contained(format!("{what}: {}", errno_name(errno)))
        }
        End::Signalled(libc::SIGKILL) => contained(format!("{what}: killed")),
        end => broken(format!("{what}: {end:?}")),
    }
}

fn memory(_: &[i64]) -> Tried {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    until_killed("anonymous memory", move || {
        let mut step: Vec<u8> = Vec::new();
        step.try_reserve_exact(STEP_BYTES).map_err(|_| libc::ENOMEM)?;
        // Every page is written, or it would not be charged.
        step.resize(STEP_BYTES, 1);
        kept.push(step);
        Ok(())
    })
}

fn memfd(_: &[i64]) -> Tried {
    let mut kept = Vec::new();
    until_killed("memfd", move || {
        let fd = sys!(libc::SYS_memfd_create, c"probe", 0).map(kernel::owned)?;
        let mut file = std::fs::File::from(fd);
        file.write_all(&vec![1; STEP_BYTES]).map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
        kept.push(file);
        Ok(())
    })
}

fn sysv(_: &[i64]) -> Tried {
    until_killed("SysV shared memory", || {
        let id = sys!(libc::SYS_shmget, libc::IPC_PRIVATE, STEP_BYTES, 0o600 | libc::IPC_CREAT)?;
        let address = sys!(libc::SYS_shmat, id, 0, 0)?;
        // Marked for removal at once: it goes with the last process that has it.
        sys!(libc::SYS_shmctl, id, libc::IPC_RMID, 0)?;
        // SAFETY: shmat has just mapped that many bytes there, readable and writable, and nothing else refers to them.
        unsafe { std::ptr::write_bytes(address as *mut u8, 1, STEP_BYTES) };
        Ok(())
    })
}

fn pipes(_: &[i64]) -> Tried {
    let page = [1u8; 4096];
    let (mut kept, mut bytes) = (Vec::new(), 0u64);
    while bytes < 1 << 30 {
        let (reader, writer) = match kernel::pipe() {
            Ok(ends) => ends,
            Err(errno) => {
                return contained(format!(
                    "{} with {bytes} bytes in {} pipes",
                    errno_name(errno),
                    kept.len()
                ));
            }
        };
        sys!(libc::SYS_fcntl, &writer, libc::F_SETFL, libc::O_NONBLOCK).step("O_NONBLOCK")?;
        // The largest that an unprivileged process gets; refused once its user has many.
        sys!(libc::SYS_fcntl, &writer, libc::F_SETPIPE_SZ, 1 << 20).ok();
        let mut file = std::fs::File::from(writer);
        while let Ok(count) = file.write(&page) {
            bytes += count as u64;
        }
        kept.push((reader, file));
    }
    breached(format!("{bytes} bytes in {} pipes", kept.len()))
}

fn fill(args: &[i64]) -> Tried {
    let place = Path::new(["/tmp", "/dev/shm", "/workspace"][args[0] as usize]);
    let bound = number("PROBE_SCRATCH_BYTES", 640 << 20)?;
    let scratch = Scratch::in_place(place).step(&place.display().to_string())?;
    let block = vec![1u8; 1 << 20];
    let mut written = 0u64;
    for index in 0u32.. {
        // Many files, so that RLIMIT_FSIZE is not what stops it.
        let mut file = std::fs::File::create(scratch.join(&index.to_string())).step("make a file")?;
        for _ in 0..32 {
            match file.write_all(&block) {
                Ok(()) => written += block.len() as u64,
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT)) => {
                    return contained(format!("{error} after {written} bytes"));
                }
                Err(error) => return broken(format!("after {written} bytes: {error}")),
            }
        }
        if written >= bound {
            break;
        }
    }
    breached(format!("{written} bytes are in {}", place.display()))
}

fn inodes(_: &[i64]) -> Tried {
    let bound = number("PROBE_INODES", 110_000)?;
    let scratch = Scratch::in_place(Path::new("/tmp")).step("/tmp")?;
    let dir = kernel::open(&scratch.0, libc::O_RDONLY | libc::O_DIRECTORY, 0).step("open the directory")?;
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_CLOEXEC;
    for count in 0..bound {
        let name = kernel::text(count.to_string());
        match sys!(libc::SYS_openat, &dir, &name, flags, 0o600) {
            Ok(fd) => drop(kernel::owned(fd)),
            Err(errno @ (libc::ENOSPC | libc::EDQUOT)) => {
                return contained(format!("{} after {count} files", errno_name(errno)));
            }
            Err(errno) => return broken(format!("after {count} files: {}", errno_name(errno))),
        }
    }
    breached(format!("{bound} files in /tmp"))
}
