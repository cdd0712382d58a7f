use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A time of 2026-03-02, a Monday.
fn day(text: &str) -> DateTime<Utc> {
    at(&format!("2026-03-02T{text}Z"))
}

fn schedule(timing: Timing) -> Schedule {
    Schedule { enabled: true, timing, zone: "UTC".into(), start: None, end: None, repeat: 0, retries: 3 }
}

fn every(seconds: u32) -> Schedule {
    schedule(Timing::Every(seconds))
}

fn cron(text: &str) -> Schedule {
    schedule(Timing::Cron(text.into()))
}

fn in_zone(text: &str, zone: &str) -> Schedule {
    Schedule { zone: zone.into(), ..cron(text) }
}

#[test]
fn the_next_regular_time_is_the_first_after_the_last_run_and_missed_ones_count_as_one() {
    let started = |start: &str| Schedule { start: Some(day(start)), ..every(60) };
    for (what, schedule, last, now, want) in [
        ("new, no start: at once", every(60), None, "10:00:00.5", "10:00:00.5"),
        ("new, start ahead", started("12:00:00"), None, "10:00:00", "12:00:00"),
        ("new, start now", started("10:00:00"), None, "10:00:00", "10:00:00"),
        ("new, start passed: nothing was missed", started("09:00:30"), None, "10:00:00", "10:00:30"),
        ("from the last run", every(60), Some("10:00:07"), "10:00:20", "10:01:07"),
        ("on the grid of the start, however late it ran", started("09:00:00"), Some("10:00:07"), "10:00:20", "10:01:00"),
        ("before the start", started("11:00:00"), Some("10:00:00"), "10:00:00", "11:00:00"),
        ("one missed", every(60), Some("10:00:00"), "10:01:30", "10:01:00"),
        ("five missed are one", every(60), Some("10:00:00"), "10:05:30", "10:05:00"),
        ("five missed on the grid of the start", started("09:00:00"), Some("10:00:07"), "10:05:30", "10:05:00"),
        ("due this very moment", every(60), Some("10:00:00"), "10:01:00", "10:01:00"),
        ("the clock was ahead", every(60), Some("23:00:00"), "10:00:00", "10:01:00"),
        ("cron, new", cron("*/5 * * * *"), None, "10:02:00", "10:05:00"),
        ("cron, new, this very moment", cron("*/5 * * * *"), None, "10:05:00", "10:05:00"),
        ("cron, new, a moment too late", cron("*/5 * * * *"), None, "10:05:00.000001", "10:10:00"),
        ("cron, ran a moment late", cron("*/5 * * * *"), Some("10:05:00.2"), "10:05:01", "10:10:00"),
        ("cron, ran on time", cron("*/5 * * * *"), Some("10:05:00"), "10:05:00.9", "10:10:00"),
        ("cron, missed ones are one", cron("*/5 * * * *"), Some("10:05:00.2"), "10:21:01.7", "10:20:00"),
        ("cron with seconds", cron("*/10 * * * * *"), Some("10:05:00.2"), "10:05:03", "10:05:10"),
        ("cron nickname", cron("@hourly"), None, "10:05:00", "11:00:00"),
        ("cron, not before its start", Schedule { start: Some(day("12:01:00")), ..cron("*/5 * * * *") }, None, "10:05:00", "12:05:00"),
    ] {
        assert_eq!(next_run(&schedule, last.map(day), day(now), 0), Some(day(want)), "{what}");
    }
}

