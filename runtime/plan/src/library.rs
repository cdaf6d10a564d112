//! The profiles of one launcher: those that are compiled in, and an operator's, which take their place by name. Reads no
//! disk: whoever calls brings the files.

use crate::{
    built_in,
    profile::{Profile, ProfileSummary},
    profile_file, profile_merge,
    source::{ParseErrors, SourceFile},
    spec, suggest, syscall_set,
};
use std::collections::BTreeMap;

/// Every profile, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    profiles: BTreeMap<String, Profile>,
}

impl Library {
    /// The profiles that are compiled in. Fails only when this repository's own files are wrong, which a test excludes.
    pub fn built_in() -> Result<Library, ParseErrors> {
        Library::load(Vec::new())
    }

    /// The profiles that are compiled in, with an operator's on top: `NAME.toml` is the profile NAME, `syscalls/NAME.toml`
    /// the syscall set NAME. A file takes the place of the built-in one of its name, for those that extend it too.
    /// Fails with everything that is wrong in any file.
    pub fn load(extra: Vec<SourceFile>) -> Result<Library, ParseErrors> {
        let mut errors = Vec::new();
        let (extra_sets, extra_profiles): (Vec<_>, Vec<_>) =
            extra.into_iter().partition(|file| file.directory() == built_in::SETS_DIRECTORY);
        let mut sets = BTreeMap::new();
        for file in by_name(built_in::syscall_sets(), extra_sets, &mut errors) {
            match syscall_set::parse(&file) {
                Ok(set) => drop(sets.insert(file.stem().to_owned(), set)),
                Err(wrong) => errors.extend(wrong),
            }
        }
        let mut files = BTreeMap::new();
        for file in by_name(built_in::profiles(), extra_profiles, &mut errors) {
            match profile_file::parse(&file) {
                Ok(profile) => drop(files.insert(file.stem().to_owned(), profile)),
                Err(wrong) => errors.extend(wrong),
            }
        }
        // A file that is wrong by itself would only make those that build on it look wrong too.
        let mut profiles = BTreeMap::new();
        if errors.is_empty() {
            for name in files.keys() {
                match profile_merge::resolve(name, &files, &sets) {
                    Ok(profile) => drop(profiles.insert(name.clone(), profile)),
                    Err(wrong) => errors.extend(wrong),
                }
            }
        }
        for profile in profiles.values_mut() {
            if built_in::is_built_in(&profile.origin) {
                profile.origin = built_in::ORIGIN.to_owned();
            }
        }
        ParseErrors::or(errors, Library { profiles })
    }

    /// The profile of that name.
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(name)
    }

    /// Every profile, by name.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.values()
    }

    /// What a list shows of each, by name.
    pub fn summaries(&self) -> Vec<ProfileSummary> {
        self.profiles.values().map(Profile::summary).collect()
    }

    /// The name that is nearest to a wrong one: "did you mean".
    pub fn suggest(&self, wrong: &str) -> Option<&str> {
        suggest::nearest(wrong, self.profiles.keys().map(String::as_str))
    }
}

/// The files by stem; an operator's take the place of built-in ones, and two of an operator's with one name are an error.
fn by_name(
    built_in: Vec<SourceFile>,
    extra: Vec<SourceFile>,
    errors: &mut Vec<crate::source::ParseError>,
) -> Vec<SourceFile> {
    let mut files: BTreeMap<String, SourceFile> =
        built_in.into_iter().map(|file| (file.stem().to_owned(), file)).collect();
    let mut own: BTreeMap<String, String> = BTreeMap::new();
    for file in extra {
        let name = file.stem().to_owned();
        if !spec::is_name(&name) {
            let message =
                format!("{name:?} cannot be a name: lower-case letters, digits, `-` and `_`, at most 64");
            errors.push(crate::source::ParseError::at(&file, 0, message));
        } else if let Some(other) = own.insert(name.clone(), file.path.clone()) {
            errors.push(crate::source::ParseError::at(&file, 0, format!("{other} has the same name")));
        } else {
            files.insert(name, file);
        }
    }
    files.into_values().collect()
}
