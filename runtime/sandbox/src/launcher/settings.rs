//! What a launcher reads before there is a server: profiles, policy, the host. From files that nobody but its own user or
//! root can change.

use crate::{
    doctor::{self, Context, Needs, UidRange},
    host::{self, identity::Identity, root::HostRoot},
    launcher::{
        LauncherError, Mode, Options, kernel,
        places::{self, Slots, UID_BASE, UIDS},
        reload::{Reread, Sources},
    },
};
use runtime_plan::{
    doctor::Finding,
    facts::HostFacts,
    library::Library,
    planner,
    policy::{self, Policy},
    source::{ParseErrors, SourceFile},
    walls_off::WallsOff,
};
use runtime_sys::{cgroup, clone::SingleThreaded, process};
use std::{
    fs, io,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

/// The policy that a local operator is under.
const LOCAL_POLICY: &str = "local";
/// A profile or policy file: far above any that a person writes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why settings cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file or directory.
    #[error("failed to read {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file that others can change.
    #[error(
        "{path} can be changed by others than root and uid {uid}: chown it to one of them and take write permission from group and others (chmod go-w)"
    )]
    Untrusted {
        /// Which.
        path: PathBuf,
        /// Who we are.
        uid: u32,
    },
    /// A file that is too large to be one.
    #[error("{path} is over {FILE_BYTES_MAX} bytes: it is no profile or policy")]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// Errors in a file.
    #[error("{0}")]
    Parse(#[from] ParseErrors),
    /// The test switch names a wall that is none.
    #[cfg(all(feature = "walls-off", debug_assertions))]
    #[error("RUNTIME_TEST_WALLS_OFF: {0}")]
    WallsOff(String),
}

/// Everything that was read.
#[derive(Debug)]
pub struct Settings {
    /// The profiles.
    pub library: Library,
    /// The policy.
    pub policy: Policy,
    /// The host.
    pub facts: HostFacts,
    /// Walls that a test takes down.
    pub walls_off: WallsOff,
    /// Our cgroups.
    pub groups: Option<cgroup::Instance>,
}

/// Where cgroups are mounted.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// What cgroups the host gives us.
pub fn discover_cgroups() -> Result<cgroup::Facts, LauncherError> {
    let path = Path::new("/proc/self/cgroup");
    let own = match fs::read_to_string(path) {
        Ok(own) => own,
        // A kernel without cgroups.
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(SettingsError::Io { path: path.to_owned(), source }.into()),
    };
    Ok(cgroup::discover(Path::new(CGROUP_ROOT), &own, is_rootful()?))
}

/// Whether we are root with the capabilities that make it count.
pub fn is_rootful() -> Result<bool, LauncherError> {
    let identity = Identity::read(&HostRoot::new(Path::new("/"))).ok_or(host::HostError::Identity)?;
    Ok(identity.rootful())
}

/// Reads it all. Opens our cgroups, for what can be opened is a fact, too.
pub fn read(
    options: &Options,
    group_facts: &cgroup::Facts,
    instance: &str,
    slots: Option<&Slots>,
) -> Result<Settings, LauncherError> {
    let library =
        Library::load(read_directory(options.profiles_dir.as_deref())?).map_err(SettingsError::Parse)?;
    let policy = read_policy(options.policies_dir.as_deref())?;
    let (groups, refused) = open_groups(group_facts, instance);
    let directory = match &options.mode {
        Mode::Embedded { directory: Some(directory), .. } => Some(host::Directory {
            fd: directory.fd.as_fd(),
            path: &directory.path,
            read_only: directory.read_only,
        }),
        _ => None,
    };
    let paths = host_paths(&library);
    // Any id of the jobs' range does for trying an id map.
    let slot = slots.map_or(UID_BASE, |slots| slots.server_uid() + 1);
    let mut facts = host::gather(&HostRoot::new(Path::new("/")), &paths, directory, group_facts, slot)?;
    if let Some(groups) = &groups {
        facts.cgroup.controllers = groups.controllers().iter().cloned().collect();
    } else {
        facts.cgroup.version = None;
        facts.cgroup.why_not = refused.or(facts.cgroup.why_not);
    }
    Ok(Settings { library, policy, facts, walls_off: walls_off()?, groups })
}

/// Reads the operator's files again, and looks at the host paths that they name.
pub fn read_again(sources: &Sources) -> Result<Reread, LauncherError> {
    let library =
        Library::load(read_directory(sources.profiles.as_deref())?).map_err(SettingsError::Parse)?;
    let policy = read_policy(sources.policies.as_deref())?;
    let paths = host::look_at_all(&HostRoot::new(Path::new("/")), &host_paths(&library))?;
    Ok(Reread { library, policy, paths })
}

