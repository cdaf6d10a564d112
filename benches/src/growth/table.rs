//! What was measured of the growth, as one text for people and one JSON value for programs.

use super::Grown;
use crate::statistics::{Summary, ratio};
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

/// For people: each size beside the first one.
pub fn text(grown: &[Grown]) -> String {
    let mut text = String::new();
    for store in grown {
        text += &format!(
            "{} finished jobs: {:.1} MiB of records, filled in {:.1} s; server's peak {:.1} MiB\n",
            store.finished,
            store.store_bytes as f64 / f64::from(1 << 20),
            store.fill.as_secs_f64(),
            store.server_peak_kib as f64 / 1024.0,
        );
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["what", "finished jobs", "n", "p50", "p99", "x p50", "x p99"]);
    let Some(first) = grown.first() else { return text };
    for (place, (what, reference)) in first.times.iter().enumerate() {
        for store in grown {
            let Some((_, summary)) = store.times.get(place) else { continue };
            table.add_row([
                (*what).to_owned(),
                store.finished.to_string(),
                summary.count.to_string(),
                ms(summary.p50_us),
                ms(summary.p99_us),
                times(ratio(summary.p50_us, Some(reference.p50_us))),
                times(ratio(summary.p99_us, Some(reference.p99_us))),
            ]);
        }
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    text + &format!("\nratios are to the first store of the same run\n\n{}\n", lines.join("\n"))
}

/// For programs.
pub fn json(grown: &[Grown]) -> Value {
    let time = |(what, summary): &(&'static str, Summary)| {
        json!({
            "what": what,
            "count": summary.count,
            "min_us": summary.min_us,
            "p50_us": summary.p50_us,
            "p99_us": summary.p99_us,
            "max_us": summary.max_us,
        })
    };
    let stores = grown.iter().map(|store| {
        json!({
            "finished_jobs": store.finished,
            "store_bytes": store.store_bytes,
            "fill_seconds": store.fill.as_secs_f64(),
            "server_peak_kib": store.server_peak_kib,
            "times": store.times.iter().map(time).collect::<Vec<_>>(),
        })
    });
    Value::Array(stores.collect())
}

fn ms(us: f64) -> String {
    format!("{:.2} ms", us / 1e3)
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::summarize;
    use std::time::Duration;

    #[test]
    fn each_size_stands_beside_the_first_one() {
        let store = |finished, ms| Grown {
            finished,
            store_bytes: 1 << 20,
            fill: Duration::from_secs(1),
            server_peak_kib: 2048,
            times: vec![("get", summarize(&[Duration::from_millis(ms)]).unwrap())],
        };
        let grown = [store(10, 2), store(1_000, 3)];
        let text = text(&grown);
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("get")).collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("1.00") && lines[1].ends_with("1.50"), "{text}");
        assert!(text.contains("2.0 MiB"), "{text}");
        assert_eq!(json(&grown)[1]["times"][0]["p50_us"], 3000.0);
    }
}
