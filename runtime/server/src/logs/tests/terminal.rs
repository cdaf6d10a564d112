//! The output of a terminal.

use super::*;
use runtime_sys::terminal::{open_master, open_slave};
use std::os::fd::AsFd;
use tokio::sync::oneshot;

struct Session {
    _place: tempfile::TempDir,
    directory: PathBuf,
    relay: (OwnedFd, OwnedFd),
    master: OwnedFd,
    slave: std::fs::File,
}

fn session() -> Session {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("job");
    let master = open_master(c"/dev/ptmx").unwrap();
    let slave = open_slave(master.as_fd()).unwrap().into();
    Session { _place: place, directory, relay: runtime_sys::pipe::pipe().unwrap(), master, slave }
}

impl Session {
    /// A server with copies of the descriptors: the launcher has the others.
    fn serve(&self, options: Options) -> (watch::Receiver<Written>, oneshot::Sender<OwnedFd>, Task) {
        let (sender, written) = watch::channel(Written::default());
        let writer = match self.directory.exists() {
            true => Writer::resume(&self.directory, options, sender).unwrap(),
            false => Writer::create(&self.directory, options, sender).unwrap(),
        };
        let (give, master) = oneshot::channel();
        let copy = |fd: &OwnedFd| fd.try_clone().unwrap();
        let relay = writer::Relay { read: copy(&self.relay.0), write: copy(&self.relay.1), master };
        let task = tokio::spawn(writer.store(Source::Terminal(relay), mpsc::channel(1).0));
        (written, give, task)
    }

    fn output(&self, written: &Written) -> Vec<u8> {
        let chunks = read_all(&self.directory, From::default(), written);
        chunks.into_iter().map(data).flat_map(|data| data.data).collect()
    }
}

type Task = tokio::task::JoinHandle<std::io::Result<()>>;

#[tokio::test]
async fn all_output_is_stdout_and_ends_when_nobody_has_the_terminal_open() {
    let mut session = session();
    let (mut written, give, task) = session.serve(Options::default());
    session.slave.write_all(b"one\ntwo\n").unwrap();
    give.send(session.master.try_clone().unwrap()).unwrap();
    written.wait_for(|written| written.stdout_bytes == 10).await.unwrap();
    session.slave.write_all(b"three").unwrap();
    let last = session.slave.try_clone().unwrap();
    session.slave = last;
    let Session { slave, .. } = &mut session;
    slave.write_all(b".").unwrap();
    written.wait_for(|written| written.stdout_bytes == 16).await.unwrap();
    session.slave = std::fs::File::open("/dev/null").unwrap();
    task.await.unwrap().unwrap();
    let written = *written.borrow();
    assert!(written.ended && written.drained && written.stderr_bytes == 0);
    assert_eq!(session.output(&written), b"one\r\ntwo\r\nthree.");
}

#[tokio::test]
async fn a_flood_larger_than_terminal_and_relay_comes_whole() {
    let session = session();
    let (mut written, give, task) = session.serve(Options::default());
    give.send(session.master.try_clone().unwrap()).unwrap();
    let mut slave = session.slave.try_clone().unwrap();
    // Lines of one length: the terminal adds a carriage return to each.
    let lines = 30_000;
    let writing = tokio::task::spawn_blocking(move || {
        for number in 0..lines {
            slave.write_all(format!("{number:08}\n").as_bytes()).unwrap();
        }
    });
    writing.await.unwrap();
    written.wait_for(|written| written.stdout_bytes == lines * 10).await.unwrap();
    let so_far = *written.borrow();
    let wanted: String = (0..lines).map(|number| format!("{number:08}\r\n")).collect();
    assert_eq!(session.output(&so_far), wanted.as_bytes());
    drop(session);
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_a_dead_server_left_in_the_relay_comes_first() {
    let mut session = session();
    // It had moved this much, and died before it was in a file.
    session.slave.write_all(b"in the relay ").unwrap();
    let moved =
        runtime_sys::pipe::splice_to_pipe(session.master.as_fd(), session.relay.1.as_fd(), 100).unwrap();
    session.slave.write_all(b"in the terminal").unwrap();
    let (mut written, give, task) = session.serve(Options::default());
    written.wait_for(|written| written.stdout_bytes == moved as u64).await.unwrap();
    give.send(session.master.try_clone().unwrap()).unwrap();
    written.wait_for(|written| written.stdout_bytes == 28).await.unwrap();
    // And this one dies, too.
    task.abort();
    written.wait_for(|written| written.ended).await.unwrap();
    session.slave.write_all(b", and more").unwrap();
    let (mut written, give, _task) = session.serve(Options::default());
    give.send(session.master.try_clone().unwrap()).unwrap();
    written.wait_for(|written| written.stdout_bytes == 38).await.unwrap();
    let written = *written.borrow();
    assert_eq!(session.output(&written), b"in the relay in the terminal, and more");
}

#[tokio::test]
async fn a_job_that_never_got_its_terminal_has_a_log_that_ends() {
    let session = session();
    let (written, give, task) = session.serve(Options::default());
    drop(give);
    task.await.unwrap().unwrap();
    assert!(written.borrow().ended && written.borrow().drained);
}
