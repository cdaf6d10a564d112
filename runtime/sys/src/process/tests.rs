//! Tests of the acts of a process on itself; each runs in a child of its own.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd};

use super::*;
use crate::clone::{Cloned, SingleThreaded, fork};
use crate::in_child::{self, expect, need_root};
use crate::pidfd::{WaitStatus, reap_blocking};

fn status_line(name: &str) -> std::io::Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    Ok(line.unwrap_or_default().trim_start_matches(':').trim().to_owned())
}

#[test]
fn another_effective_uid_keeps_every_capability() {
    if !need_root("another uid") {
        return;
    }
    in_child::run(|| {
        let before = (status_line("CapEff")?, status_line("CapPrm")?);
        set_effective_uid_keeping_caps(0x7000_0000)?;
        set_dumpable(true)?;
        expect("effective uid", effective_uid() == 0x7000_0000 && real_uid() == 0)?;
        expect("capabilities", before == (status_line("CapEff")?, status_line("CapPrm")?))?;
        restore_effective_root()?;
        set_dumpable(true)?;
        expect("root again", effective_uid() == 0)?;
        expect("capabilities again", before == (status_line("CapEff")?, status_line("CapPrm")?))
    });
}

#[test]
fn other_ids_leave_nothing_of_root() {
    if !need_root("another uid") {
        return;
    }
    in_child::run(|| {
        set_groups(&[7, 8])?;
        expect("two groups", groups()? == [7, 8])?;
        drop_supplementary_groups()?;
        expect("no groups", groups()?.is_empty())?;
        lock_securebits()?;
        set_ids(0x7000_0001, 0x7000_0002)?;
        set_dumpable(true)?;
        expect("uid", effective_uid() == 0x7000_0001 && real_uid() == 0x7000_0001)?;
        expect("gid", effective_gid() == 0x7000_0002)?;
        expect("no capability", status_line("CapPrm")? == "0000000000000000")?;
        let back = set_ids(0, 0).map_err(|error| error.errno);
        expect("no way back", back == Err(Errno::EPERM))?;
        let locked = lock_securebits().map_err(|error| error.errno);
        expect("the bits need a capability", locked == Err(Errno::EPERM))
    });
}

#[test]
fn locked_bits_make_uid_0_powerless_at_exec() {
    if !need_root("secure bits") {
        return;
    }
    in_child::run(|| {
        lock_securebits()?;
        // SAFETY: PR_GET_SECUREBITS takes nothing.
        let bits = unsafe { libc::prctl(libc::PR_GET_SECUREBITS) };
        expect("bits", bits == 0b1110_1011)
    });
}

#[test]
fn no_new_privs_and_dumpable_show_in_the_status() {
    in_child::run(|| {
        set_no_new_privs()?;
        expect("no_new_privs", status_line("NoNewPrivs")? == "1")?;
        set_dumpable(false)?;
        // SAFETY: PR_GET_DUMPABLE takes nothing.
        expect("not dumpable", unsafe { libc::prctl(libc::PR_GET_DUMPABLE) } == 0)?;
        set_name(c"a-name-for-ps-that-is-long")?;
        expect("name", status_line("Name")? == "a-name-for-ps-t")
    });
}

#[test]
fn a_child_dies_with_its_parent() {
    in_child::run(|| {
        let (wait, alive) = crate::pipe::pipe()?;
        let Cloned::Parent { pidfd, .. } = fork(&SingleThreaded::prove()?)? else {
            // The middle process: makes the one that is to die with it, and leaves.
            let proof = SingleThreaded::prove();
            match proof.and_then(|proof| fork(&proof)) {
                Ok(Cloned::Child) => {
                    let own = std::process::id();
                    if set_parent_death_signal_kill().is_err() || own == 0 {
                        exit_now(1);
                    }
                    // Tells that it is ready; lives on only when the signal does not come.
                    if crate::file::write_fd(alive.as_fd(), b"r").is_err() {
                        exit_now(1);
                    }
                    loop {
                        std::thread::sleep(std::time::Duration::from_secs(30));
                    }
                }
                Ok(Cloned::Parent { .. }) => {
                    let ready = crate::file::read_fd(wait.as_fd(), &mut [0; 1]) == Ok(1);
                    exit_now(i32::from(!ready));
                }
                Err(_) => exit_now(1),
            }
        };
        drop(alive);
        let status = reap_blocking(pidfd.as_fd())?.status;
        expect("the middle process left", status == WaitStatus::Exited { code: 0 })?;
        // The grandchild held the last writing end: its death is the end of the file.
        expect("in time", crate::poll::wait_readable(wait.as_fd(), std::time::Duration::from_secs(10))?)?;
        expect("dead", crate::file::read_fd(wait.as_fd(), &mut [0; 1])? == 0)
    });
}

