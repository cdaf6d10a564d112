use super::*;
use runtime_proto::v1::InfoResponse;

fn summary(p50_us: f64) -> Summary {
    Summary { count: 9, min_us: 1.0, p50_us, p99_us: 2.0 * p50_us, max_us: 3.0 * p50_us }
}

fn throughput(way: Way, in_flight: u32, rate: f64) -> Throughput {
    Throughput { way, in_flight, per_second: vec![rate], median_per_second: rate, latency: summary(5e3) }
}

fn report(bubblewrap: bool) -> Report {
    let mut ways = vec![(Way::PosixSpawn, summary(500.0)), (Way::RunCall, summary(6_000.0))];
    if bubblewrap {
        ways.push((Way::Bubblewrap, summary(4_000.0)));
    }
    Report {
        machine: Machine::look(InfoResponse { rootful: true, ..InfoResponse::default() }).unwrap(),
        program: "/bin/true".to_owned(),
        profile: "default".to_owned(),
        skipped: vec!["bubblewrap: not installed".to_owned()],
        starts: Starts { ways, parts: vec![("request to accepted", summary(1e3))] },
        throughput: vec![
            throughput(Way::PosixSpawn, 1, 900.0),
            throughput(Way::PosixSpawn, 8, 1_000.0),
            throughput(Way::RunCall, 8, 250.0),
        ],
        streaming: vec![
            Streaming { way: Way::PosixSpawn, mib_per_second: vec![2e3], median: 2e3 },
            Streaming { way: Way::RunCall, mib_per_second: vec![1e2, 3e2], median: 2e2 },
        ],
        memory: vec![Process { role: "zygote".to_owned(), peak_kib: 2_048, resident_kib: 1_024 }],
    }
}

/// The cells of the row that has these words.
fn row(text: &str, words: &[&str]) -> Vec<String> {
    let line = text.lines().find(|line| words.iter().all(|word| line.contains(word))).unwrap();
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
}

#[test]
fn every_row_is_compared_with_the_reference_of_its_own_kind() {
    let text = report(true).text();
    let calls = ["one at a time", "Run call", "9", "-", "6.00 ms", "12.00 ms", "12", "1.50"];
    assert_eq!(row(&text, &["one at a time", "Run call"]), calls);
    let in_flight = row(&text, &["8 in flight", "Run call"]);
    assert_eq!(in_flight[1..], ["Run call", "9", "250 jobs/s", "5.00 ms", "10.00 ms", "0.25", "-"]);
    assert_eq!(
        row(&text, &["output", "Run call"])[1..],
        ["Run call", "2", "200 MiB/s", "-", "-", "0.10", "-"]
    );
    assert_eq!(row(&text, &["memory"])[1], "zygote: peak 2.0 MiB, now 1.0 MiB");
}

#[test]
fn a_reference_that_is_not_there_gives_no_ratio_and_a_skip() {
    let text = report(false).text();
    assert_eq!(row(&text, &["one at a time", "Run call"])[6..], ["12", "-"]);
    assert!(text.ends_with("SKIP bubblewrap: not installed\n"), "{text}");
}

#[test]
fn the_json_has_the_same_numbers() {
    let json = report(true).json();
    assert_eq!(json["one_at_a_time"][1]["way"], "Run call");
    assert_eq!(json["one_at_a_time"][1]["p50_by_posix_spawn"], 12.0);
    assert_eq!(json["one_at_a_time"][1]["time"]["p99_us"], 12_000.0);
    assert_eq!(json["in_flight"][2]["rate_by_posix_spawn"], 0.25);
    assert_eq!(json["in_flight"][2]["rate_by_bubblewrap"], serde_json::Value::Null);
    assert_eq!(json["memory_after"][0]["peak_kib"], 2_048);
}
