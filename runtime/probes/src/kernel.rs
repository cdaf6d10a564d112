//! The door to the kernel: raw system calls, children, fds. All `unsafe` of the program that is not inline assembly.
//!
//! It must not judge: what an errno means is for `verdict` and the probes.

use std::{
    ffi::{CStr, CString},
    marker::PhantomData,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

/// The value of a system call, or its errno.
pub type Outcome = Result<i64, i32>;

/// One argument of a system call. Addresses come only from borrows that live as long as the argument.
#[derive(Clone, Copy)]
pub struct Arg<'a>(u64, PhantomData<&'a mut ()>);

impl<'a> Arg<'a> {
    /// The address of a structure that the kernel reads or writes.
    pub fn record<T>(value: &'a mut T) -> Arg<'a> {
        Arg(std::ptr::from_mut(value) as u64, PhantomData)
    }
}

impl From<i32> for Arg<'_> {
    fn from(value: i32) -> Self {
        Arg(value as i64 as u64, PhantomData)
    }
}

impl From<i64> for Arg<'_> {
    fn from(value: i64) -> Self {
        Arg(value as u64, PhantomData)
    }
}

impl From<u32> for Arg<'_> {
    fn from(value: u32) -> Self {
        Arg(u64::from(value), PhantomData)
    }
}

impl From<u64> for Arg<'_> {
    fn from(value: u64) -> Self {
        Arg(value, PhantomData)
    }
}

impl From<usize> for Arg<'_> {
    fn from(value: usize) -> Self {
        Arg(value as u64, PhantomData)
    }
}

impl<'a> From<&'a CStr> for Arg<'a> {
    fn from(value: &'a CStr) -> Self {
        Arg(value.as_ptr() as u64, PhantomData)
    }
}

impl<'a> From<&'a CString> for Arg<'a> {
    fn from(value: &'a CString) -> Self {
        value.as_c_str().into()
    }
}

impl<'a, T> From<&'a mut [T]> for Arg<'a> {
    fn from(value: &'a mut [T]) -> Self {
        Arg(value.as_mut_ptr() as u64, PhantomData)
    }
}

impl From<&OwnedFd> for Arg<'_> {
    fn from(value: &OwnedFd) -> Self {
        value.as_raw_fd().into()
    }
}

/// Does the system call `number` with up to six arguments; see the macro `sys!`.
pub fn call(number: i64, args: &[Arg<'_>]) -> Outcome {
    let mut a = [0u64; 6];
    for (slot, arg) in a.iter_mut().zip(args) {
        *slot = arg.0;
    }
    // SAFETY: every address among the arguments comes from a borrow that outlives the call, and each probe passes the
    // kernel the length of what it borrowed; numbers stand only where the call takes a number or a null address.
    let value = unsafe { libc::syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]) };
    if value < 0 { Err(last_errno()) } else { Ok(value) }
}

/// `sys!(NUMBER, ARG…)`: a raw system call.
#[macro_export]
macro_rules! sys {
    ($number:expr $(, $arg:expr)* $(,)?) => {
        $crate::kernel::call($number, &[$($crate::kernel::Arg::from($arg)),*])
    };
}

/// The errno of the last call of this thread.
pub fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// The name of an errno as in errno(3), or its number.
pub fn errno_name(errno: i32) -> String {
    let names: &[(i32, &str)] = &[
        (libc::EPERM, "EPERM"),
        (libc::ENOENT, "ENOENT"),
        (libc::ESRCH, "ESRCH"),
        (libc::EBADF, "EBADF"),
        (libc::EAGAIN, "EAGAIN"),
        (libc::ENOMEM, "ENOMEM"),
        (libc::EACCES, "EACCES"),
        (libc::EFAULT, "EFAULT"),
        (libc::EEXIST, "EEXIST"),
        (libc::EXDEV, "EXDEV"),
        (libc::ENODEV, "ENODEV"),
        (libc::ENOTDIR, "ENOTDIR"),
        (libc::EINVAL, "EINVAL"),
        (libc::ENFILE, "ENFILE"),
        (libc::EMFILE, "EMFILE"),
        (libc::ENOTTY, "ENOTTY"),
        (libc::ETXTBSY, "ETXTBSY"),
        (libc::EFBIG, "EFBIG"),
        (libc::ENOSPC, "ENOSPC"),
        (libc::EROFS, "EROFS"),
        (libc::ENOSYS, "ENOSYS"),
        (libc::EDQUOT, "EDQUOT"),
        (libc::EOPNOTSUPP, "EOPNOTSUPP"),
        (libc::ENOPROTOOPT, "ENOPROTOOPT"),
        (libc::EAFNOSUPPORT, "EAFNOSUPPORT"),
        (libc::EPROTONOSUPPORT, "EPROTONOSUPPORT"),
        (libc::ESOCKTNOSUPPORT, "ESOCKTNOSUPPORT"),
        (libc::ENETUNREACH, "ENETUNREACH"),
        (libc::EHOSTUNREACH, "EHOSTUNREACH"),
        (libc::ECONNREFUSED, "ECONNREFUSED"),
        (libc::E2BIG, "E2BIG"),
        (libc::EIO, "EIO"),
    ];
    names
        .iter()
        .find(|(number, _)| *number == errno)
        .map_or_else(|| format!("errno {errno}"), |(_, name)| (*name).to_owned())
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With this status.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
}