/// Every host path that a profile names, once.
fn host_paths(library: &Library) -> Vec<String> {
    let mut paths: Vec<String> = library.profiles().flat_map(planner::host_paths).collect();
    paths.sort();
    paths.dedup();
    paths
}

#[cfg(all(feature = "walls-off", debug_assertions))]
fn walls_off() -> Result<WallsOff, SettingsError> {
    let names = std::env::var("RUNTIME_TEST_WALLS_OFF").unwrap_or_default();
    WallsOff::parse(&names).map_err(SettingsError::WallsOff)
}

#[cfg(not(all(feature = "walls-off", debug_assertions)))]
fn walls_off() -> Result<WallsOff, SettingsError> {
    Ok(WallsOff::none())
}

/// Our cgroups, or why there are none although the host has a place for them.
fn open_groups(facts: &cgroup::Facts, instance: &str) -> (Option<cgroup::Instance>, Option<String>) {
    if facts.places.is_empty() {
        return (None, None);
    }
    match cgroup::Instance::open(facts, instance) {
        Ok(groups) => (Some(groups), None),
        Err(error) => (None, Some(format!("failed to make our cgroups: {error}"))),
    }
}

/// The policy file `local.toml` of the operator, or the built-in one.
fn read_policy(directory: Option<&Path>) -> Result<Policy, SettingsError> {
    let files = read_directory(directory)?;
    match files.into_iter().find(|file| file.stem() == LOCAL_POLICY) {
        Some(file) => Ok(policy::parse(file)?),
        None => Ok(Policy::built_in()?),
    }
}

/// Every `.toml` of a directory, by name. A directory that is not there is empty.
fn read_directory(directory: Option<&Path>) -> Result<Vec<SourceFile>, SettingsError> {
    let Some(directory) = directory else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    read_into(directory, &mut files)?;
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

fn read_into(directory: &Path, files: &mut Vec<SourceFile>) -> Result<(), SettingsError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| SettingsError::Io { path, source }
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(directory)(error)),
    };
    check_trust(directory)?;
    for entry in entries {
        let path = entry.map_err(failed(directory))?.path();
        if path.is_dir() {
            read_into(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            check_trust(&path)?;
            let text = fs::read_to_string(&path).map_err(failed(&path))?;
            files.push(SourceFile { path: path.to_string_lossy().into_owned(), text });
        }
    }
    Ok(())
}

/// A profile says what is mounted: whoever can write it, can read as the launcher reads.
fn check_trust(path: &Path) -> Result<(), SettingsError> {
    let metadata =
        fs::metadata(path).map_err(|source| SettingsError::Io { path: path.to_owned(), source })?;
    let uid = process::effective_uid();
    let owned = metadata.uid() == 0 || metadata.uid() == uid;
    if !owned || metadata.mode() & 0o022 != 0 {
        return Err(SettingsError::Untrusted { path: path.to_owned(), uid });
    }
    if metadata.is_file() && metadata.len() > FILE_BYTES_MAX {
        return Err(SettingsError::TooLarge { path: path.to_owned() });
    }
    Ok(())
}

/// What the doctor says, with attempts.
pub fn examine(
    proof: &SingleThreaded,
    settings: &Settings,
    options: &Options,
) -> Result<(Vec<Finding>, bool), LauncherError> {
    let state_dir = match &options.mode {
        Mode::Serve { state_dir, .. } => state_dir.clone(),
        Mode::Embedded { .. } => places::run_dir(),
    };
    examine_host(proof, &settings.library, &settings.facts, &state_dir)
}

fn examine_host(
    proof: &SingleThreaded,
    library: &Library,
    facts: &HostFacts,
    state_dir: &Path,
) -> Result<(Vec<Finding>, bool), LauncherError> {
    let Some(default) = library.profile("default") else {
        return Ok((Vec::new(), false));
    };
    let needs = Needs::from(default);
    let context = Context {
        needs: &needs,
        uids: UidRange { first: UIDS.start, count: UIDS.end - UIDS.start },
        state_dir,
        attempts: Some(proof),
    };
    Ok(doctor::examine(&HostRoot::new(Path::new("/")), facts, &context)?)
}

/// What the doctor says without a daemon: `runtime doctor`. Makes and leaves nothing.
pub fn examine_without_daemon(
    profiles_dir: Option<&Path>,
    state_dir: &Path,
) -> Result<(Vec<Finding>, bool), LauncherError> {
    let proof = SingleThreaded::prove().map_err(kernel("make sure that there is one thread"))?;
    let library = Library::load(read_directory(profiles_dir)?).map_err(SettingsError::Parse)?;
    let group_facts = discover_cgroups()?;
    let paths = host_paths(&library);
    let facts = host::gather(&HostRoot::new(Path::new("/")), &paths, None, &group_facts, UID_BASE)?;
    examine_host(&proof, &library, &facts, state_dir)
}
