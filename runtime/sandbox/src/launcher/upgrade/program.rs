//! By which path this program was started. The kernel tells the file behind all links (/proc/self/exe); an operator may have
//! called a link, and point it to the next version.

use runtime_sys::{Error, error::Errno};
use std::{
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

/// The path as it was called, where that leads to this program; else the file itself.
///
/// # Errors
/// When the kernel does not tell our own program.
pub fn own() -> Result<PathBuf, Error> {
    let errno = |error: std::io::Error| Errno(error.raw_os_error().unwrap_or(0));
    let file =
        env::current_exe().map_err(|error| Error { act: "read /proc/self/exe", errno: errno(error) })?;
    let called = env::args_os().next().unwrap_or_default();
    Ok(as_called(&called, env::var_os("PATH"), &file).unwrap_or(file))
}

/// The absolute path behind the first argument: itself, or with a directory of PATH, as the shell found it.
fn as_called(called: &OsStr, search: Option<OsString>, file: &Path) -> Option<PathBuf> {
    let called = Path::new(called);
    let leads_here = |path: &PathBuf| path.canonicalize().is_ok_and(|behind| behind == file);
    if called.components().count() > 1 || called.is_absolute() {
        return std::path::absolute(called).ok().filter(leads_here);
    }
    let search = search?;
    let mut found = env::split_paths(&search).map(|directory| directory.join(called));
    found.find(leads_here).and_then(|path| std::path::absolute(path).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn a_link_is_remembered_as_it_was_called() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path().canonicalize().unwrap();
        let (version, links) = (place.join("1.0"), place.join("bin"));
        for directory in [&version, &links] {
            fs::create_dir(directory).unwrap();
        }
        let (file, link) = (version.join("runtime"), links.join("runtime"));
        fs::write(&file, "").unwrap();
        symlink(&file, &link).unwrap();
        let search = || Some(OsString::from(format!("/nonexistent:{}", links.display())));
        let name = |text: &str| OsString::from(text);
        assert_eq!(as_called(link.as_os_str(), None, &file).as_ref(), Some(&link));
        assert_eq!(as_called(&name("runtime"), search(), &file).as_ref(), Some(&link));
        assert_eq!(as_called(file.as_os_str(), search(), &file).as_ref(), Some(&file));
        // Another name, another program, no name at all.
        assert_eq!(as_called(&name("login-shell"), search(), &file), None);
        assert_eq!(as_called(&name("runtime"), search(), &links.join("other")), None);
        assert_eq!(as_called(&name(""), search(), &file), None);
    }
}
