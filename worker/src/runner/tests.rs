//! The clock is tokio's, paused: it moves when everything waits for it, or, while a job sits on its thread, when a test says so.

use std::{
    future::pending,
    sync::{
        Barrier,
        atomic::{AtomicI64, Ordering},
    },
};

use chrono::TimeDelta;
use tokio::{
    sync::{mpsc::UnboundedReceiver, oneshot},
    time::{Instant, advance},
};

use super::{hand::FINISH_TRIES, *};
use crate::{queue::Renewal, stop::Reason};
use memory::{Event, Memory, Mishap, Obedient, Outcome, Task};

mod memory;

const SECOND: Duration = Duration::from_secs(1);

fn begin() -> DateTime<Utc> {
    "2026-03-02T10:00:00Z".parse().unwrap()
}

fn options(at_a_time: usize) -> Options {
    let zero = Instant::now();
    Options { at_a_time, clock: Arc::new(move || begin() + zero.elapsed()), ..Options::default() }
}

fn runner(queue: &Memory, at_a_time: usize) -> Runner<Memory, Obedient> {
    Runner::new(queue.clone(), queue.obedient(), options(at_a_time))
}

/// A runner at work, and how to shut it down.
fn start(queue: &Memory, at_a_time: usize) -> (JoinHandle<()>, oneshot::Sender<()>) {
    let (shutdown, asked) = oneshot::channel();
    let run = runner(queue, at_a_time).run(async {
        asked.await.ok();
    });
    (tokio::spawn(run), shutdown)
}

async fn shut_down((run, shutdown): (JoinHandle<()>, oneshot::Sender<()>)) {
    shutdown.send(()).unwrap();
    run.await.unwrap();
}

