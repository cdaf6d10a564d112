//! `runtime profile check FILE…`: every error of every file, before a daemon reads them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use runtime_plan::library::Library;
use runtime_plan::policy;
use runtime_plan::source::{ParseError, SourceFile};
use serde_json::Value;

use super::files;
use crate::error::{Error, STATUS_FAILED};
use crate::json::Object;
use crate::output;
use crate::text::escape;

/// The directory whose files are policies.
const POLICIES: &str = "policies";

/// Prints what is wrong, one line each; 0 when nothing is. The operator's other files count too, for files build on another.
pub fn check(paths: &[PathBuf], directory: Option<PathBuf>, as_json: bool) -> Result<u8, Error> {
    let files = paths.iter().map(|path| files::read(path)).collect::<Result<Vec<_>, _>>()?;
    let others = directory.as_deref().map(files::read_directory).transpose()?.unwrap_or_default();
    let errors = errors(files, others);
    for error in &errors {
        if as_json {
            output::print_json(&json(error))?;
        } else {
            output::complain(&escape::line(&error.to_string()));
        }
    }
    if errors.is_empty() && !as_json {
        let names: Vec<_> = paths.iter().map(|path| escape::line(&path.display().to_string())).collect();
        output::print(&format!("{}: nothing wrong\n", names.join(", ")))?;
    }
    Ok(if errors.is_empty() { 0 } else { STATUS_FAILED })
}

fn errors(files: Vec<SourceFile>, others: Vec<SourceFile>) -> Vec<ParseError> {
    let (policies, mut profiles): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| file.directory() == POLICIES);
    // What is checked takes the place of what it will overwrite.
    let key = |file: &SourceFile| (file.directory() == "syscalls", file.stem().to_owned());
    let checked: BTreeSet<_> = profiles.iter().map(key).collect();
    profiles.extend(others.into_iter().filter(|file| !checked.contains(&key(file))));
    let mut errors: Vec<ParseError> = policies
        .into_iter()
        .filter_map(|file| policy::parse(file).err())
        .flat_map(|wrong| wrong.iter().cloned().collect::<Vec<_>>())
        .collect();
    errors.extend(Library::load(profiles).err().iter().flat_map(|wrong| wrong.iter().cloned()));
    errors
}

fn json(error: &ParseError) -> Value {
    let file = Path::new(&error.file).display().to_string();
    Object::default()
        .set("file", file)
        .set("line", error.line)
        .set("column", error.column)
        .set("message", error.message.as_str())
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.into(), text: text.into() }
    }

    #[test]
    fn every_error_comes_with_file_and_line_and_a_hint() {
        let wrong = file(
            "/x/profiles/mine.toml",
            "description = \"Mine.\"\nextends = \"default\"\n\n[limits]\nmemroy = \"1GiB\"\npids = \"many\"\n",
        );
        let errors = errors(vec![wrong], Vec::new());
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 2, "{texts:?}");
        assert!(texts[0].starts_with("/x/profiles/mine.toml:5:") && texts[0].contains("memory"), "{texts:?}");
        assert!(texts[1].starts_with("/x/profiles/mine.toml:6:"), "{texts:?}");
        assert_eq!(json(&errors[0])["line"], 5);
    }

    #[test]
    fn a_good_file_is_good_also_where_it_replaces_one_of_the_operators() {
        let good = || file("/x/mine.toml", "description = \"Mine.\"\nextends = \"default\"\n");
        let older = file("/etc/runtime/profiles/mine.toml", "nonsense = 1\n");
        assert_eq!(errors(vec![good()], vec![older]), Vec::new());
    }

    #[test]
    fn a_policy_is_checked_as_a_policy() {
        let errors = errors(vec![file("/x/policies/local.toml", "nonsense = 1\n")], Vec::new());
        assert!(!errors.is_empty());
    }
}
