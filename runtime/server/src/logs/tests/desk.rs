//! A log that is written one step at a time, with what was said kept beside it.

use super::super::engine::{Engine, Moved};
use super::super::meta::{self, State};
use super::*;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// A log under test.
pub(super) struct Desk {
    _place: tempfile::TempDir,
    pub(super) directory: PathBuf,
    pub(super) options: Options,
    read: Both<OwnedFd>,
    write: Both<std::fs::File>,
    /// Everything that was written to the pipes.
    pub(super) said: Both<Vec<u8>>,
    pub(super) engine: Option<Engine>,
    pub(super) written: watch::Receiver<Written>,
}

impl Desk {
    /// With segments of this size.
    pub(super) fn new(segment_bytes: u64, options: Options) -> Desk {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("job");
        std::fs::create_dir(&directory).unwrap();
        State::new(segment_bytes).save(&meta::open(&directory).unwrap()).unwrap();
        let [out, err] = [runtime_sys::pipe::pipe().unwrap(), runtime_sys::pipe::pipe().unwrap()];
        for pipe in [&out.0, &err.0] {
            runtime_sys::pipe::set_nonblocking(pipe.as_fd()).unwrap();
        }
        let mut desk = Desk {
            _place: place,
            directory,
            options,
            read: Both { stdout: out.0, stderr: err.0 },
            write: Both { stdout: out.1.into(), stderr: err.1.into() },
            said: Both::default(),
            engine: None,
            written: watch::channel(Written::default()).1,
        };
        desk.resume().unwrap();
        desk
    }

    /// As a new server does it.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        self.engine = None;
        let (sender, written) = watch::channel(Written::default());
        self.engine = Some(Engine::resume(&self.directory, self.options.clone(), sender)?);
        self.written = written;
        Ok(())
    }

    /// The job writes; nobody stores it yet. At most what a pipe holds.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        self.write.of_mut(stream).write_all(bytes).unwrap();
        self.said.of_mut(stream).extend_from_slice(bytes);
    }

    /// Stores what waits. An error is the end of this server.
    pub(super) fn store(&mut self, stream: Stream) -> io::Result<()> {
        let engine = self.engine.as_mut().unwrap();
        loop {
            match engine.take(stream, self.read.of(stream).as_fd())? {
                Moved::Nothing => return Ok(()),
                Moved::Stored(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Takes once.
    pub(super) fn take(&mut self, stream: Stream) -> io::Result<Moved> {
        self.engine.as_mut().unwrap().take(stream, self.read.of(stream).as_fd())
    }

    /// Both.
    pub(super) fn say(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        self.write(stream, bytes);
        self.store(stream)
    }

    pub(super) fn written(&self) -> Written {
        *self.written.borrow()
    }

    /// Everything, as a reader tells it.
    pub(super) fn read(&self, wanted: impl Into<Wanted>) -> Vec<Chunk> {
        read_all(&self.directory, wanted, &self.written())
    }
}

/// Checks that chunks tell each byte of a log once and in order, stored or as a gap, with the bytes that were said; and
/// returns the gaps.
pub(super) fn check(chunks: &[Chunk], said: &Both<Vec<u8>>, written: &Written) -> Vec<reader::Gap> {
    let mut at = Both::<u64>::default();
    let mut gaps = Vec::new();
    for chunk in chunks {
        let (stream, offset, length) = match chunk {
            Chunk::Data(data) => {
                assert!((1..=CHUNK_BYTES_MAX).contains(&data.data.len()));
                let from = usize::try_from(data.offset).unwrap();
                let wanted = said.of(data.stream).get(from..from + data.data.len());
                assert_eq!(wanted, Some(&data.data[..]), "{:?} at {from}", data.stream);
                (data.stream, data.offset, data.data.len() as u64)
            }
            Chunk::Gap(gap) => {
                gaps.push(*gap);
                (gap.stream, gap.offset, gap.length)
            }
        };
        assert_eq!((*at.of(stream), length > 0), (offset, true), "{chunk:?}");
        *at.of_mut(stream) += length;
    }
    assert_eq!((at.stdout, at.stderr), (written.stdout_bytes, written.stderr_bytes));
    gaps
}

/// A copy of a log's directory.
pub(super) fn copy(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// Bytes that differ from place to place.
pub(super) fn pattern(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((seed * 31 + at * 7 + at / 251) % 256).unwrap()).collect()
}
