//! What was measured, as one text for people and one JSON value for programs.

use crate::machine::Machine;
use crate::memory::Process;
use crate::stage::Way;
use crate::start::Starts;
use crate::statistics::{Summary, ratio};
use crate::streaming::Streaming;
use crate::throughput::Throughput;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

/// Everything that a run gave.
#[derive(Debug)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// The command line that was started in every way.
    pub program: String,
    /// The profile.
    pub profile: String,
    /// What could not be measured, and why.
    pub skipped: Vec<String>,
    /// One at a time.
    pub starts: Starts,
    /// Many at a time.
    pub throughput: Vec<Throughput>,
    /// Output.
    pub streaming: Vec<Streaming>,
    /// The daemon after all of it.
    pub memory: Vec<Process>,
}

/// A cell that has no number.
const NONE: &str = "-";

impl Report {
    /// For people: the circumstances, then one table with a block for each thing that was measured.
    pub fn text(&self) -> String {
        let mut text = self.machine.lines().join("\n");
        text += &format!("\nprogram: {}; profile: {}\n", self.program, self.profile);
        text +=
            "ratios are to the reference in the same run: x spawn to posix_spawn, x bwrap to bubblewrap\n\n";
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(["what", "way", "n", "rate", "p50", "p99", "x spawn", "x bwrap"]);
        table.add_rows(self.start_rows());
        table.add_rows(self.part_rows());
        table.add_rows(self.throughput_rows());
        table.add_rows(self.streaming_rows());
        table.add_rows(self.memory_rows());
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if index >= 2 {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        text += &lines.join("\n");
        text += "\n";
        for skip in &self.skipped {
            text += &format!("SKIP {skip}\n");
        }
        text
    }

    fn start_rows(&self) -> Vec<Vec<String>> {
        let p50 = |way: Way| self.start_of(way).map(|summary| summary.p50_us);
        let row = |(way, summary): &(Way, Summary)| {
            let mut row = vec!["one at a time".to_owned(), way.name().to_owned()];
            row.extend(cells(summary, NONE.to_owned()));
            row.push(times(ratio(summary.p50_us, p50(Way::PosixSpawn))));
            row.push(times(ratio(summary.p50_us, p50(Way::Bubblewrap))));
            row
        };
        self.starts.ways.iter().map(row).collect()
    }

    fn start_of(&self, way: Way) -> Option<Summary> {
        self.starts.ways.iter().find(|(found, _)| *found == way).map(|(_, summary)| *summary)
    }

    fn part_rows(&self) -> Vec<Vec<String>> {
        let row = |(part, summary): &(&'static str, Summary)| {
            let mut row = vec!["of the Run call".to_owned(), (*part).to_owned()];
            row.extend(cells(summary, NONE.to_owned()));
            row.extend([NONE.to_owned(), NONE.to_owned()]);
            row
        };
        self.starts.parts.iter().map(row).collect()
    }

    fn throughput_rows(&self) -> Vec<Vec<String>> {
        let row = |found: &Throughput| {
            let mut row = vec![format!("{} in flight", found.in_flight), found.way.name().to_owned()];
            row.extend(cells(&found.latency, format!("{:.0} jobs/s", found.median_per_second)));
            row.push(times(self.rate_ratio(found, Way::PosixSpawn)));
            row.push(times(self.rate_ratio(found, Way::Bubblewrap)));
            row
        };
        self.throughput.iter().map(row).collect()
    }

    /// Jobs per second of a way, by those of a reference with as many in flight.
    fn rate_ratio(&self, found: &Throughput, reference: Way) -> Option<f64> {
        let is_reference = |other: &&Throughput| other.way == reference && other.in_flight == found.in_flight;
        let reference = self.throughput.iter().find(is_reference);
        ratio(found.median_per_second, reference.map(|reference| reference.median_per_second))
    }

    fn streaming_rows(&self) -> Vec<Vec<String>> {
        let row = |found: &Streaming| {
            vec![
                "output".to_owned(),
                found.way.name().to_owned(),
                found.mib_per_second.len().to_string(),
                format!("{:.0} MiB/s", found.median),
                NONE.to_owned(),
                NONE.to_owned(),
                times(self.stream_ratio(found, Way::PosixSpawn)),
                times(self.stream_ratio(found, Way::Bubblewrap)),
            ]
        };
        self.streaming.iter().map(row).collect()
    }

    fn stream_ratio(&self, found: &Streaming, reference: Way) -> Option<f64> {
        let reference = self.streaming.iter().find(|other| other.way == reference);
        ratio(found.median, reference.map(|reference| reference.median))
    }

    fn memory_rows(&self) -> Vec<Vec<String>> {
        let mib = |kib: u64| format!("{:.1} MiB", kib as f64 / 1024.0);
        let row = |process: &Process| {
            let numbers = format!(
                "{}: peak {}, now {}",
                process.role,
                mib(process.peak_kib),
                mib(process.resident_kib)
            );
            let mut row = vec!["memory".to_owned(), numbers];
            row.extend(std::iter::repeat_n(NONE.to_owned(), 6));
            row
        };
        self.memory.iter().map(row).collect()
    }

    /// For programs: the same, with every number.
    pub fn json(&self) -> Value {
        let part =
            |(name, summary): &(&'static str, Summary)| json!({"part": name, "time": time_json(summary)});
        let start = |(way, summary): &(Way, Summary)| {
            json!({
                "way": way.name(),
                "time": time_json(summary),
                "p50_by_posix_spawn": ratio(summary.p50_us, self.start_of(Way::PosixSpawn).map(|own| own.p50_us)),
                "p50_by_bubblewrap": ratio(summary.p50_us, self.start_of(Way::Bubblewrap).map(|own| own.p50_us)),
            })
        };
        let throughput = |found: &Throughput| {
            json!({
                "way": found.way.name(),
                "in_flight": found.in_flight,
                "jobs_per_second": found.median_per_second,
                "jobs_per_second_of_each_block": found.per_second,
                "time": time_json(&found.latency),
                "rate_by_posix_spawn": self.rate_ratio(found, Way::PosixSpawn),
                "rate_by_bubblewrap": self.rate_ratio(found, Way::Bubblewrap),
            })
        };
        let streaming = |found: &Streaming| {
            json!({
                "way": found.way.name(),
                "mib_per_second": found.median,
                "mib_per_second_of_each_round": found.mib_per_second,
                "rate_by_posix_spawn": self.stream_ratio(found, Way::PosixSpawn),
                "rate_by_bubblewrap": self.stream_ratio(found, Way::Bubblewrap),
            })
        };
        let memory = |process: &Process| json!({"process": process.role, "peak_kib": process.peak_kib, "resident_kib": process.resident_kib});
        json!({
            "machine": self.machine.json(),
            "program": self.program,
            "profile": self.profile,
            "skipped": self.skipped,
            "one_at_a_time": self.starts.ways.iter().map(start).collect::<Vec<_>>(),
            "parts_of_the_run_call": self.starts.parts.iter().map(part).collect::<Vec<_>>(),
            "in_flight": self.throughput.iter().map(throughput).collect::<Vec<_>>(),
            "output": self.streaming.iter().map(streaming).collect::<Vec<_>>(),
            "memory_after": self.memory.iter().map(memory).collect::<Vec<_>>(),
        })
    }
}

/// Count, rate, p50, p99.
fn cells(summary: &Summary, rate: String) -> [String; 4] {
    [summary.count.to_string(), rate, ms(summary.p50_us), ms(summary.p99_us)]
}

fn ms(us: f64) -> String {
    format!("{:.2} ms", us / 1e3)
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or(
        NONE.to_owned(),
        |ratio| if ratio < 10.0 { format!("{ratio:.2}") } else { format!("{ratio:.0}") },
    )
}

fn time_json(summary: &Summary) -> Value {
    json!({
        "count": summary.count,
        "min_us": summary.min_us,
        "p50_us": summary.p50_us,
        "p99_us": summary.p99_us,
        "max_us": summary.max_us,
    })
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
