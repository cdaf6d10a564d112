//! The mounts of this process, as `/proc/self/mountinfo` tells them (proc_pid_mountinfo(5)).
//!
//! It owns the parsing. It must not mount anything.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::root::HostRoot;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is attached.
    pub point: PathBuf,
    /// Kind of file system: `ext4`, `proc`, `cgroup2`.
    pub kind: String,
    /// What is mounted: a device, or the name of a file system without one.
    pub source: String,
    /// Options of the mount and of its file system together.
    pub options: Vec<String>,
}

impl Mount {
    /// Whether an option is set, by its whole text.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|set| set == option)
    }
}

/// Every mount in the order in which they were made; later ones cover earlier ones.
pub fn read(root: &HostRoot) -> Vec<Mount> {
    root.text("/proc/self/mountinfo").unwrap_or_default().lines().filter_map(parse).collect()
}

/// The mount on which a path lies, links not followed.
pub fn beneath<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    let covering = mounts.iter().filter(|mount| path.starts_with(&mount.point));
    covering.max_by_key(|mount| mount.point.components().count())
}

/// `36 35 98:0 /root /point options optional… - kind source super-options`
fn parse(line: &str) -> Option<Mount> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(4);
    let (point, options) = (mount.next()?, mount.next()?);
    let mut file_system = file_system.split(' ');
    let (kind, source) = (file_system.next()?, file_system.next()?);
    let all = options.split(',').chain(file_system.next().unwrap_or_default().split(','));
    Some(Mount {
        point: unescape(point),
        kind: kind.to_owned(),
        source: source.to_owned(),
        options: all.filter(|option| !option.is_empty()).map(str::to_owned).collect(),
    })
}

/// Space, tab, newline and backslash come as a backslash and three octal digits.
fn unescape(text: &str) -> PathBuf {
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let code = bytes.get(at + 1..at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| *byte == b'\\') {
            Some(code) => {
                plain.push(code);
                at += 4;
            }
            None => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    PathBuf::from(OsString::from_vec(plain))
}

#[cfg(test)]
mod tests {
    use super::super::root::tree::Tree;
    use super::*;

    const INFO: &str = "\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
22 27 0:21 / /proc rw,relatime shared:5 - proc proc rw,hidepid=invisible
40 22 0:50 / /proc/kcore rw - tmpfs tmpfs rw
41 27 8:1 / /srv/a\\040b rw,nosuid master:1 propagate_from:2 - ext4 /dev/sda1 rw,prjquota
not a mount
";

    #[test]
    fn each_line_is_a_mount_with_all_its_options() {
        let mounts = read(&Tree::new(&[("/proc/self/mountinfo", INFO)]).root());
        assert_eq!(mounts.len(), 4);
        assert!(mounts[1].has("hidepid=invisible") && mounts[1].has("relatime") && !mounts[1].has("hidepid"));
        assert_eq!((mounts[3].point.as_path(), mounts[3].kind.as_str()), (Path::new("/srv/a b"), "ext4"));
        assert!(mounts[3].has("prjquota") && mounts[3].has("nosuid"));
    }

    #[test]
    fn a_path_lies_on_the_deepest_and_last_mount_that_covers_it() {
        let mut mounts = read(&Tree::new(&[("/proc/self/mountinfo", INFO)]).root());
        let source = |mounts: &[Mount], path: &str| beneath(mounts, Path::new(path)).unwrap().source.clone();
        assert_eq!(source(&mounts, "/srv/a b/c"), "/dev/sda1");
        assert_eq!(source(&mounts, "/srv/a bc"), "/dev/vda");
        mounts.push(Mount { source: "over".into(), ..mounts[3].clone() });
        assert_eq!(source(&mounts, "/srv/a b"), "over");
    }
}