/// Forks; the child runs `work` and exits with its value.
pub fn fork_child(work: impl FnOnce() -> i32) -> Result<i32, i32> {
    // SAFETY: the program has a single thread wherever this is called, so the child may do all that its parent may.
    match unsafe { libc::fork() } {
        -1 => Err(last_errno()),
        0 => {
            let status = work();
            // SAFETY: _exit(2) does not return, and runs none of the parent's handlers.
            unsafe { libc::_exit(status) }
        }
        pid => Ok(pid),
    }
}

/// Waits for a child.
pub fn wait(pid: i32) -> Result<End, i32> {
    let mut status = 0i32;
    loop {
        // SAFETY: `status` is valid for the write.
        match unsafe { libc::waitpid(pid, &mut status, 0) } {
            -1 if last_errno() == libc::EINTR => {}
            -1 => return Err(last_errno()),
            _ if libc::WIFSIGNALED(status) => return Ok(End::Signalled(libc::WTERMSIG(status))),
            _ => return Ok(End::Exited(libc::WEXITSTATUS(status))),
        }
    }
}

/// Forks, runs `work` in the child, waits.
pub fn run_child(work: impl FnOnce() -> i32) -> Result<End, i32> {
    wait(fork_child(work)?)
}

/// The outcome of a call that is made in a child, because it would change the caller.
pub fn outcome_in_child(work: impl FnOnce() -> Outcome) -> Result<Outcome, i32> {
    match run_child(|| match work() {
        Ok(_) => 0,
        Err(errno) => errno.clamp(1, 255),
    })? {
        End::Exited(0) => Ok(Ok(0)),
        End::Exited(errno) => Ok(Err(errno)),
        End::Signalled(_) => Err(libc::EINTR),
    }
}

/// Takes over an fd that a raw call returned.
pub fn owned(fd: i64) -> OwnedFd {
    // SAFETY: the callers pass what a call that makes an fd has just returned, once.
    unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
}

/// open(2) with these flags and this mode; close-on-exec.
pub fn open(path: impl AsRef<Path>, flags: i32, mode: u32) -> Result<OwnedFd, i32> {
    let path = text(path);
    sys!(libc::SYS_openat, libc::AT_FDCWD, &path, flags | libc::O_CLOEXEC, mode).map(owned)
}

/// A path for a raw call. Paths here are our own and hold no NUL.
pub fn text(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_bytes()).unwrap_or_default()
}

/// The flags (`ST_…` of statvfs(3)) of the mount on which the path lies.
pub fn mount_flags(path: impl AsRef<Path>) -> Result<u64, i32> {
    let path = text(path);
    // SAFETY: an all-zero statvfs is a valid value.
    let mut facts: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path is a C string and `facts` is valid for the write.
    match unsafe { libc::statvfs(path.as_ptr(), &mut facts) } {
        0 => Ok(facts.f_flag),
        _ => Err(last_errno()),
    }
}

/// Two connected pipe ends, reader first.
pub fn pipe() -> Result<(OwnedFd, OwnedFd), i32> {
    let mut ends = [0i32; 2];
    sys!(libc::SYS_pipe2, ends.as_mut_slice(), libc::O_CLOEXEC)?;
    Ok((owned(ends[0].into()), owned(ends[1].into())))
}

/// A directory of this probe's own in the first place that is writable; removed when dropped.
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// Makes it in TMPDIR, /tmp, /workspace or /dev/shm.
    pub fn new() -> Result<Scratch, crate::verdict::Broken> {
        let wanted = std::env::var_os("TMPDIR").map(PathBuf::from);
        let places = wanted.into_iter().chain(["/tmp", "/workspace", "/dev/shm"].map(PathBuf::from));
        for place in places {
            if let Ok(scratch) = Scratch::in_place(&place) {
                return Ok(scratch);
            }
        }
        Err(crate::verdict::Broken("no writable directory".to_owned()))
    }

    /// Makes it in that directory.
    pub fn in_place(place: &Path) -> std::io::Result<Scratch> {
        let path = place.join(format!(".probe-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Scratch(path))
    }

    /// A path in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The directory goes with the job, or with the host's next clean-up; the verdict does not depend on it.
        std::fs::remove_dir_all(&self.0).ok();
    }
}
