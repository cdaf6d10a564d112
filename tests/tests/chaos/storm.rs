//! Many jobs of all kinds, readers that come and go, and a server that dies at random moments.

use crate::{kill_server, kinds::Kind, on, setting};
use runtime_tests::{Daemon, Stage, Traces, client, eventually, reader, stories};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

stories!(nothing_is_lost_in_a_storm);

const NO_ARGS: [&str; 0] = [];
/// Clients at the same time.
const CLIENTS: usize = 12;

/// What one client saw of its job.
struct Seen {
    kind: Kind,
    id: String,
    cuts: u32,
}

fn nothing_is_lost_in_a_storm(stage: &Stage) {
    let seed = setting("RUNTIME_CHAOS_SEED", u64::from(std::process::id()));
    let (jobs, kills) = (setting("RUNTIME_CHAOS_JOBS", 48), setting("RUNTIME_CHAOS_KILLS", 12));
    // Shown when the test fails.
    println!("RUNTIME_CHAOS_SEED={seed}: {jobs} jobs, {kills} kills");
    let mut traces = Traces::before();
    let mut daemon = Daemon::start(stage, &NO_ARGS, "");
    on(storm(stage, &daemon, &mut traces, seed, jobs, kills));
    // Launcher, zygote and server at least: what was never noted could not be missed.
    traces.note(daemon.pid());
    assert!(traces.counts().0 >= 3 && traces.counts().1 >= 1, "{:?}", traces.counts());
    daemon.signal(15);
    daemon.wait();
    drop(daemon);
    traces.without_namespaces();
    eventually("nothing is left on the host", || {
        let remaining = traces.remaining();
        println!("left: {remaining:?}");
        remaining.is_empty()
    });
}

async fn storm(stage: &Stage, daemon: &Daemon<'_>, traces: &mut Traces, seed: u64, jobs: u64, kills: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let client = client::client(daemon);
    let kinds = Kind::all(stage.who());
    let places = Arc::new(Semaphore::new(CLIENTS));
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..jobs {
        let kind = kinds[usize::try_from(number).unwrap() % kinds.len()];
        let (client, places, random) = (client.clone(), Arc::clone(&places), random.fork());
        clients.spawn(async move {
            let _place = places.acquire().await.unwrap();
            follow(client, kind, format!("storm-{number}"), random).await
        });
    }
    let mut killed = 0;
    let mut seen = BTreeMap::new();
    while seen.len() < usize::try_from(jobs).unwrap() {
        let pause = Duration::from_millis(random.u64(20..800));
        tokio::select! {
            one = clients.join_next() => {
                let one: Seen = one.expect("a client for each job").expect("a client does not fail");
                assert!(seen.insert(one.id.clone(), one).is_none(), "two keys got the same job");
            }
            () = tokio::time::sleep(pause) => {
                if killed < kills && kill_server(daemon) {
                    killed += 1;
                }
                traces.note(daemon.pid());
            }
        }
    }
    // The jobs may be over before the kills are: the records are attacked alone then.
    while killed < kills {
        if kill_server(daemon) {
            killed += 1;
        }
        tokio::time::sleep(Duration::from_millis(random.u64(20..200))).await;
    }
    let listed = client::list(&client).await;
    assert_eq!(listed.len(), seen.len(), "a job too many or too few");
    for job in &listed {
        let one = seen.get(&job.job_id).expect("every job has its client");
        one.kind.check(job.outcome.as_ref().expect("every job is over"), &job.job_id);
    }
    let cuts: u32 = seen.values().map(|one| one.cuts).sum();
    let adopted = listed.iter().filter(|job| job.adoptions > 0).count();
    println!("{killed} kills, {cuts} streams cut, {adopted} of {} jobs adopted", listed.len());
    assert!(adopted > 0, "no server died while a job ran: the storm was none");
}

/// One client: submits, perhaps twice, reads with cuts, and compares.
async fn follow(
    client: runtime_proto::v1::job_service_client::JobServiceClient<tonic::transport::Channel>,
    kind: Kind,
    key: String,
    mut random: fastrand::Rng,
) -> Seen {
    let job = client::submit(&client, &kind.spec(), &key).await;
    if random.bool() {
        assert_eq!(client::submit(&client, &kind.spec(), &key).await.job_id, job.job_id, "one key, two jobs");
    }
    let read = reader::read(&client, &job.job_id, |_| random.u8(..) < 16).await;
    let (stdout, stderr) = kind.output();
    // Not with assert_eq!: the bytes may be megabytes.
    assert!(
        read.stdout == stdout,
        "{kind:?}: {} of {} bytes of stdout, or others",
        read.stdout.len(),
        stdout.len()
    );
    assert!(read.stderr == stderr, "{kind:?}: {:?}", String::from_utf8_lossy(&read.stderr));
    let job = client::wait(&client, &job.job_id).await;
    kind.check(job.outcome.as_ref().unwrap(), &job.job_id);
    Seen { kind, id: job.job_id, cuts: read.cuts }
}
