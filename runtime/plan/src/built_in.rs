//! The files of `sandbox-profiles/` and `policies/`, compiled in: a binary alone runs jobs.

use crate::source::SourceFile;

/// What a profile or a policy that is compiled in gives as its origin.
pub(crate) const ORIGIN: &str = "built-in";
/// The directory of syscall sets, beside the profiles.
pub(crate) const SETS_DIRECTORY: &str = "syscalls";
/// How the paths of files that are compiled in start, in messages.
const PREFIX: &str = "built-in:";

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        vec![$(SourceFile {
            path: concat!("built-in:", $path).to_owned(),
            text: include_str!(concat!("../../../", $path)).to_owned(),
        }),*]
    };
}

/// The profiles.
pub(crate) fn profiles() -> Vec<SourceFile> {
    files![
        "sandbox-profiles/build.toml",
        "sandbox-profiles/debug.toml",
        "sandbox-profiles/default.toml",
        "sandbox-profiles/node.toml",
        "sandbox-profiles/python.toml",
        "sandbox-profiles/shell.toml",
        "sandbox-profiles/strict.toml",
    ]
}

/// The syscall sets.
pub(crate) fn syscall_sets() -> Vec<SourceFile> {
    files![
        "sandbox-profiles/syscalls/arguments.toml",
        "sandbox-profiles/syscalls/base.toml",
        "sandbox-profiles/syscalls/debug.toml",
        "sandbox-profiles/syscalls/enosys.toml",
        "sandbox-profiles/syscalls/families.toml",
        "sandbox-profiles/syscalls/families-local.toml",
        "sandbox-profiles/syscalls/setid.toml",
        "sandbox-profiles/syscalls/splice.toml",
        "sandbox-profiles/syscalls/strict.toml",
    ]
}

/// The policy of the local operator.
pub(crate) fn policy() -> SourceFile {
    SourceFile {
        path: "built-in:policies/local.toml".to_owned(),
        text: include_str!("../../../policies/local.toml").to_owned(),
    }
}

/// Whether a path is that of a file that is compiled in.
pub(crate) fn is_built_in(path: &str) -> bool {
    path.starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::Library;
    use std::{collections::BTreeSet, path::Path};

    fn on_disk(directory: &str) -> BTreeSet<String> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let entries = std::fs::read_dir(repository.join(directory)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .filter(|name| name.ends_with(".toml"))
            .map(|name| format!("{PREFIX}{directory}/{name}"))
            .collect()
    }

    #[test]
    fn every_file_of_the_directories_is_compiled_in() {
        let paths = |files: Vec<SourceFile>| files.into_iter().map(|file| file.path).collect::<BTreeSet<_>>();
        assert_eq!(paths(profiles()), on_disk("sandbox-profiles"));
        assert_eq!(paths(syscall_sets()), on_disk("sandbox-profiles/syscalls"));
        assert_eq!(paths(vec![policy()]), on_disk("policies"));
    }

    #[test]
    fn every_syscall_set_is_used() {
        let library = Library::built_in().unwrap();
        let used: BTreeSet<&str> =
            library.profiles().flat_map(|profile| profile.syscalls.sets.iter().map(String::as_str)).collect();
        for set in syscall_sets() {
            assert!(used.contains(set.stem()), "{}", set.path);
        }
    }

    #[test]
    fn the_examples_of_the_readme_are_read() {
        let readme = include_str!("../../../sandbox-profiles/README.md");
        let examples: Vec<&str> =
            readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        let [profile, set] = examples[..] else { panic!("{} examples", examples.len()) };
        let file = |text: &str| SourceFile { path: "README/example.toml".to_owned(), text: text.to_owned() };
        Library::load(vec![file(profile)]).unwrap_or_else(|errors| panic!("{errors}"));
        crate::syscall_set::parse(&file(set)).unwrap_or_else(|errors| panic!("{errors:?}"));
    }
}
