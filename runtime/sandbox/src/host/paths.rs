//! What lies at the host paths that profiles name, and whether a stranger could reach it.
//!
//! "Private" is judged by mode bits alone, as if for a user who owns nothing and is in no group: what the
//! job's init is on the host. Access lists and network file systems can only make the answer too strict or
//! too lax for the step that opens the path, which then fails with its errno; nothing is granted by it.

use std::collections::VecDeque;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use runtime_plan::facts::HostPath;

use super::root::HostRoot;

/// As path_resolution(7): more links than this are a loop.
const LINKS_MAX: u32 = 40;
/// Others may read.
const OTHERS_READ: u32 = 0o4;
/// Others may search a directory.
const OTHERS_SEARCH: u32 = 0o1;

/// What is at an absolute path. A link at its end is not followed; links on the way are.
///
/// # Errors
/// What lstat(2) says, but for "there is nothing" in its several forms.
pub fn look(root: &HostRoot, path: &str) -> io::Result<HostPath> {
    match look_strictly(root, path) {
        Err(error) if means_nothing(&error) => Ok(HostPath::Missing),
        other => other,
    }
}

/// A path that we may not search is none for us either: what cannot be seen cannot be mounted.
fn means_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
}

fn look_strictly(root: &HostRoot, path: &str) -> io::Result<HostPath> {
    let (found, all_may_search) = walk(root, path)?;
    let metadata = found.symlink_metadata()?;
    if metadata.is_symlink() {
        let target = std::fs::read_link(&found)?.to_string_lossy().into_owned();
        return Ok(HostPath::Symlink { target });
    }
    let wanted = if metadata.is_dir() { OTHERS_READ | OTHERS_SEARCH } else { OTHERS_READ };
    let private = !(all_may_search && others_may(&metadata, wanted));
    Ok(if metadata.is_dir() { HostPath::Directory { private } } else { HostPath::File { private } })
}

/// Resolves all but the end of a path. Answers where the end lies, and whether others may search every
/// directory in which a name was looked up.
fn walk(root: &HostRoot, path: &str) -> io::Result<(PathBuf, bool)> {
    let mut ahead: VecDeque<String> = names_of(path).collect();
    let mut here = root.directory().to_path_buf();
    let (mut all_may_search, mut links) = (true, 0);
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            if here != root.directory() {
                here.pop();
            }
            continue;
        }
        let searched = here.symlink_metadata()?;
        // A tree of a test lies in a directory of its owner's own; only the real `/` is judged itself.
        if here != root.directory() || here == Path::new("/") {
            all_may_search &= others_may(&searched, OTHERS_SEARCH);
        }
        here.push(&name);
        if ahead.is_empty() || !here.symlink_metadata()?.is_symlink() {
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(io::ErrorKind::NotFound.into());
        }
        let target = std::fs::read_link(&here)?.to_string_lossy().into_owned();
        here.pop();
        if target.starts_with('/') {
            here = root.directory().to_path_buf();
        }
        for name in names_of(&target).collect::<Vec<_>>().into_iter().rev() {
            ahead.push_front(name);
        }
    }
    Ok((here, all_may_search))
}

fn names_of(path: &str) -> impl Iterator<Item = String> + '_ {
    path.split('/').filter(|name| !name.is_empty() && *name != ".").map(str::to_owned)
}

fn others_may(metadata: &Metadata, wanted: u32) -> bool {
    metadata.permissions().mode() & wanted == wanted
}

#[cfg(test)]
mod tests {
    use super::super::root::tree::Tree;
    use super::*;
    use std::os::unix::fs::symlink;

    fn set_mode(root: &HostRoot, path: &str, mode: u32) {
        std::fs::set_permissions(root.path(path), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn tree() -> (Tree, HostRoot) {
        let tree = Tree::new(&[("/usr/bin/tool", "x"), ("/root/secret/file", "x"), ("/usr/etc/key", "x")]);
        let root = tree.root();
        for path in ["/usr", "/usr/bin", "/usr/etc", "/root/secret"] {
            set_mode(&root, path, 0o755);
        }
        set_mode(&root, "/root", 0o700);
        set_mode(&root, "/usr/bin/tool", 0o755);
        set_mode(&root, "/usr/etc/key", 0o640);
        (tree, root)
    }

    #[test]
    fn what_all_may_reach_is_not_private() {
        let (_tree, root) = tree();
        assert_eq!(look(&root, "/usr").unwrap(), HostPath::Directory { private: false });
        assert_eq!(look(&root, "/usr/bin/tool").unwrap(), HostPath::File { private: false });
        assert!(matches!(look(&root, "/").unwrap(), HostPath::Directory { .. }));
    }

    #[test]
    fn a_closed_directory_on_the_way_or_a_closed_end_is_private() {
        let (_tree, root) = tree();
        assert_eq!(look(&root, "/root/secret").unwrap(), HostPath::Directory { private: true });
        assert_eq!(look(&root, "/root/secret/file").unwrap(), HostPath::File { private: true });
        assert_eq!(look(&root, "/usr/etc/key").unwrap(), HostPath::File { private: true });
        set_mode(&root, "/usr/bin", 0o711);
        assert_eq!(look(&root, "/usr/bin").unwrap(), HostPath::Directory { private: true });
        assert_eq!(look(&root, "/usr/bin/tool").unwrap(), HostPath::File { private: false });
    }

    #[test]
    fn links_on_the_way_are_followed_and_the_last_one_is_told() {
        let (_tree, root) = tree();
        symlink("usr/bin", root.path("/bin")).unwrap();
        symlink("/usr", root.path("/root/secret/up")).unwrap();
        assert_eq!(look(&root, "/bin").unwrap(), HostPath::Symlink { target: "usr/bin".into() });
        assert_eq!(look(&root, "/bin/tool").unwrap(), HostPath::File { private: false });
        // The way leads through a closed directory although the end lies in an open one.
        assert_eq!(look(&root, "/root/secret/up/bin/tool").unwrap(), HostPath::File { private: true });
        assert_eq!(look(&root, "/bin/../../../usr/bin/tool").unwrap(), HostPath::File { private: false });
    }

    #[test]
    fn nothing_is_missing_in_each_of_its_forms() {
        let (_tree, root) = tree();
        symlink("loop", root.path("/loop")).unwrap();
        symlink("gone", root.path("/dangling")).unwrap();
        for path in ["/none", "/none/below", "/usr/bin/tool/below", "/loop/below", "/dangling/below"] {
            assert_eq!(look(&root, path).unwrap(), HostPath::Missing, "{path}");
        }
        assert_eq!(look(&root, "/dangling").unwrap(), HostPath::Symlink { target: "gone".into() });
    }
}