#[test]
fn a_job_never_runs_again_once_it_is_off_used_up_or_over() {
    let until = |end: &str| Schedule { end: Some(day(end)), ..every(60) };
    let three = Schedule { repeat: 3, ..every(60) };
    for (what, schedule, last, runs, want) in [
        ("off", Schedule { enabled: false, ..every(60) }, "10:00:00", 0, None),
        ("one run left", three.clone(), "10:00:00", 2, Some("10:01:00")),
        ("used up", three, "10:00:00", 3, None),
        ("the end itself is allowed", until("10:01:00"), "10:00:00", 0, Some("10:01:00")),
        ("after the end", until("10:00:59"), "10:00:00", 0, None),
        ("missed, and over by now", until("10:00:20"), "09:00:00", 0, None),
        ("unreadable", cron("soon"), "10:00:00", 0, None),
        ("an interval of nothing", every(0), "10:00:00", 0, None),
        ("no such zone", in_zone("* * * * *", "Mars/Olympus"), "10:00:00", 0, None),
        ("a day that never comes", cron("0 0 30 2 *"), "10:00:00", 0, None),
    ] {
        assert_eq!(next_run(&schedule, Some(day(last)), day("10:00:30"), runs), want.map(day), "{what}");
    }
}

#[test]
fn a_cron_expression_follows_the_clock_of_its_zone_over_gaps_and_folds() {
    // Berlin leaps from 02:00 to 03:00 on 2026-03-29 (01:00Z) and goes back from 03:00 to 02:00 on 2026-10-25 (01:00Z).
    for (what, text, now, want) in [
        ("winter", "30 9 * * *", "2026-01-10T00:00:00Z", "2026-01-10T08:30:00Z"),
        ("summer", "30 9 * * *", "2026-07-10T00:00:00Z", "2026-07-10T07:30:00Z"),
        ("a fixed time inside the gap runs when the gap is over", "30 2 * * *", "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"),
        ("and is back at its time the day after", "30 2 * * *", "2026-03-29T01:00:01Z", "2026-03-30T00:30:00Z"),
        ("repeated times inside the gap are left out", "*/30 2 * * *", "2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z"),
        ("every half hour passes over the gap", "*/30 * * * *", "2026-03-29T00:30:01Z", "2026-03-29T01:00:00Z"),
        ("a fixed time inside the fold runs the first time", "30 2 * * *", "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"),
        ("and only once", "30 2 * * *", "2026-10-25T00:30:01Z", "2026-10-26T01:30:00Z"),
        ("even asked within the second hour", "30 2 * * *", "2026-10-25T01:10:00Z", "2026-10-26T01:30:00Z"),
        ("every half hour runs in both hours: first", "*/30 * * * *", "2026-10-25T00:30:00Z", "2026-10-25T00:30:00Z"),
        ("every half hour runs in both hours: second", "*/30 * * * *", "2026-10-25T00:30:01Z", "2026-10-25T01:00:00Z"),
    ] {
        assert_eq!(next_run(&in_zone(text, "Europe/Berlin"), None, at(now), 0), Some(at(want)), "{what}");
    }
}

#[test]
fn what_was_missed_over_a_change_of_the_clock_is_the_latest_of_the_times_that_were_due() {
    for text in ["30 2 * * *", "*/20 * * * *", "15,45 1-3 * * *", "0 3 * * *"] {
        for from in ["2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z"] {
            let schedule = in_zone(text, "Europe/Berlin");
            let due = preview(&schedule, at(from), 200);
            for minutes in (0..36 * 60).step_by(7) {
                let now = at(from) + TimeDelta::minutes(minutes);
                let want = due.iter().filter(|time| **time <= now).max().or(due.first()).copied();
                assert_eq!(next_run(&schedule, Some(at(from) - TimeDelta::seconds(1)), now, 1), want, "{text} at {now}");
            }
        }
    }
}

