//! Kernel modules that a system call of anybody can wake, and that a host without a use for them should not
//! have: page-cache writing and escapes were found in them more than once.
//!
//! It reads what modprobe(8) would read, and loads nothing.

use std::path::Path;

use crate::host::root::HostRoot;

/// The modules, by name: crypto sockets, IPsec transforms, AFS sockets.
pub const NAMES: [&str; 5] = ["af_alg", "algif_aead", "esp4", "esp6", "rxrpc"];

/// Where modprobe.d(5) says that its files are.
const CONFIGURATION: [&str; 5] = [
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
];

/// One module of [`NAMES`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// How it can be reached.
    pub state: ModuleState,
}

/// How a module can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleState {
    /// Not on this host, or no module can be loaded any more.
    Unreachable,
    /// On disk, and told not to load by itself.
    Blocked,
    /// On disk: the first socket of its kind loads it.
    Loadable,
    /// In the kernel now: loaded.
    Loaded,
    /// Part of the kernel's image.
    BuiltIn,
}

/// Looks at each module of [`NAMES`], for the kernel of this release.
pub fn read(root: &HostRoot, release: &str) -> Vec<Module> {
    let list =
        |file: &str| module_names(&root.text(&format!("/lib/modules/{release}/{file}")).unwrap_or_default());
    let (built_in, on_disk) = (list("modules.builtin"), list("modules.dep"));
    let blocked = blocked_names(root);
    let closed = loading_is_closed(root);
    let state = |name: &str| {
        let has = |names: &[String]| names.iter().any(|known| known == name);
        if has(&built_in) {
            ModuleState::BuiltIn
        } else if root.exists(&format!("/sys/module/{name}")) {
            // A built-in part shows here too when the list of built-in parts is not installed.
            ModuleState::Loaded
        } else if closed || !has(&on_disk) {
            ModuleState::Unreachable
        } else if has(&blocked) {
            ModuleState::Blocked
        } else {
            ModuleState::Loadable
        }
    };
    NAMES.iter().map(|name| Module { name: (*name).to_owned(), state: state(name) }).collect()
}

/// A kernel without modules has no list of them; a boot option and a setting close the door for good.
fn loading_is_closed(root: &HostRoot) -> bool {
    let command_line = root.text("/proc/cmdline").unwrap_or_default();
    !root.exists("/proc/modules")
        || root.number("/proc/sys/kernel/modules_disabled") == Some(1)
        || command_line.split_whitespace().any(|word| word == "nomodule")
}

/// The names in lines such as `kernel/crypto/algif_aead.ko.xz: …`.
fn module_names(text: &str) -> Vec<String> {
    let names = text.lines().filter_map(|line| {
        let path = line.split(':').next()?.trim();
        let (stem, _) = Path::new(path).file_name()?.to_str()?.split_once(".ko")?;
        Some(stem.replace('-', "_"))
    });
    names.collect()
}

/// Names that a `blacklist` line, an `install` line with a program that does nothing, or the command line
/// keeps from loading by themselves.
fn blocked_names(root: &HostRoot) -> Vec<String> {
    let mut blocked = Vec::new();
    for directory in CONFIGURATION {
        let files = root.names(directory).into_iter().filter(|name| name.ends_with(".conf"));
        let texts = files.filter_map(|name| root.text(&format!("{directory}/{name}")));
        for text in texts {
            blocked.extend(text.lines().filter_map(blocked_by));
        }
    }
    let command_line = root.text("/proc/cmdline").unwrap_or_default();
    for word in command_line.split_whitespace() {
        let list =
            word.strip_prefix("modprobe.blacklist=").or_else(|| word.strip_prefix("module_blacklist="));
        blocked.extend(list.into_iter().flat_map(|list| list.split(',')).map(|name| name.replace('-', "_")));
    }
    blocked
}

fn blocked_by(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let (command, name) = (words.next()?, words.next()?);
    let nothing =
        words.next().is_some_and(|program| program.ends_with("/false") || program.ends_with("/true"));
    let blocks = command == "blacklist" || (command == "install" && nothing);
    blocks.then(|| name.replace('-', "_"))
}
