//! Jobs per second with so many in flight, in blocks of a fixed length. The ways take turns block by block.

use crate::error::Error;
use crate::stage::{Stage, Way, run_line};
use crate::statistics::{Summary, median, summarize};
use std::thread;
use std::time::{Duration, Instant};

/// The references, and what they are compared with.
const WAYS: [Way; 3] = [Way::PosixSpawn, Way::Bubblewrap, Way::RunCall];

/// One way at one number in flight.
#[derive(Debug)]
pub struct Throughput {
    /// Which way.
    pub way: Way,
    /// Jobs at the same time.
    pub in_flight: u32,
    /// Jobs per second of each block.
    pub per_second: Vec<f64>,
    /// The middle of these.
    pub median_per_second: f64,
    /// Time of one job, over all blocks.
    pub latency: Summary,
}

/// What one block gave.
#[derive(Debug)]
struct Block {
    /// From the first start to the last end.
    elapsed: Duration,
    /// Of every job in it.
    latencies: Vec<Duration>,
}

/// So many blocks of each way at each number in flight.
pub fn measure(
    stage: &Stage,
    in_flight: &[u32],
    rounds: u32,
    length: Duration,
) -> Result<Vec<Throughput>, Error> {
    let ways = stage.available(&WAYS);
    let mut found = Vec::new();
    for &in_flight in in_flight {
        let mut blocks: Vec<Vec<Block>> = ways.iter().map(|_| Vec::new()).collect();
        for _round in 0..rounds {
            for (way, blocks) in ways.iter().zip(&mut blocks) {
                blocks.push(block(stage, *way, in_flight, length)?);
            }
        }
        found.extend(ways.iter().zip(blocks).filter_map(|(way, blocks)| sum_up(*way, in_flight, &blocks)));
    }
    Ok(found)
}

fn sum_up(way: Way, in_flight: u32, blocks: &[Block]) -> Option<Throughput> {
    let rate = |block: &Block| block.latencies.len() as f64 / block.elapsed.as_secs_f64();
    let per_second: Vec<f64> = blocks.iter().map(rate).collect();
    let latencies: Vec<Duration> = blocks.iter().flat_map(|block| block.latencies.iter().copied()).collect();
    let (median_per_second, latency) = (median(&per_second)?, summarize(&latencies)?);
    Some(Throughput { way, in_flight, per_second, median_per_second, latency })
}

/// Keeps so many in flight until the block's time is over, and waits for the last ones.
fn block(stage: &Stage, way: Way, in_flight: u32, length: Duration) -> Result<Block, Error> {
    let begin = Instant::now();
    let deadline = begin + length;
    let latencies = match stage.line(way, &stage.program.argv, None) {
        Some(line) => on_threads(in_flight, deadline, &|| run_line(way, &line))?,
        None => stage.tokio.block_on(on_tasks(stage, in_flight, deadline))?,
    };
    Ok(Block { elapsed: begin.elapsed(), latencies })
}

/// A thread for each that is in flight: starts one after the other until the deadline.
fn on_threads(
    in_flight: u32,
    deadline: Instant,
    once: &(dyn Fn() -> Result<Duration, Error> + Sync),
) -> Result<Vec<Duration>, Error> {
    let work = || {
        let mut latencies = Vec::new();
        while Instant::now() < deadline {
            latencies.push(once()?);
        }
        Ok(latencies)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..in_flight).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| {
            thread.join().map_err(|_panic| Error::Job("a thread of the benchmark panicked".to_owned()))?
        });
        Ok(joined.collect::<Result<Vec<_>, Error>>()?.concat())
    })
}

/// The same with tasks, all on one connection.
async fn on_tasks(stage: &Stage, in_flight: u32, deadline: Instant) -> Result<Vec<Duration>, Error> {
    let mut tasks = tokio::task::JoinSet::new();
    for _task in 0..in_flight {
        let (client, argv) = (stage.client.clone(), stage.program.argv.clone());
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while Instant::now() < deadline {
                latencies.push(client.run(&argv, None).await?.total);
            }
            Ok::<_, Error>(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(joined) = tasks.join_next().await {
        let task = joined.map_err(|_panic| Error::Job("a task of the benchmark panicked".to_owned()))?;
        latencies.extend(task?);
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn a_rate_counts_the_jobs_that_ended_in_the_time_that_all_took() {
        let block = |jobs, ms| Block {
            elapsed: Duration::from_millis(ms),
            latencies: vec![Duration::from_millis(ms / 2); jobs],
        };
        let blocks = [block(10, 1_000), block(10, 500), block(40, 1_000)];
        let found = sum_up(Way::RunCall, 8, &blocks).unwrap();
        assert_eq!(found.per_second, [10.0, 20.0, 40.0]);
        assert_eq!((found.median_per_second, found.latency.count), (20.0, 60));
        assert!(sum_up(Way::RunCall, 8, &[]).is_none());
    }

    #[test]
    fn every_thread_works_until_the_deadline_and_an_error_is_not_lost() {
        let calls = AtomicU32::new(0);
        let deadline = Instant::now() + Duration::from_millis(20);
        let once = || {
            calls.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1));
            Ok(Duration::from_millis(1))
        };
        let latencies = on_threads(3, deadline, &once).unwrap();
        assert!(latencies.len() >= 3 && latencies.len() == calls.load(Ordering::Relaxed) as usize);
        let failing = || Err(Error::Job("x".to_owned()));
        assert!(on_threads(2, Instant::now() + Duration::from_secs(5), &failing).is_err());
    }
}
