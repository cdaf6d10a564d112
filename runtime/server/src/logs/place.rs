//! Where logs are beneath the state directory: `logs/<xx>/<id>/`, where xx are the last two characters of the job's id,
//! so that no directory has more than a thousandth of them.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The directory of all logs.
#[derive(Debug, Clone)]
pub struct Place(PathBuf);

impl Place {
    /// Beneath this state directory. Nothing is made.
    pub fn new(state_dir: &Path) -> Place {
        Place(state_dir.join("logs"))
    }

    /// The directory of a job's log, whether it exists or not. The id is one of ours: of letters, digits and `-`.
    pub fn of(&self, job: &str) -> PathBuf {
        self.0.join(shard(job)).join(job)
    }

    /// The same, with every directory above it made.
    ///
    /// # Errors
    /// What the file system says.
    pub fn prepare(&self, job: &str) -> io::Result<PathBuf> {
        let shard = self.0.join(shard(job));
        std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&shard)?;
        Ok(shard.join(job))
    }

    /// The ids of all logs that are there, one shard after the other; for a sweep of those without a record. Names that
    /// are in the wrong place are left out.
    ///
    /// # Errors
    /// What the file system says.
    pub fn jobs(&self) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        for directory in names(&self.0)? {
            let jobs = names(&self.0.join(&directory))?;
            found.extend(jobs.into_iter().filter(|job| shard(job) == directory));
        }
        Ok(found)
    }
}

fn shard(job: &str) -> &str {
    let start = job.char_indices().rev().nth(1).map_or(0, |(at, _)| at);
    &job[start..]
}

fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        found.extend(entry?.file_name().into_string().ok());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_lies_in_the_shard_of_its_last_two_characters() {
        let state = tempfile::tempdir().unwrap();
        let place = Place::new(state.path());
        assert_eq!(place.of("job-01k4xyz"), state.path().join("logs/yz/job-01k4xyz"));
        assert_eq!(place.jobs().unwrap(), [""; 0]);
        let directory = place.prepare("job-01k4xyz").unwrap();
        assert_eq!(directory, place.of("job-01k4xyz"));
        assert!(!directory.exists());
        std::fs::create_dir(&directory).unwrap();
        std::fs::create_dir(state.path().join("logs/yz/stray")).unwrap();
        assert_eq!(place.jobs().unwrap(), ["job-01k4xyz"]);
    }
}
