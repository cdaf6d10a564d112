//! How long one start takes, one at a time. The ways take turns at every sample, so that noise of the host meets all alike.

use crate::client::Sample;
use crate::error::Error;
use crate::stage::{Stage, Way};
use crate::statistics::{Summary, summarize};
use std::time::Duration;

/// Starts of each way that warm caches and are not counted.
const WARM_UP: u32 = 3;

/// Every way, in the order of the table.
const WAYS: [Way; 5] = [Way::PosixSpawn, Way::Bubblewrap, Way::RunEmbedded, Way::RunAtDaemon, Way::RunCall];

/// What was measured.
#[derive(Debug)]
pub struct Starts {
    /// From before the start to after the end.
    pub ways: Vec<(Way, Summary)>,
    /// Parts of the Run call, by name.
    pub parts: Vec<(&'static str, Summary)>,
}

/// Takes so many samples of each way.
pub fn measure(stage: &Stage, samples: u32) -> Result<Starts, Error> {
    let ways = stage.available(&WAYS);
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); ways.len()];
    let mut calls: Vec<Sample> = Vec::new();
    for turn in 0..WARM_UP + samples {
        for (way, times) in ways.iter().zip(&mut times) {
            let (elapsed, call) = stage.once(*way)?;
            if turn >= WARM_UP {
                times.push(elapsed);
                calls.extend(call);
            }
        }
    }
    let summaries = ways.iter().zip(&times).filter_map(|(way, times)| Some((*way, summarize(times)?)));
    Ok(Starts { ways: summaries.collect(), parts: parts(&calls) })
}

/// A part of a call.
type Part = (&'static str, fn(&Sample) -> Duration);

/// Where the time of a call goes. The first three are seen by the client, the last two by the launcher.
fn parts(calls: &[Sample]) -> Vec<(&'static str, Summary)> {
    let parts: [Part; 5] = [
        ("request to accepted", |call| call.accepted),
        ("accepted to started", |call| call.started.saturating_sub(call.accepted)),
        ("started to the end of the stream", |call| call.total.saturating_sub(call.started)),
        ("launcher: plan made to exec", |call| call.spawn),
        ("launcher: exec to exit", |call| call.run),
    ];
    let series = |part: fn(&Sample) -> Duration| calls.iter().map(part).collect::<Vec<_>>();
    parts.iter().filter_map(|(name, part)| Some((*name, summarize(&series(*part))?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_that_the_client_sees_add_up() {
        let ms = Duration::from_millis;
        let call = Sample {
            accepted: ms(2),
            started: ms(5),
            total: ms(9),
            spawn: ms(3),
            run: ms(1),
            stdout_bytes: 0,
        };
        let parts = parts(&[call]);
        let p50: Vec<f64> = parts.iter().map(|(_, summary)| summary.p50_us / 1e3).collect();
        assert_eq!(p50, [2.0, 3.0, 4.0, 3.0, 1.0]);
        assert!(super::parts(&[]).is_empty());
    }
}