#[test]
fn a_session_of_its_own_and_a_keyring_of_its_own() {
    in_child::run(|| {
        new_session()?;
        let pid = std::process::id().to_string();
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        expect("leads its session", stat.split(' ').nth(5) == Some(&pid))?;
        let again = new_session().map_err(|error| error.errno);
        expect("leads already", again == Err(Errno::EPERM))?;
        match join_new_session_keyring() {
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    });
}

#[test]
fn every_signal_is_back_at_its_default() {
    in_child::run(|| {
        crate::poll::block_signals(&[libc::SIGTERM, libc::SIGUSR1])?;
        // SAFETY: ignoring a signal installs no handler.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        expect("ignored before", status_line("SigIgn")? != "0000000000000000")?;
        expect("blocked before", status_line("SigBlk")? == "0000000000004200")?;
        reset_signals()?;
        expect("nothing ignored", status_line("SigIgn")? == "0000000000000000")?;
        expect("nothing caught", status_line("SigCgt")? == "0000000000000000")?;
        expect("nothing blocked", status_line("SigBlk")? == "0000000000000000")
    });
}

#[test]
fn the_mask_the_place_and_the_names() {
    in_child::run(|| {
        set_umask(0o027)?;
        expect("umask", status_line("Umask")? == "0027")?;
        chdir(c"/proc")?;
        expect("chdir", current_dir()? == std::path::Path::new("/proc"))?;
        fchdir(crate::file::open_dir_path("/".as_ref())?.as_fd())?;
        expect("fchdir", current_dir()? == std::path::Path::new("/"))?;
        let missing = chdir(c"/no-such-directory").map_err(|error| error.errno);
        expect("missing", missing == Err(Errno::ENOENT))
    });
}

#[test]
fn names_of_the_host_change_in_their_own_namespace() {
    if !need_root("a UTS namespace") {
        return;
    }
    in_child::run(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUTS)?;
        set_hostname(b"inside")?;
        set_domainname(b"nowhere")?;
        expect("host", std::fs::read_to_string("/proc/sys/kernel/hostname")? == "inside\n")?;
        expect("domain", std::fs::read_to_string("/proc/sys/kernel/domainname")? == "nowhere\n")?;
        let long = set_hostname(&[b'x'; 65]).map_err(|error| error.errno);
        expect("too long", long == Err(Errno::EINVAL))
    });
}

#[test]
fn only_the_kept_descriptors_stay_open() {
    in_child::run(|| {
        let null = std::fs::File::open("/dev/null")?;
        for target in [20, 21, 22, 30, 31] {
            dup_onto(null.as_fd(), target)?;
        }
        // The pipe to the test has to stay, whatever its number.
        let before: Vec<i32> = open_descriptors()?;
        let pipe: Vec<i32> = before.iter().copied().filter(|fd| *fd < 20 && *fd > 2).collect();
        let mut kept = vec![31, 0, 1, 2, 21, -1];
        kept.extend(&pipe);
        close_all_except(&kept)?;
        // Reading the directory needs one descriptor itself, hence the filter.
        let after: Vec<i32> = open_descriptors()?.into_iter().filter(|fd| *fd >= 20).collect();
        expect("kept", after == [21, 31])?;
        close_range_from(31)?;
        let after: Vec<i32> = open_descriptors()?.into_iter().filter(|fd| *fd >= 20).collect();
        expect("closed from 31 on", after == [21])
    });
}

