//! Who runs the program under test, and the directory that this happens in.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    os::unix::{
        fs::{PermissionsExt, chown, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// The ordinary user of the tests that root starts.
pub const USER_ID: u32 = 12_345;

/// Under whose id the program under test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Root, with every capability of the host.
    Root,
    /// An ordinary user without groups: [`USER_ID`], or the user that runs the tests.
    User,
}

impl Who {
    /// Why this host cannot run it so, if it cannot.
    pub fn missing(self) -> Option<&'static str> {
        match self {
            Who::Root if !own_uid_is_root() => Some("needs root"),
            _ => None,
        }
    }
}

fn own_uid_is_root() -> bool {
    runtime_sys::process::effective_uid() == 0
}

/// Programs by the name that they get on the stage.
pub type Programs<'a> = &'a [(&'a str, &'a str)];

/// A directory that everybody may enter, gone when it is dropped: programs in `bin`, a home for each [`Who`].
#[derive(Debug)]
pub struct Stage {
    directory: TempDir,
    who: Who,
}

impl Stage {
    /// Sets it up. The programs of root's tests are linked or copied, for the place where they were
    /// built may be closed to the user.
    pub fn new(who: Who, programs: Programs<'_>) -> Stage {
        let directory = tempfile::Builder::new().prefix("runtime-tests-").tempdir().unwrap();
        let stage = Stage { directory, who };
        open_to_all(stage.path(), 0o755);
        for name in ["bin", "home", "open"] {
            fs::create_dir(stage.path().join(name)).unwrap();
        }
        open_to_all(&stage.path().join("bin"), 0o755);
        open_to_all(&stage.path().join("open"), 0o1777);
        // The server of root's launcher has a uid of its own and must get through to its state directory.
        open_to_all(&stage.home(), if who == Who::Root { 0o711 } else { 0o700 });
        fs::create_dir(stage.home().join("run")).unwrap();
        open_to_all(&stage.home().join("run"), 0o700);
        if who == Who::User && own_uid_is_root() {
            chown(stage.home(), Some(USER_ID), Some(USER_ID)).unwrap();
            chown(stage.home().join("run"), Some(USER_ID), Some(USER_ID)).unwrap();
        }
        for (name, source) in programs {
            let target = stage.program(name);
            if own_uid_is_root() {
                place(source, &target);
            } else {
                symlink(source, &target).unwrap();
            }
        }
        stage
    }

    /// Who acts on it.
    pub fn who(&self) -> Who {
        self.who
    }

    /// The directory: everybody may enter it.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The actor's home; others cannot list it.
    pub fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    /// A directory that everybody may write to.
    pub fn open_directory(&self) -> PathBuf {
        self.path().join("open")
    }

    /// A program on the stage.
    pub fn program(&self, name: &str) -> PathBuf {
        self.path().join("bin").join(name)
    }

    /// Where launchers of this actor keep their leases.
    pub fn run_dir(&self) -> PathBuf {
        match self.who {
            Who::Root => PathBuf::from("/run/runtime"),
            Who::User => self.home().join("run/runtime"),
        }
    }

    /// The uid that the actor's processes have.
    pub fn uid(&self) -> u32 {
        match self.who {
            Who::Root => 0,
            Who::User if own_uid_is_root() => USER_ID,
            Who::User => runtime_sys::process::effective_uid(),
        }
    }

    /// A command of the actor: its id, no groups, an environment of its own.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.path());
        for (name, value) in self.environment() {
            command.env(name, value);
        }
        if self.who == Who::User && own_uid_is_root() {
            // std drops the supplementary groups when it changes the uid as root.
            command.uid(USER_ID).gid(USER_ID);
        }
        command
    }

    fn environment(&self) -> BTreeMap<&'static str, OsString> {
        BTreeMap::from([
            ("PATH", "/usr/local/bin:/usr/bin:/bin".into()),
            ("HOME", self.home().into()),
            ("XDG_RUNTIME_DIR", self.home().join("run").into()),
            ("LANG", "C.UTF-8".into()),
        ])
    }
}

/// A program at a place that everybody may enter.
fn place(source: &str, target: &Path) {
    if fs::hard_link(source, target).is_err() {
        // By a process of its own: a thread that forks meanwhile would keep a file open for writing that we copied here, and
        // the program could not be executed.
        let copied = Command::new("cp").arg(source).arg(target).status().unwrap();
        assert!(copied.success(), "failed to copy {source}");
    }
}

/// A mode that the umask does not narrow.
fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
