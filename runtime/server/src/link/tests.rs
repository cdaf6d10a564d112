//! The greeting and the frames, against a launcher that says what it should not.

use super::*;
use runtime_plan::link::{Pipes, PipesKind, encode};
use runtime_sys::socket::{self, seqpacket_pair};

fn welcome(version: u32) -> ToServer {
    ToServer::Hello(Box::new(crate::tests::welcome(version)))
}

fn greet_with(answer: &ToServer) -> Result<Welcome, LinkError> {
    let (ours, theirs) = seqpacket_pair().unwrap();
    frame::send(theirs.as_fd(), &encode(answer).unwrap(), &[], false).unwrap();
    greet(&ours)
}

#[test]
fn the_greeting_checks_the_version() {
    assert_eq!(greet_with(&welcome(VERSION)).unwrap().version, VERSION);
    assert!(
        matches!(greet_with(&welcome(VERSION + 1)), Err(LinkError::Version { theirs }) if theirs == VERSION + 1)
    );
    assert!(matches!(greet_with(&ToServer::ShutDown), Err(LinkError::Unexpected(_))));
}

#[test]
fn a_closed_link_is_no_greeting() {
    let (ours, theirs) = seqpacket_pair().unwrap();
    drop(theirs);
    assert!(greet(&ours).is_err());
}

#[tokio::test]
async fn the_end_of_the_launcher_is_told_once_and_ends_the_routes() {
    let (ours, theirs) = seqpacket_pair().unwrap();
    let (link, mut notices, _adoptions) = Link::start(ours).unwrap();
    let mut events = link.register("job-1".to_owned().try_into().unwrap());
    drop(theirs);
    assert!(matches!(notices.recv().await, Some(Notice::Lost(LinkError::Gone))));
    assert!(events.recv().await.is_none());
}

#[tokio::test]
async fn bytes_that_are_no_message_end_the_link() {
    let (ours, theirs) = seqpacket_pair().unwrap();
    let (_link, mut notices, _adoptions) = Link::start(ours).unwrap();
    socket::send(theirs.as_fd(), &[0, 255, 255, 255], &[], false).unwrap();
    assert!(matches!(notices.recv().await, Some(Notice::Lost(LinkError::Message(_)))));
}

#[tokio::test]
async fn a_job_without_its_pipes_ends_the_link() {
    let (ours, theirs) = seqpacket_pair().unwrap();
    let (link, mut notices, _adoptions) = Link::start(ours).unwrap();
    let job: JobId = "job-1".to_owned().try_into().unwrap();
    let _events = link.register(job.clone());
    let kind = PipesKind::Streams { stdin: false };
    let accepted = ToServer::Accepted { job, pipes: Pipes { kind, output_bytes_max: 1, idle_ms_max: None } };
    frame::send(theirs.as_fd(), &encode(&accepted).unwrap(), &[theirs.as_fd()], false).unwrap();
    assert!(matches!(notices.recv().await, Some(Notice::Lost(LinkError::Unexpected(_)))));
}

#[tokio::test]
async fn a_job_to_adopt_has_its_route_before_the_next_word_of_it() {
    let (ours, theirs) = seqpacket_pair().unwrap();
    let (link, _notices, mut adoptions) = Link::start(ours).unwrap();
    let job: JobId = "job-1".to_owned().try_into().unwrap();
    let say = |message: &ToServer, fds: &[std::os::fd::BorrowedFd<'_>]| {
        frame::send(theirs.as_fd(), &encode(message).unwrap(), fds, false).unwrap();
    };
    let kind = PipesKind::Streams { stdin: false };
    let pipes = Pipes { kind, output_bytes_max: 1, idle_ms_max: None };
    let (reader, _writer) = runtime_sys::pipe::pipe().unwrap();
    let adopt = ToServer::Adopt { job: job.clone(), record: vec![1, 2], pipes };
    say(&adopt, &[reader.as_fd(), reader.as_fd()]);
    say(&ToServer::Started { job: job.clone(), time_us: 7, enforcement: Box::default() }, &[]);
    say(&ToServer::AdoptionComplete, &[]);
    let Some(Handover::Job(mut adoption)) = adoptions.recv().await else { panic!("no job") };
    assert_eq!((adoption.job, adoption.record), (job, vec![1, 2]));
    assert!(matches!(adoption.events.recv().await, Some(FromLauncher::Started { time_us: 7, .. })));
    assert!(matches!(adoptions.recv().await, Some(Handover::Complete)));
    drop(link);
}