fn open_descriptors() -> std::io::Result<Vec<i32>> {
    let entries = std::fs::read_dir("/proc/self/fd")?.collect::<std::io::Result<Vec<_>>>()?;
    let mut numbers: Vec<i32> =
        entries.iter().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

#[test]
fn a_descriptor_survives_exec_exactly_when_asked() {
    in_child::run(|| {
        let flags = |fd: i32| -> i32 {
            // SAFETY: F_GETFD takes nothing.
            unsafe { libc::fcntl(fd, libc::F_GETFD) }
        };
        let null = std::fs::File::open("/dev/null")?;
        dup_onto(null.as_fd(), 40)?;
        expect("a copy is kept", flags(40) == 0)?;
        expect("the original is not", flags(null.as_raw_fd()) == libc::FD_CLOEXEC)?;
        dup_onto(null.as_fd(), null.as_raw_fd())?;
        expect("kept in place", flags(null.as_raw_fd()) == 0)?;
        cloexec_range_from(40)?;
        expect("marked", flags(40) == libc::FD_CLOEXEC)?;
        let refused = dup_onto(null.as_fd(), -1).map_err(|error| error.errno);
        expect("no such number", refused == Err(Errno::EBADF))
    });
}

#[test]
fn exec_runs_the_program_with_these_strings_and_says_why_not() {
    in_child::run(|| {
        let strings = |list: &[&str]| -> Result<ExecStrings> {
            let list = list.iter().map(|text| CString::new(*text)).collect::<std::result::Result<_, _>>();
            list.map(ExecStrings::new).map_err(|_| Error::new("string", Errno::EINVAL))
        };
        let environment = strings(&["CODE=9"])?;
        let missing = exec(c"/no/such/program", &strings(&["x"])?, &environment);
        expect("missing", missing.errno == Errno::ENOENT)?;
        match fork(&SingleThreaded::prove()?)? {
            Cloned::Child => {
                let arguments = strings(&["sh", "-c", "exit $((CODE + $1))", "sh", "3"])?;
                let refused = exec(c"/bin/sh", &arguments, &environment);
                exit_now(refused.errno.0);
            }
            Cloned::Parent { pidfd, .. } => {
                let status = reap_blocking(pidfd.as_fd())?.status;
                expect("12", status == WaitStatus::Exited { code: 12 })
            }
        }
    });
}

#[test]
fn affinity_takes_so_many_and_no_more() {
    in_child::run(|| {
        let all = allowed_cpus()?;
        set_affinity_count(all + 5)?;
        expect("all of them", allowed_cpus()? == all)?;
        let none = set_affinity_count(0).map_err(|error| error.errno);
        expect("none is refused", none == Err(Errno::EINVAL))?;
        set_affinity_count(1)?;
        expect("one", allowed_cpus()? == 1)?;
        let list = status_line("Cpus_allowed_list")?;
        expect("one in the status", list.parse::<usize>().is_ok())
    });
}

#[test]
fn the_memory_score_can_be_raised() {
    in_child::run(|| {
        set_oom_score_adj(None, 500)?;
        expect("own", std::fs::read_to_string("/proc/self/oom_score_adj")? == "500\n")?;
        let own = Pid(std::process::id().cast_signed());
        set_oom_score_adj(Some(own), 600)?;
        expect("by number", std::fs::read_to_string("/proc/self/oom_score_adj")? == "600\n")?;
        let wrong = set_oom_score_adj(None, 5000).map_err(|error| error.errno);
        expect("out of range", wrong == Err(Errno::EINVAL))
    });
}

#[test]
fn the_parent_is_the_parent() {
    in_child::run(|| {
        let own = std::process::id().cast_signed();
        match fork(&SingleThreaded::prove()?)? {
            Cloned::Child => exit_now(i32::from(parent_pid() != Pid(own))),
            Cloned::Parent { pidfd, .. } => {
                let status = reap_blocking(pidfd.as_fd())?.status;
                expect("its number", status == WaitStatus::Exited { code: 0 })
            }
        }
    });
}