#[test]
fn a_preview_lists_the_times_to_come_up_to_the_end_and_the_limit() {
    let daily = Schedule { repeat: 3, start: Some(day("10:00:00")), ..every(86_400) };
    let days = ["2026-03-02T10:00:00Z", "2026-03-03T10:00:00Z", "2026-03-04T10:00:00Z"].map(at);
    assert_eq!(preview(&daily, day("08:00:00"), 10), days);
    assert_eq!(preview(&daily, day("08:00:00"), 2), days[..2]);
    assert_eq!(preview(&Schedule { end: Some(days[1]), ..daily }, day("08:00:00"), 10), days[..2]);
    let over_the_gap = preview(&in_zone("30 2 * * *", "Europe/Berlin"), at("2026-03-27T12:00:00Z"), 3);
    assert_eq!(over_the_gap, ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"].map(at));
}

#[test]
fn a_schedule_that_makes_no_sense_is_refused_with_a_sentence() {
    let backwards = Schedule { start: Some(day("12:00:00")), end: Some(day("12:00:00")), ..every(60) };
    for (schedule, want) in [
        (every(0), "an interval is at least one second"),
        (backwards, "a job ends after it starts"),
        (in_zone("* * * * *", "Berlin"), "\"Berlin\" is not a time zone like UTC or Europe/Berlin"),
        (Schedule { zone: String::new(), ..every(60) }, "\"\" is not a time zone"),
        (cron(""), "\"\" is not a cron expression of five or six fields"),
        (cron("* * * *"), "\"* * * *\" is not a cron expression of five or six fields"),
        (cron("61 * * * *"), "\"61 * * * *\" is not a cron expression of five or six fields"),
        (cron("0 0 12 1 1 * 2030"), "is not a cron expression of five or six fields"),
        (cron("0 0 30 2 *"), "no day ever fits the cron expression \"0 0 30 2 *\""),
    ] {
        let refusal = validate(&schedule).unwrap_err().to_string();
        assert!(refusal.contains(want), "{refusal}");
    }
    for schedule in [every(1), cron("0 0 29 2 *"), cron("@daily"), in_zone("0 */2 * * MON-FRI", "Asia/Kathmandu")] {
        assert_eq!(validate(&schedule), Ok(()));
    }
}

#[test]
fn pauses_double_from_five_seconds_to_a_quarter_of_an_hour_and_are_spread_over_all_of_it() {
    for (failures, chance, want) in [
        (0, 1.0, 0.0),
        (1, 1.0, 5.0),
        (2, 1.0, 10.0),
        (3, 1.0, 20.0),
        (8, 1.0, 640.0),
        (9, 1.0, 900.0),
        (u32::MAX, 1.0, 900.0),
        (3, 0.0, 0.0),
        (3, 0.25, 5.0),
        (3, 7.0, 20.0),
        (3, f64::NAN, 20.0),
    ] {
        assert_eq!(backoff(failures, chance), Duration::from_secs_f64(want), "{failures} failures, chance {chance}");
    }
}

#[test]
fn a_failed_run_is_tried_again_a_few_times_and_then_waits_for_its_regular_time() {
    let hourly = every(3600);
    let short = every(12);
    let once = Schedule { repeat: 1, ..every(3600) };
    for (what, schedule, failures, want) in [
        ("succeeded", &hourly, 0, Some("11:00:00")),
        ("first failure", &hourly, 1, Some("10:00:35")),
        ("third failure", &hourly, 3, Some("10:00:50")),
        ("retries used up", &hourly, 4, Some("11:00:00")),
        ("still failing at its regular time", &hourly, 40, Some("11:00:00")),
        ("the regular time comes first, not those that passed meanwhile", &short, 3, Some("10:00:36")),
        ("nor do they once the retries are used up", &short, 4, Some("10:00:36")),
        ("no retries wanted", &Schedule { retries: 0, ..every(3600) }, 1, Some("11:00:00")),
        ("the only run is tried again", &once, 1, Some("10:00:35")),
        ("but not for ever", &once, 4, None),
        ("not after the end", &Schedule { end: Some(day("10:00:34")), ..every(3600) }, 1, None),
        ("not when switched off", &Schedule { enabled: false, ..every(3600) }, 1, None),
    ] {
        let next = next_try(schedule, Some(day("10:00:00")), day("10:00:30"), 1, failures, 1.0);
        assert_eq!(next, want.map(day), "{what}");
    }
}
