//! `run --report`: the outcome and the walls as JSON, in a file or on stderr.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::error::Error;
use crate::json::job::{Report, report};
use crate::output;
use crate::session::Record;
use crate::verdict::Verdict;

/// The file; `None` when the report goes to stderr.
fn file(path: &OsStr) -> Option<&OsStr> {
    Some(path).filter(|path| path.as_bytes() != b"-")
}

/// Makes the file before the job runs: a path that cannot be written is said at once.
pub fn prepare(path: Option<&OsStr>) -> Result<(), Error> {
    let Some(path) = path.and_then(file) else { return Ok(()) };
    std::fs::File::create(path)
        .map(drop)
        .map_err(|error| Error::io("make the report", path.to_string_lossy(), error))
}

/// Writes what is known in the end.
pub fn write(path: Option<&OsStr>, record: &Record, verdict: &Verdict) -> Result<(), Error> {
    let Some(path) = path else { return Ok(()) };
    let finished = record.finished.as_ref();
    let started = record.started.as_ref();
    let text = report(&Report {
        job_id: record.job_id.as_deref(),
        start_time: started.and_then(|started| started.time.as_ref()),
        finish_time: finished.and_then(|finished| finished.time.as_ref()),
        outcome: finished.and_then(|finished| finished.outcome.as_ref()),
        enforcement: finished
            .and_then(|finished| finished.enforcement.as_ref())
            .or_else(|| started.and_then(|started| started.enforcement.as_ref())),
        error: record.error.as_ref().map(|error| (error.code(), error.to_string())),
        exit_status: verdict.status,
    })
    .to_string();
    match file(path) {
        None => {
            output::complain(&text);
            Ok(())
        }
        Some(path) => std::fs::write(path, text + "\n")
            .map_err(|error| Error::io("write the report", path.to_string_lossy(), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict;

    #[test]
    fn the_report_is_one_object_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        prepare(Some(path.as_os_str())).unwrap();
        let record = Record { job_id: Some("job-1".into()), ..Default::default() };
        write(Some(path.as_os_str()), &record, &verdict::of(&record)).unwrap();
        let value: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(value, serde_json::json!({"job_id": "job-1", "exit_status": 125}));
    }

    #[test]
    fn a_report_that_cannot_be_written_is_said_before_the_job_runs() {
        let path = OsStr::new("/no/such/directory/report.json");
        assert_eq!(prepare(Some(path)).unwrap_err().code(), "IO_FAILED");
    }
}
