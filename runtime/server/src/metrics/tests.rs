//! What is counted is told, in both forms, and as the published list says.

use super::http::{Look, listener, serve};
use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

const NOW: Now = Now {
    live: Live { queued: 3, starting: 1, running: 2 },
    records: 10,
    output_bytes: 4_096,
    state: ServingWord::Serving,
};

fn counted() -> Metrics {
    let metrics = Metrics::new();
    metrics.job_queued();
    metrics.job_started(Duration::from_millis(2), Duration::from_millis(3));
    let usage = Usage { run_us: Some(2_000_000), ..Usage::default() };
    metrics.job_finished(&Outcome::Exited { code: 1 }, &usage);
    metrics.job_adopted();
    metrics.output_bytes(100);
    metrics.gap(GapCause::JobCap, 77);
    metrics.store_commit(Duration::from_millis(1), 5);
    metrics.store_error(StoreFailure::NoSpace);
    metrics.refused("QUEUE_FULL");
    metrics.generation(4);
    metrics
}

#[test]
fn what_is_counted_is_on_the_page() {
    let metrics = counted();
    let reader = metrics.reader_opened();
    let stalled = metrics.log_stalled();
    let page = metrics.page(&NOW, Form::OpenMetrics);
    for line in [
        "runtime_jobs{state=\"queued\"} 3",
        "runtime_jobs{state=\"running\"} 2",
        "runtime_jobs_taken_total 1",
        "runtime_jobs_started_total 1",
        "runtime_jobs_finished_total{cause=\"exited\"} 1",
        "runtime_jobs_finished_total{cause=\"lost\"} 0",
        "runtime_jobs_adopted_total 1",
        "runtime_job_queue_seconds_count 1",
        "runtime_job_run_seconds_sum 2.0",
        "runtime_output_bytes_total 100",
        "runtime_gap_bytes_total{reason=\"job_cap\"} 77",
        "runtime_store_commit_rows_sum 5.0",
        "runtime_store_errors_total{error=\"no_space\"} 1",
        "runtime_refusals_total{reason=\"QUEUE_FULL\"} 1",
        "runtime_serving{state=\"serving\"} 1",
        "runtime_serving{state=\"draining\"} 0",
        "runtime_server_generation 4",
        "runtime_readers 1",
        "runtime_logs_stalled 1",
        "runtime_records 10",
        "runtime_kept_output_bytes 4096",
        "# TYPE runtime_jobs_taken counter",
        "# UNIT runtime_job_run_seconds seconds",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is missing in\n{page}");
    }
    assert!(page.ends_with("# EOF\n"));
    drop((reader, stalled));
    let page = metrics.page(&NOW, Form::OpenMetrics);
    assert!(page.contains("runtime_readers 0\n") && page.contains("runtime_logs_stalled 0\n"));
}

#[test]
fn prometheus_text_names_counters_by_their_samples() {
    let page = counted().page(&NOW, Form::Prometheus);
    assert!(page.contains("# TYPE runtime_jobs_taken_total counter\nruntime_jobs_taken_total 1\n"));
    assert!(page.contains("# HELP runtime_jobs_taken_total Jobs"));
    assert!(page.contains("# TYPE runtime_build_info gauge\nruntime_build_info{version="));
    assert!(!page.contains("# UNIT") && !page.contains("# EOF"));
    // Each sample stands under a TYPE of its name.
    let mut kind = String::new();
    for line in page.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(rest) => kind = rest.split(' ').next().unwrap().to_owned(),
            None if line.starts_with('#') => {}
            None => assert!(line.starts_with(&kind), "{line} under {kind}"),
        }
    }
}

#[test]
fn the_form_is_the_one_that_the_scraper_likes_best() {
    for (accept, form) in [
        ("", Form::Prometheus),
        ("*/*", Form::Prometheus),
        ("text/plain", Form::Prometheus),
        ("application/openmetrics-text", Form::OpenMetrics),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            Form::OpenMetrics,
        ),
        ("application/openmetrics-text;q=0.25, text/plain;q=0.5", Form::Prometheus),
        ("application/openmetrics-text;q=0", Form::Prometheus),
        ("application/openmetrics-text;q=x", Form::Prometheus),
    ] {
        assert_eq!(Form::wanted(accept), form, "{accept}");
    }
}

/// Name, type and unit of each metric, as `METRICS.md` lists them and as the page says.
#[test]
fn the_published_list_is_what_is_served() {
    let page = Metrics::new().page(&NOW, Form::Prometheus);
    let served: Vec<(&str, &str)> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let list = include_str!("../../../METRICS.md");
    let listed: Vec<(&str, &str)> = list
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `runtime_")?.split('|');
            let name = cells.next()?.trim().trim_end_matches('`');
            Some((name, cells.next()?.trim()))
        })
        .collect();
    let served: Vec<(&str, &str)> =
        served.into_iter().map(|(name, kind)| (name.strip_prefix("runtime_").unwrap(), kind)).collect();
    for metric in &served {
        assert!(listed.contains(metric), "{metric:?} is not in METRICS.md");
    }
    assert_eq!(served.len(), listed.len(), "METRICS.md has what is not served");
    for (label, words) in [("cause", &CAUSES[..]), ("state", &["queued", "starting", "running"])] {
        for word in words {
            assert!(list.contains(&format!("`{word}`")), "{label} {word} is not in METRICS.md");
        }
    }
}

async fn ask(request: &str, state: ServingWord) -> String {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let look = move || async move {
        Look { now: Now { state, ..NOW }, problems: vec!["the state directory is full".to_owned()] }
    };
    let server = tokio::spawn(serve(listener(socket.into()).unwrap(), counted(), look, stopped));
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    socket.read_to_end(&mut response).await.unwrap();
    stop.send_replace(true);
    server.await.unwrap();
    String::from_utf8(response).unwrap()
}

#[tokio::test]
async fn the_page_is_served_in_the_form_that_was_asked_for() {
    let plain = ask("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n", ServingWord::Serving).await;
    assert!(plain.starts_with("HTTP/1.1 200"), "{plain}");
    assert!(plain.contains("version=0.0.4") && plain.contains("runtime_jobs_taken_total 1\n"));
    let accept = "GET /metrics HTTP/1.1\r\nhost: x\r\naccept: application/openmetrics-text\r\n\r\n";
    let open = ask(accept, ServingWord::Serving).await;
    assert!(open.contains("openmetrics-text; version=1.0.0") && open.ends_with("# EOF\n"));
}

#[tokio::test]
async fn health_says_in_words_what_is_wrong() {
    let request = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    assert!(ask(request, ServingWord::Serving).await.starts_with("HTTP/1.1 200"));
    let degraded = ask(request, ServingWord::Degraded).await;
    assert!(degraded.starts_with("HTTP/1.1 503"), "{degraded}");
    assert!(degraded.ends_with("degraded\nthe state directory is full\n"), "{degraded}");
    assert!(ask(request, ServingWord::Draining).await.contains("503"));
}

#[tokio::test]
async fn what_is_not_asked_for_properly_is_refused() {
    for (request, status) in [
        ("GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "404"),
        ("POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".to_owned(), "405"),
        (format!("GET /metrics HTTP/1.1\r\nhost: x\r\nbig: {}\r\n\r\n", "x".repeat(16_000)), "431"),
        (format!("GET /metrics HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(100)), "431"),
    ] {
        let response = ask(&request, ServingWord::Serving).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{response}");
    }
}
