//! The greeting and the frames, against a launcher that says what it should not.

use super::*;
use runtime_plan::link::encode;
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
    let (link, mut notices) = Link::start(ours).unwrap();
    let mut events = link.register("job-1".to_owned().try_into().unwrap());
    drop(theirs);
    assert!(matches!(notices.recv().await, Some(Notice::Lost(LinkError::Gone))));
    assert!(events.recv().await.is_none());
}

#[tokio::test]
async fn bytes_that_are_no_message_end_the_link() {
    let (ours, theirs) = seqpacket_pair().unwrap();
    let (_link, mut notices) = Link::start(ours).unwrap();
    socket::send(theirs.as_fd(), &[0, 255, 255, 255], &[], false).unwrap();
    assert!(matches!(notices.recv().await, Some(Notice::Lost(LinkError::Message(_)))));
}

#[tokio::test]
async fn a_job_without_its_pipes_ends_the_link() {
    let (ours, theirs) = seqpacket_pair().unwrap();
    let (link, mut notices) = Link::start(ours).unwrap();
    let job: JobId = "job-1".to_owned().try_into().unwrap();
    let _events = link.register(job.clone());
    let accepted = ToServer::Accepted { job, stdin: false, output_bytes_max: 1 };
    frame::send(theirs.as_fd(), &encode(&accepted).unwrap(), &[theirs.as_fd()], false).unwrap();
    assert!(matches!(notices.recv().await, Some(Notice::Lost(LinkError::Unexpected(_)))));
}
