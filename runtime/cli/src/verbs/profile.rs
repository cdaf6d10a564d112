//! `runtime profile`: the profiles that are compiled in and the operator's, as this host's files say now. With an endpoint
//! `list` asks the daemon, which has read its files when it started.

mod check;
mod files;
mod show;

use std::path::PathBuf;

use runtime_plan::library::Library;
use runtime_proto::v1::{ProfileSummary, ProfilesRequest};

use crate::args::{Global, ProfileAction, ProfileArgs};
use crate::endpoint::{Endpoint, Wishes};
use crate::error::Error;
use crate::places::Surroundings;
use crate::text::{escape, table};
use crate::{client, json, output};

/// Characters of a digest in the table: enough to tell two apart.
const DIGEST_CHARACTERS: usize = 12;

/// Lists, shows or checks.
pub fn profile(global: Global, args: ProfileArgs) -> Result<u8, Error> {
    let as_json = global.json;
    let directory = args.profiles.or_else(|| Surroundings::now().profiles_dir());
    match args.action {
        ProfileAction::List => {
            let profiles = match Wishes::now(global.endpoint, false).named()? {
                Some(endpoint) => ask(&endpoint)?,
                None => library(directory)?.summaries().into_iter().map(to_message).collect(),
            };
            list(&profiles, as_json)
        }
        ProfileAction::Show { name } => {
            let library = library(directory)?;
            let profile = library.profile(&name).ok_or_else(|| unknown(&library, &name))?;
            if as_json {
                output::print_json(&show::json(profile)?)?;
            } else {
                output::print(&show::text(profile))?;
            }
            Ok(0)
        }
        ProfileAction::Check { files } => check::check(&files, directory, as_json),
    }
}

fn library(directory: Option<PathBuf>) -> Result<Library, Error> {
    let files = directory.map(|directory| files::read_directory(&directory)).transpose()?.unwrap_or_default();
    Library::load(files).map_err(|errors| Error::Profile { message: errors.to_string() })
}

fn unknown(library: &Library, name: &str) -> Error {
    let hint = library.suggest(name).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    Error::Profile {
        message: format!("there is no profile {name:?}: {hint}`runtime profile list` shows them"),
    }
}

fn ask(endpoint: &Endpoint) -> Result<Vec<ProfileSummary>, Error> {
    super::runtime()?.block_on(async {
        let mut node = client::node(client::connect(endpoint).await?);
        let answer = node.profiles(ProfilesRequest {}).await;
        answer.map(|answer| answer.into_inner().profiles).map_err(|status| client::refused(&status))
    })
}

fn to_message(summary: runtime_plan::profile::ProfileSummary) -> ProfileSummary {
    ProfileSummary {
        name: summary.name,
        description: summary.description,
        origin: summary.origin,
        digest: summary.digest,
        extends: summary.extends,
    }
}

fn list(profiles: &[ProfileSummary], as_json: bool) -> Result<u8, Error> {
    if as_json {
        profiles.iter().try_for_each(|profile| output::print_json(&json::node::profile_summary(profile)))?;
        return Ok(0);
    }
    let row = |profile: &ProfileSummary| {
        let digest: String = profile.digest.chars().take(DIGEST_CHARACTERS).collect();
        [&profile.name, &profile.origin, &digest, &profile.description]
            .map(|cell| escape::line(cell))
            .to_vec()
    };
    let rows = profiles.iter().map(row).collect();
    output::print(&table::plain(&["NAME", "ORIGIN", "DIGEST", "DESCRIPTION"], rows))?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_profile_names_the_nearest() {
        let library = Library::built_in().unwrap();
        let message = unknown(&library, "pyton").to_string();
        assert!(message.contains("did you mean `python`?"), "{message}");
        assert!(unknown(&library, "zzzzzzzz").to_string().contains("runtime profile list"));
    }

    #[test]
    fn an_operators_profile_is_there_beside_the_built_in_ones() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mine.toml"), "description = \"Mine.\"\nextends = \"default\"\n")
            .unwrap();
        let library = library(Some(folder.path().into())).unwrap();
        let mine = library.profile("mine").unwrap();
        assert!(mine.origin.ends_with("mine.toml"), "{}", mine.origin);
        assert!(library.profile("default").is_some());
    }
}
