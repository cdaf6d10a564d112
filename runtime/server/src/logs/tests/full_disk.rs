//! A disk that takes nothing for a while: the bytes wait, and none is lost.

use super::desk::{Desk, check, pattern};
use super::engine::Moved;
use super::*;
use std::io;
use std::sync::{Arc, Mutex};

/// Refuses one kind of act with this error, as long as there is one.
#[derive(Debug, Default)]
struct Refuse(Mutex<Option<(Kind, i32)>>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Segment,
    Data,
    Index,
    Meta,
    Remove,
}

impl Fault for Refuse {
    fn before(&self, act: Act) -> io::Result<()> {
        let kind = match act {
            Act::Segment => Kind::Segment,
            Act::Data(_) => Kind::Data,
            Act::Index => Kind::Index,
            Act::Meta => Kind::Meta,
            Act::Remove => Kind::Remove,
        };
        match *self.0.lock().unwrap() {
            Some((refused, errno)) if refused == kind => Err(io::Error::from_raw_os_error(errno)),
            _ => Ok(()),
        }
    }
}

const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;

#[test]
fn whatever_is_refused_and_why_the_bytes_come_when_there_is_space_again() {
    for kind in [Kind::Segment, Kind::Data, Kind::Index, Kind::Meta, Kind::Remove] {
        for (errno, stall) in [
            (ENOSPC, Stall::NoSpace),
            (EDQUOT, Stall::Quota),
            (runtime_sys::Errno::EROFS.0, Stall::ReadOnly),
            (runtime_sys::Errno::EIO.0, Stall::Broken),
            (runtime_sys::Errno::EMFILE.0, Stall::Exhausted),
        ] {
            let fault = Arc::new(Refuse::default());
            let options = Options {
                keep_bytes: Some(512),
                fault: Some(fault.clone() as Arc<dyn Fault>),
                ..Options::default()
            };
            let mut desk = Desk::new(32, options);
            // Up to the moment when something has to be removed for the next byte.
            desk.say(Stream::Stdout, &pattern(1, 512)).unwrap();
            *fault.0.lock().unwrap() = Some((kind, errno));
            desk.write(Stream::Stdout, &pattern(2, 100));
            for _ in 0..3 {
                assert_eq!(desk.take(Stream::Stdout).unwrap(), Moved::Stalled(stall), "{kind:?}");
                assert_eq!(desk.written().stalled, Some(stall));
                assert_eq!(desk.written().stdout_bytes, 512, "{kind:?}");
            }
            // A reader sees all that was before.
            check(&desk.read(From::default()), &desk.said, &desk.written());
            *fault.0.lock().unwrap() = None;
            desk.store(Stream::Stdout).unwrap();
            assert_eq!((desk.written().stdout_bytes, desk.written().stalled), (612, None));
            check(&desk.read(From::default()), &desk.said, &desk.written());
        }
    }
}

#[test]
fn a_server_that_dies_on_a_full_disk_loses_nothing() {
    for kind in [Kind::Data, Kind::Index] {
        let fault = Arc::new(Refuse::default());
        let mut desk =
            Desk::new(32, Options { fault: Some(fault.clone() as Arc<dyn Fault>), ..Options::default() });
        desk.say(Stream::Stdout, &pattern(1, 40)).unwrap();
        *fault.0.lock().unwrap() = Some((kind, ENOSPC));
        desk.write(Stream::Stdout, &pattern(2, 10));
        assert_eq!(desk.take(Stream::Stdout).unwrap(), Moved::Stalled(Stall::NoSpace));
        *fault.0.lock().unwrap() = None;
        desk.resume().unwrap();
        desk.store(Stream::Stdout).unwrap();
        assert_eq!(desk.written().stdout_bytes, 50);
        assert_eq!(check(&desk.read(From::default()), &desk.said, &desk.written()), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_waits_for_space_and_says_so() {
    let fault = Arc::new(Refuse::default());
    *fault.0.lock().unwrap() = Some((Kind::Data, ENOSPC));
    let mut log = start_with(Options { fault: Some(fault.clone() as Arc<dyn Fault>), ..Options::default() });
    log.stdout.as_mut().unwrap().write_all(b"waits").unwrap();
    let stalled = *log.written.wait_for(|written| written.stalled.is_some()).await.unwrap();
    assert_eq!((stalled.stalled, stalled.bytes()), (Some(Stall::NoSpace), 0));
    // The end of the pipe is not the end of the log while bytes are in it.
    log.stdout = None;
    *fault.0.lock().unwrap() = None;
    let written = *log.written.wait_for(|written| written.stdout_bytes == 5).await.unwrap();
    assert_eq!(written.stalled, None);
    log.end().await;
    assert_eq!(log.read(From::default())[0].data, &b"waits"[..]);
}
