//! Which output is asked for, at first and after a broken connection. Pure.

use runtime_proto::v1::{Job, StreamLogsRequest};

/// The part of the output that was asked for.
#[derive(Debug)]
pub struct Window {
    first: StreamLogsRequest,
    /// Bytes of stdout and stderr when it was asked for: where a tail begins is counted from here.
    sizes: [u64; 2],
}

impl Window {
    /// `first` is what is asked at first, `job` the job then.
    pub fn new(first: StreamLogsRequest, job: &Job) -> Window {
        Window { first, sizes: [job.stdout_bytes, job.stderr_bytes] }
    }

    /// What is asked now: the cursors are the bytes that come next, `None` for a stream of which nothing came.
    pub fn request(&self, cursors: [Option<u64>; 2]) -> StreamLogsRequest {
        let mut request = self.first.clone();
        if cursors == [None, None] {
            return request;
        }
        let begin = |size: u64| self.first.tail_bytes.map_or(0, |tail| size.saturating_sub(tail));
        let [stdout, stderr] = [0, 1].map(|index| cursors[index].unwrap_or_else(|| begin(self.sizes[index])));
        request.stdout_offset_bytes = stdout;
        request.stderr_offset_bytes = stderr;
        request.tail_bytes = None;
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(tail_bytes: Option<u64>) -> Window {
        let since = Some(prost_types::Timestamp { seconds: 5, nanos: 0 });
        let first = StreamLogsRequest { job_id: "job-1".into(), tail_bytes, since, ..Default::default() };
        Window::new(first, &Job { stdout_bytes: 100, stderr_bytes: 30, ..Default::default() })
    }

    fn offsets(request: &StreamLogsRequest) -> (u64, u64, Option<u64>) {
        (request.stdout_offset_bytes, request.stderr_offset_bytes, request.tail_bytes)
    }

    #[test]
    fn a_break_before_the_first_byte_asks_the_same_again() {
        assert_eq!(offsets(&window(Some(50)).request([None, None])), (0, 0, Some(50)));
    }

    #[test]
    fn a_break_later_goes_on_at_the_cursors() {
        let table = [
            (None, [Some(7), Some(3)], (7, 3, None)),
            (None, [Some(7), None], (7, 0, None)),
            (Some(50), [Some(90), Some(30)], (90, 30, None)),
            (Some(50), [None, Some(30)], (50, 30, None)),
            (Some(50), [Some(90), None], (90, 0, None)),
        ];
        for (tail, cursors, expected) in table {
            let request = window(tail).request(cursors);
            assert_eq!(offsets(&request), expected, "{tail:?} {cursors:?}");
            assert_eq!(request.since.map(|since| since.seconds), Some(5), "what is too old stays out");
        }
    }
}
