//! What one client gets, and what goes wrong on purpose.

use super::*;
use tokio::time::Instant;
use tokio_stream::StreamExt;

fn client(faults: ClientFaults) -> (Client<u32>, Responses<u32>) {
    Client::new(Metrics::new(), faults)
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_waits_before_each_message() {
    let slow = ClientFaults { slow_reader: Some(Duration::from_secs(2)), ..ClientFaults::default() };
    let (mut client, mut responses) = client(slow);
    let begin = Instant::now();
    client.tell(1).await.unwrap();
    client.tell(2).await.unwrap();
    // The clock of the test stands still but for these waits.
    assert_eq!(begin.elapsed(), Duration::from_secs(4));
    assert_eq!(responses.next().await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_stream_breaks_off_after_so_many_bytes_of_output() {
    let drop = ClientFaults { drop_after_bytes: Some(10), ..ClientFaults::default() };
    let (mut client, mut responses) = client(drop);
    assert_eq!(client.tell_output(1, 9).await, Ok(()));
    assert_eq!(client.tell(2).await, Ok(()));
    assert_eq!(client.tell_output(3, 1).await, Err(Over));
    for message in [1, 2, 3] {
        assert_eq!(responses.next().await.unwrap().unwrap(), message);
    }
    let status = responses.next().await.unwrap().unwrap_err();
    assert_eq!((status.code(), reason_of(&status)), (tonic::Code::Unavailable, Some("CONNECTION_DROPPED")));
}

#[tokio::test]
async fn who_tells_waits_for_a_client_that_does_not_read_and_stops_when_it_has_gone() {
    let (mut client, responses) = client(ClientFaults::default());
    let watching = client.clone();
    for message in 0..RESPONSES_MAX {
        client.tell(u32::try_from(message).unwrap()).await.unwrap();
    }
    let mut one_more = std::pin::pin!(client.tell(9));
    tokio::select! {
        biased;
        told = &mut one_more => panic!("nobody read: {told:?}"),
        () = tokio::task::yield_now() => {}
    }
    drop(responses);
    assert_eq!(one_more.await, Err(Over));
    watching.gone().await;
}

#[tokio::test]
async fn a_refusal_on_a_stream_is_counted() {
    let (client, _responses) = client(ClientFaults::default());
    client.give_up(Reason::StdinTooLarge.status("x")).await;
    let now = crate::metrics::Now {
        live: crate::metrics::Live::default(),
        records: 0,
        output_bytes: 0,
        state: crate::metrics::ServingWord::Serving,
    };
    let page = client.metrics.page(&now, crate::metrics::Form::Prometheus);
    assert!(page.contains("runtime_refusals_total{reason=\"STDIN_TOO_LARGE\"} 1\n"));
}

#[tokio::test(start_paused = true)]
async fn a_message_puts_the_next_sign_of_life_off() {
    let (mut client, _responses) = client(ClientFaults::default());
    let begin = Instant::now();
    tokio::time::sleep(HEARTBEAT / 2).await;
    client.tell(1).await.unwrap();
    client.silence().await;
    assert_eq!(begin.elapsed(), HEARTBEAT * 3 / 2);
}
