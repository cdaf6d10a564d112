//! Turns, in tables and with arbitrary histories.

use super::*;
use proptest::prelude::*;

const OPEN: Bounds = Bounds { running_max: 2, queued_max: 3, org_running_max: u32::MAX };

fn id(number: usize) -> JobId {
    JobId::try_from(format!("job-{number:04}")).unwrap()
}

fn turns(queue: &mut Queue) -> Vec<String> {
    std::iter::from_fn(|| queue.next()).map(|job| job.to_string()).collect()
}

#[test]
fn within_an_org_priority_goes_first_and_then_age() {
    let mut queue = Queue::new(Bounds { running_max: 0, queued_max: 10, ..OPEN });
    for (number, priority) in [(3, 0), (1, 0), (2, 5), (4, -1), (5, 5)] {
        queue.offer("a", priority, id(number)).unwrap();
    }
    queue.set_bounds(Bounds { running_max: 10, ..queue.bounds() });
    assert_eq!(turns(&mut queue), ["job-0002", "job-0005", "job-0001", "job-0003", "job-0004"]);
}

#[test]
fn what_is_over_the_bound_is_refused_and_a_free_place_is_none_in_the_queue() {
    let mut queue = Queue::new(OPEN);
    for number in 0..5 {
        queue.offer("a", 0, id(number)).unwrap();
        turns(&mut queue);
    }
    assert_eq!((queue.counts(), queue.offer("a", 9, id(9))), ((2, 3), Err(Full)));
    queue.ended("a");
    assert_eq!(turns(&mut queue), ["job-0002"]);
    assert_eq!(queue.offer("a", 0, id(9)), Ok(()));
    assert!(queue.leave("a", 0, &id(9)) && !queue.leave("a", 0, &id(9)));
    assert_eq!(queue.counts(), (2, 2));
}

#[test]
fn orgs_take_turns_whatever_one_of_them_has_waiting() {
    let mut queue = Queue::new(Bounds { running_max: 4, queued_max: 100, ..OPEN });
    for number in 0..20 {
        queue.join("busy", 100, id(number));
    }
    for number in 20..22 {
        queue.join("small", -100, id(number));
    }
    // Two of each, although the busy one came first and with the higher priority.
    assert_eq!(turns(&mut queue), ["job-0000", "job-0020", "job-0001", "job-0021"]);
    queue.join("late", 0, id(30));
    queue.ended("busy");
    assert_eq!(turns(&mut queue), ["job-0030"]);
}

#[test]
fn an_org_at_its_bound_leaves_the_place_to_others() {
    let mut queue = Queue::new(Bounds { running_max: 8, queued_max: 1, org_running_max: 1 });
    queue.offer("a", 0, id(0)).unwrap();
    assert_eq!(turns(&mut queue), ["job-0000"]);
    queue.offer("a", 0, id(1)).unwrap();
    assert_eq!(queue.offer("a", 0, id(2)), Err(Full));
    // The queue is full, and yet another org needs no place in it.
    queue.offer("b", 0, id(3)).unwrap();
    assert_eq!(turns(&mut queue), ["job-0003"]);
    queue.ended("a");
    assert_eq!(turns(&mut queue), ["job-0001"]);
}

#[test]
fn adopted_jobs_count_and_a_held_queue_gives_no_turn() {
    let mut queue = Queue::new(OPEN);
    for _ in 0..5 {
        queue.adopt("a");
    }
    queue.offer("b", 0, id(1)).unwrap();
    assert_eq!((turns(&mut queue).len(), queue.counts()), (0, (5, 1)));
    for _ in 0..4 {
        queue.ended("a");
    }
    queue.hold(true);
    assert_eq!(queue.next(), None);
    queue.hold(false);
    assert_eq!(turns(&mut queue), ["job-0001"]);
}

#[derive(Debug, Clone)]
enum Act {
    Offer(usize, i32),
    Adopt(usize),
    End(usize),
    Leave(usize),
    Hold(bool),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..4_usize, -2..3_i32).prop_map(|(org, priority)| Act::Offer(org, priority)),
        1 => (0..4_usize).prop_map(Act::Adopt),
        3 => (0..4_usize).prop_map(Act::End),
        1 => (0..50_usize).prop_map(Act::Leave),
        1 => any::<bool>().prop_map(Act::Hold),
    ]
}

proptest! {
    /// A model that only keeps lists says the same, and no bound is ever passed.
    #[test]
    fn nothing_is_lost_doubled_or_over_a_bound(
        acts in proptest::collection::vec(act(), 0..120),
        running_max in 1..6_u32,
        queued_max in 0..6_u32,
        org_running_max in 1..4_u32,
    ) {
        let bounds = Bounds { running_max, queued_max, org_running_max };
        let mut queue = Queue::new(bounds);
        let mut waiting: Vec<(String, i32, JobId)> = Vec::new();
        let mut running: BTreeMap<String, u32> = BTreeMap::new();
        let mut held = false;
        let mut next_id = 0;
        for act in acts {
            match act {
                Act::Offer(org, priority) => {
                    let (org, job) = (format!("org-{org}"), id(next_id));
                    next_id += 1;
                    if queue.offer(&org, priority, job.clone()).is_ok() {
                        waiting.push((org, priority, job));
                    } else {
                        prop_assert!(waiting.len() >= queued_max as usize);
                    }
                }
                Act::Adopt(org) => {
                    queue.adopt(&format!("org-{org}"));
                    *running.entry(format!("org-{org}")).or_default() += 1;
                }
                Act::End(org) => {
                    let org = format!("org-{org}");
                    queue.ended(&org);
                    if let Some(count) = running.get_mut(&org) {
                        *count = count.saturating_sub(1);
                    }
                }
                Act::Leave(pick) if !waiting.is_empty() => {
                    let (org, priority, job) = waiting.remove(pick % waiting.len());
                    prop_assert!(queue.leave(&org, priority, &job));
                }
                Act::Leave(_) => {}
                Act::Hold(hold) => {
                    held = hold;
                    queue.hold(hold);
                }
            }
            while let Some(job) = queue.next() {
                prop_assert!(!held);
                let at = waiting.iter().position(|(_, _, known)| *known == job).expect("it waited");
                let (org, priority, _) = waiting.remove(at);
                // Nobody of its org was before it, and no org that could go had fewer running.
                let before =
                    |other: &(String, i32, JobId)| other.0 == org && (Reverse(other.1), &other.2) < (Reverse(priority), &job);
                prop_assert!(!waiting.iter().any(before));
                let mine = running.get(&org).copied().unwrap_or_default();
                prop_assert!(waiting.iter().all(|(other, ..)| running.get(other).copied().unwrap_or_default() >= mine));
                *running.entry(org).or_default() += 1;
                prop_assert!(mine < org_running_max);
                prop_assert!(running.values().sum::<u32>() <= running_max);
            }
            prop_assert!(waiting.len() <= queued_max as usize);
            let counts = (running.values().sum::<u32>(), u32::try_from(waiting.len()).unwrap());
            prop_assert_eq!(queue.counts(), counts);
            // Whoever waits has a reason to.
            let room = |org: &String| running.get(org).copied().unwrap_or_default() < org_running_max;
            prop_assert!(held || counts.0 >= running_max || !waiting.iter().any(|(org, ..)| room(org)));
        }
    }
}