/// How the next job ends; the clock moves on while it sits on its thread.
async fn pass_until_finished(events: &mut UnboundedReceiver<Event>) -> (u32, Outcome) {
    loop {
        tokio::select! {
            biased;
            event = events.recv() => if let Event::Finished(id, outcome) = event.unwrap() { return (id, outcome) },
            () = advance(SECOND / 10) => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_runs_when_it_is_due_and_not_earlier() {
    let (queue, mut events) = Memory::new();
    queue.add(begin() + TimeDelta::seconds(40), Task::Nothing);
    let zero = Instant::now();
    let running = start(&queue, 1);
    assert_eq!(events.recv().await, Some(Event::Began(1)));
    assert_eq!(zero.elapsed().as_secs(), 40);
    assert_eq!(events.recv().await, Some(Event::Finished(1, Outcome::Done)));
    shut_down(running).await;
}

#[tokio::test(start_paused = true)]
async fn what_another_process_makes_due_is_noticed_within_a_poll_and_without_a_word_within_a_minute() {
    for (changed, within) in [(true, SECOND / 10), (false, SECOND * 60)] {
        let (queue, mut events) = Memory::new();
        let running = start(&queue, 1);
        tokio::time::sleep(SECOND * 5).await;
        queue.add(begin(), Task::Nothing);
        queue.state().changed = changed;
        let zero = Instant::now();
        assert_eq!(events.recv().await, Some(Event::Began(1)));
        assert!(zero.elapsed() <= within, "after {:?}", zero.elapsed());
        shut_down(running).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_panicking_job_is_finished_as_failed_and_the_next_one_runs() {
    let (queue, mut events) = Memory::new();
    queue.add(begin(), Task::Panic);
    queue.add(begin(), Task::Nothing);
    let running = start(&queue, 1);
    let failed = Outcome::Panicked("job 1 panics as told".into());
    for want in [Event::Began(1), Event::Finished(1, failed), Event::Began(2), Event::Finished(2, Outcome::Done)] {
        assert_eq!(events.recv().await, Some(want));
    }
    shut_down(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_fails_or_panics_is_asked_again_until_it_answers() {
    let (queue, mut events) = Memory::new();
    queue.state().lease.extend([Mishap::Fails, Mishap::Fails, Mishap::Panics, Mishap::Fails]);
    queue.state().finish.extend([Mishap::Fails, Mishap::Panics, Mishap::Fails]);
    queue.add(begin(), Task::Nothing);
    let running = start(&queue, 1);
    assert_eq!(events.recv().await, Some(Event::Began(1)));
    assert_eq!(events.recv().await, Some(Event::Finished(1, Outcome::Done)));
    shut_down(running).await;
    assert!(queue.state().lease.is_empty() && queue.state().finish.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_the_queue_never_takes_frees_the_place_and_leaves_the_lease_to_run_out() {
    let (queue, mut events) = Memory::new();
    queue.state().finish.extend([Mishap::Fails; FINISH_TRIES as usize]);
    queue.add(begin(), Task::Nothing);
    queue.add(begin(), Task::Nothing);
    let running = start(&queue, 1);
    for want in [Event::Began(1), Event::Began(2), Event::Finished(2, Outcome::Done)] {
        assert_eq!(events.recv().await, Some(want));
    }
    shut_down(running).await;
    assert_eq!(queue.held(), [1]);
}

#[tokio::test(start_paused = true)]
async fn leases_are_renewed_and_a_job_that_lost_its_lease_or_is_paused_stops() {
    for (answer, reason) in [(Renewal::Lost, Reason::LostLease), (Renewal::Paused, Reason::Paused)] {
        let (queue, mut events) = Memory::new();
        queue.add(begin(), Task::UntilStopped);
        queue.state().renew.extend([Ok(Renewal::Kept), Err(Mishap::Fails), Ok(answer)]);
        let running = start(&queue, 1);
        assert_eq!(pass_until_finished(&mut events).await, (1, Outcome::Stopped(reason)));
        assert!(queue.state().renew.is_empty());
        shut_down(running).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_takes_too_long_is_asked_to_stop() {
    let (queue, mut events) = Memory::new();
    queue.add(begin(), Task::UntilStopped);
    queue.state().timeout = SECOND * 60;
    let zero = Instant::now();
    let running = start(&queue, 1);
    assert_eq!(pass_until_finished(&mut events).await, (1, Outcome::Stopped(Reason::Timeout)));
    assert!(zero.elapsed() >= SECOND * 60);
    shut_down(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_takes_nothing_more_and_stops_what_runs_once_the_grace_is_over() {
    let (queue, mut events) = Memory::new();
    queue.add(begin(), Task::UntilStopped);
    queue.add(begin() + TimeDelta::seconds(3), Task::Nothing);
    let (run, shutdown) = start(&queue, 2);
    assert_eq!(events.recv().await, Some(Event::Began(1)));
    shutdown.send(()).unwrap();
    let zero = Instant::now();
    assert_eq!(pass_until_finished(&mut events).await, (1, Outcome::Stopped(Reason::Drain)));
    assert!(zero.elapsed() >= Options::default().grace);
    run.await.unwrap();
    assert_eq!((queue.held(), queue.waiting()), (vec![], vec![2]));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ends_within_the_grace_is_not_asked_to_stop() {
    let (queue, mut events) = Memory::new();
    let barrier = Arc::new(Barrier::new(2));
    queue.add(begin(), Task::Together(Arc::clone(&barrier)));
    let (run, shutdown) = start(&queue, 1);
    assert_eq!(events.recv().await, Some(Event::Began(1)));
    shutdown.send(()).unwrap();
    tokio::task::yield_now().await;
    barrier.wait();
    assert_eq!(events.recv().await, Some(Event::Finished(1, Outcome::Done)));
    run.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn as_many_jobs_as_allowed_run_at_the_same_time_and_no_more() {
    let (queue, mut events) = Memory::new();
    let two = Arc::new(Barrier::new(2));
    for _ in 0..6 {
        queue.add(begin(), Task::Together(Arc::clone(&two)));
    }
    assert_eq!(runner(&queue, 2).run_once(pending()).await.unwrap().len(), 6);
    let (mut now, mut most) = (0_i32, 0);
    while let Ok(event) = events.try_recv() {
        now += if matches!(event, Event::Began(_)) { 1 } else { -1 };
        most = most.max(now);
    }
    assert_eq!(most, 2);
}

#[tokio::test(start_paused = true)]
async fn a_single_pass_runs_what_is_due_once_even_if_it_is_due_again_at_once() {
    let (queue, _events) = Memory::new();
    queue.state().again = true;
    queue.add(begin(), Task::Nothing);
    queue.add(begin(), Task::Panic);
    queue.add(begin() + TimeDelta::hours(1), Task::Nothing);
    let seconds = AtomicI64::new(0);
    let clock: Clock = Arc::new(move || begin() + TimeDelta::seconds(seconds.fetch_add(1, Ordering::Relaxed)));
    let runner = Runner::new(queue.clone(), queue.obedient(), Options { clock, ..options(1) });
    let outcomes = runner.run_once(pending()).await.unwrap();
    assert_eq!(outcomes, [Outcome::Done, Outcome::Panicked("job 2 panics as told".into())].map(Arc::new));
}

#[tokio::test(start_paused = true)]
async fn a_single_pass_ends_with_the_error_of_its_queue_after_what_it_began() {
    let (queue, mut events) = Memory::new();
    queue.add(begin(), Task::Nothing);
    let single = runner(&queue, 1);
    assert!(matches!(single.tick(begin()).await, Ok(Tick::Ran(_))));
    queue.state().lease.push_back(Mishap::Fails);
    let trouble = single.run_once(pending()).await.unwrap_err();
    assert_eq!(trouble.to_string(), "the queue is broken");
    assert_eq!((events.try_recv(), events.try_recv()), (Ok(Event::Began(1)), Ok(Event::Finished(1, Outcome::Done))));
}

#[tokio::test(start_paused = true)]
async fn a_single_pass_can_be_shut_down() {
    for (at_a_time, events_before, left) in [(1, 1, vec![2]), (2, 3, vec![])] {
        let (queue, mut events) = Memory::new();
        queue.add(begin(), Task::UntilStopped);
        queue.add(begin(), Task::Nothing);
        let (shutdown, asked) = oneshot::channel::<()>();
        let single = tokio::spawn(runner(&queue, at_a_time).run_once(async {
            asked.await.ok();
        }));
        for _ in 0..events_before {
            events.recv().await.unwrap();
        }
        shutdown.send(()).unwrap();
        assert_eq!(pass_until_finished(&mut events).await, (1, Outcome::Stopped(Reason::Drain)));
        assert_eq!(*single.await.unwrap().unwrap()[0], Outcome::Stopped(Reason::Drain));
        assert_eq!(queue.waiting(), left);
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_says_when_to_come_back() {
    let (queue, _events) = Memory::new();
    let due = begin() + TimeDelta::seconds(40);
    queue.add(due, Task::Nothing);
    assert!(matches!(runner(&queue, 1).tick(begin()).await, Ok(Tick::Idle { until: Some(until) }) if until == due));
    assert!(matches!(runner(&Memory::new().0, 1).tick(begin()).await, Ok(Tick::Idle { until: None })));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_promises_what_it_does_not_give_is_asked_once_a_poll() {
    let (queue, _events) = Memory::new();
    queue.state().promised = Some(begin() - TimeDelta::hours(1));
    let running = start(&queue, 1);
    tokio::time::sleep(SECOND * 10).await;
    let asked = queue.state().asked;
    assert!((90..=101).contains(&asked), "{asked} times in 10 seconds");
    shut_down(running).await;
}
