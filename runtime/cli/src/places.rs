//! Where things live: the run directory with the default socket, state, profiles and policies. Root has the places of the
//! system, everybody else the XDG directories. Pure but for [`Surroundings::now`].

use std::path::PathBuf;

/// What the places depend on.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Our effective uid.
    pub uid: u32,
    /// Sockets and leases, as the launcher knows them.
    pub run_dir: PathBuf,
    /// `XDG_STATE_HOME`.
    pub state_home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub config_home: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process. Relative paths count as unset, as the XDG specification says.
    pub fn now() -> Surroundings {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Surroundings {
            uid: runtime_sys::process::effective_uid(),
            run_dir: runtime_sandbox::launcher::places::run_dir(),
            state_home: absolute("XDG_STATE_HOME"),
            config_home: absolute("XDG_CONFIG_HOME"),
            home: absolute("HOME"),
        }
    }

    /// The socket of a daemon that was given no other.
    pub fn default_socket(&self) -> PathBuf {
        self.run_dir.join("api.sock")
    }

    /// Jobs of a daemon; `None` when there is no home.
    pub fn state_dir(&self) -> Option<PathBuf> {
        match self.uid {
            0 => Some("/var/lib/runtime".into()),
            _ => below(&self.state_home, &self.home, ".local/state"),
        }
    }

    /// The operator's profiles and policies; `None` when there is no home.
    pub fn config_dir(&self) -> Option<PathBuf> {
        match self.uid {
            0 => Some("/etc/runtime".into()),
            _ => below(&self.config_home, &self.home, ".config"),
        }
    }

    /// The operator's profiles, when the directory is there.
    pub fn profiles_dir(&self) -> Option<PathBuf> {
        self.config_dir().map(|directory| directory.join("profiles")).filter(|path| path.is_dir())
    }

    /// The operator's policies, when the directory is there.
    pub fn policies_dir(&self) -> Option<PathBuf> {
        self.config_dir().map(|directory| directory.join("policies")).filter(|path| path.is_dir())
    }
}

fn below(xdg: &Option<PathBuf>, home: &Option<PathBuf>, default: &str) -> Option<PathBuf> {
    let base = xdg.clone().or_else(|| home.as_ref().map(|home| home.join(default)))?;
    Some(base.join("runtime"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn root_has_the_places_of_the_system() {
        let root =
            Surroundings { home: Some("/root".into()), run_dir: "/run/runtime".into(), ..Default::default() };
        assert_eq!(root.default_socket(), Path::new("/run/runtime/api.sock"));
        assert_eq!(root.state_dir().unwrap(), Path::new("/var/lib/runtime"));
        assert_eq!(root.config_dir().unwrap(), Path::new("/etc/runtime"));
    }

    #[test]
    fn a_user_has_the_xdg_directories_or_their_defaults() {
        let bare = Surroundings { uid: 1000, home: Some("/home/u".into()), ..Default::default() };
        assert_eq!(bare.state_dir().unwrap(), Path::new("/home/u/.local/state/runtime"));
        assert_eq!(bare.config_dir().unwrap(), Path::new("/home/u/.config/runtime"));
        let full = Surroundings { state_home: Some("/s".into()), config_home: Some("/c".into()), ..bare };
        assert_eq!(full.state_dir().unwrap(), Path::new("/s/runtime"));
        assert_eq!(full.config_dir().unwrap(), Path::new("/c/runtime"));
        assert_eq!(Surroundings { uid: 1, ..Default::default() }.state_dir(), None);
    }
}
