//! Reads the host's files below one directory: `/` in use, a temporary tree in tests.
//!
//! It owns the bound on what is read. It must not judge: a file that is not there, or that we may not
//! read, is an absent value, because every reader here asks "what does the host say of this?".

use std::io::Read;
use std::path::{Path, PathBuf};

/// No file that is read here is larger on a healthy host: the longest are lists of mounts and of modules.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The directory that stands for `/`.
#[derive(Debug, Clone)]
pub struct HostRoot(PathBuf);

impl Default for HostRoot {
    fn default() -> HostRoot {
        HostRoot(PathBuf::from("/"))
    }
}

impl HostRoot {
    /// Another directory in place of `/`.
    pub fn new(directory: &Path) -> HostRoot {
        HostRoot(directory.to_path_buf())
    }

    /// Where an absolute path of the host lies.
    pub fn path(&self, absolute: &str) -> PathBuf {
        self.0.join(absolute.trim_start_matches('/'))
    }

    /// The directory itself.
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// Whether something is at the path, links followed.
    pub fn exists(&self, absolute: &str) -> bool {
        self.path(absolute).exists()
    }

    /// The text of a file, cut at 4 MiB; bytes that are no UTF-8 are replaced. `None` when it cannot be read.
    pub fn text(&self, absolute: &str) -> Option<String> {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(self.path(absolute)).ok()?;
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The text of a file of one line, without the white space around it.
    pub fn line(&self, absolute: &str) -> Option<String> {
        self.text(absolute).map(|text| text.trim().to_owned())
    }

    /// The first number of a file of the kernel.
    pub fn number(&self, absolute: &str) -> Option<i64> {
        self.text(absolute)?.split_whitespace().next()?.parse().ok()
    }

    /// The names in a directory, in order; none when it cannot be read.
    pub fn names(&self, absolute: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(absolute)).into_iter().flatten();
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// A temporary tree for tests of readers.
#[cfg(test)]
pub mod tree {
    use super::HostRoot;

    /// A directory that stands for `/`, and goes with the value.
    pub struct Tree(tempfile::TempDir);

    impl Tree {
        /// A tree with these files; directories are made as needed.
        pub fn new(files: &[(&str, &str)]) -> Tree {
            let tree = Tree(tempfile::tempdir().unwrap());
            for (path, text) in files {
                let path = tree.root().path(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            tree
        }

        /// The tree in place of `/`.
        pub fn root(&self) -> HostRoot {
            HostRoot::new(self.0.path())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::tree::Tree;

    #[test]
    fn absent_files_are_absent_values() {
        let root = Tree::new(&[]).root();
        assert_eq!((root.text("/none"), root.number("/none"), root.names("/none")), (None, None, vec![]));
    }

    #[test]
    fn a_number_is_the_first_word() {
        let tree = Tree::new(&[("/proc/a", "4\t9\n"), ("/proc/b", "max\n"), ("/proc/c", " -1\n")]);
        let read = ["/proc/a", "/proc/b", "/proc/c"].map(|path| tree.root().number(path));
        assert_eq!(read, [Some(4), None, Some(-1)]);
        assert_eq!(tree.root().names("/proc"), ["a", "b", "c"]);
    }
}
