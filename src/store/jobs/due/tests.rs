use super::*;
use crate::{
    model::{RepositoryId, Timing},
    store::{holder, jobs, leases::Taken, repositories, site, test_store::TestStore},
};

fn job(store: &TestStore, repository: RepositoryId, due: Option<i64>, priority: i32) -> JobId {
    let new = Job { next_run: due.map(Time), priority, ..Job::new(repository, Timing::Every(60)) };
    store.write(|c| jobs::add(c, &new)).unwrap().id
}

fn lease(store: &TestStore, now: i64) -> Option<Leased> {
    store.write(|c| lease_due(c, "w:1:1", Time(now), Time(now + 30))).unwrap()
}

fn lease_id(store: &TestStore, now: i64) -> Option<JobId> {
    lease(store, now).map(|leased| leased.job.id)
}

#[test]
fn the_most_urgent_due_job_comes_first_and_each_once() {
    TestStore::each(|new| {
        let store = new();
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| store.repository(name));
        let (late, early, urgent) = (job(&store, a, Some(20), 0), job(&store, b, Some(10), 0), job(&store, c, Some(30), 5));
        job(&store, d, Some(99), 9);
        assert_eq!(lease_id(&store, 5), None);
        assert_eq!([0; 4].map(|_| lease_id(&store, 30)), [Some(urgent), Some(early), Some(late), None]);
    });
}

#[test]
fn what_is_disabled_never_due_or_paused_is_not_leased() {
    TestStore::each(|new| {
        let store = new();
        let (a, b) = (store.repository("a"), store.repository("b"));
        job(&store, a, None, 0);
        let id = job(&store, b, Some(1), 0);
        let mut found = store.read(|c| jobs::get(c, id)).unwrap();
        found.enabled = false;
        store.write(|c| jobs::update(c, &found)).unwrap();
        assert_eq!(lease_id(&store, 9), None);
        found.enabled = true;
        store.write(|c| jobs::update(c, &found)).unwrap();

        let mut peer = store.read(|c| repositories::by_id(c, store.key(), b)).unwrap();
        peer.enabled = false;
        store.write(|c| repositories::update(c, store.key(), &peer)).unwrap();
        assert_eq!((lease_id(&store, 9), store.read(next_due).unwrap()), (None, None));
        peer.enabled = true;
        store.write(|c| repositories::update(c, store.key(), &peer)).unwrap();

        store
            .write(|c| {
                site::identity(c, crate::model::SiteId::random(), "s", Time(0))?;
                site::set_paused(c, true)
            })
            .unwrap();
        assert_eq!((lease_id(&store, 9), store.read(next_due).unwrap()), (None, None));
        store.write(|c| site::set_paused(c, false)).unwrap();
        assert_eq!(lease_id(&store, 9), Some(id));
    });
}

#[test]
fn a_repository_is_run_by_one_at_a_time() {
    TestStore::each(|new| {
        let store = new();
        let a = store.repository("a");
        let (first, second) = (job(&store, a, Some(1), 1), job(&store, a, Some(1), 0));
        let Taken::Yes(by_hand) = store.write(|c| leases::take(c, a, "hand:1:1", Time(5), Time(50))).unwrap() else {
            panic!("it was free")
        };
        assert_eq!((lease_id(&store, 9), store.read(next_due).unwrap()), (None, Some(Time(50))));
        store.write(|c| leases::release(c, a, by_hand)).unwrap();
        let leased = lease(&store, 9).unwrap();
        assert_eq!((leased.job.id, lease_id(&store, 9)), (first, None));
        assert!(store.write(|c| finish(c, first, leased.fence, Some(Time(99)), 0, Ran::Yes)).unwrap());
        assert_eq!(lease_id(&store, 9), Some(second));
    });
}

#[test]
fn an_expired_lease_passes_on_and_its_old_holder_changes_nothing() {
    TestStore::each(|new| {
        let store = new();
        let a = store.repository("a");
        let id = job(&store, a, Some(1), 0);
        let old = lease(&store, 10).unwrap();
        assert_eq!(store.read(next_due).unwrap(), Some(Time(40)));
        assert!(store.write(|c| renew(c, id, old.fence, Time(60))).unwrap());
        assert_eq!(lease_id(&store, 59), None);
        let new = lease(&store, 60).unwrap();
        assert!(new.fence > old.fence);
        assert!(!store.write(|c| renew(c, id, old.fence, Time(99))).unwrap());
        assert!(!store.write(|c| finish(c, id, old.fence, None, 3, Ran::Yes)).unwrap());
        assert!(store.write(|c| finish(c, id, new.fence, Some(Time(70)), 1, Ran::Yes)).unwrap());
        let after = store.read(|c| jobs::get(c, id)).unwrap();
        assert_eq!((after.next_run, after.failures, after.runs), (Some(Time(70)), 1, 1));
        assert!(!store.write(|c| finish(c, id, new.fence, None, 0, Ran::Yes)).unwrap(), "it is given back once");
    });
}

#[test]
fn what_did_not_run_is_not_counted_and_never_again_is_never() {
    TestStore::each(|new| {
        let store = new();
        let a = store.repository("a");
        let id = job(&store, a, Some(1), 0);
        let leased = lease(&store, 10).unwrap();
        store.write(|c| finish(c, id, leased.fence, None, 0, Ran::No)).unwrap();
        let after = store.read(|c| jobs::get(c, id)).unwrap();
        assert_eq!((after.next_run, after.runs), (None, 0));
        assert_eq!((lease_id(&store, 1_000_000), store.read(next_due).unwrap()), (None, None));
    });
}

#[test]
fn what_is_made_due_while_it_runs_runs_once_more() {
    TestStore::each(|new| {
        let store = new();
        let a = store.repository("a");
        let id = job(&store, a, Some(1), 0);
        let leased = lease(&store, 10).unwrap();
        store.write(|c| make_due(c, id, Time(15))).unwrap();
        store.write(|c| finish(c, id, leased.fence, Some(Time(1000)), 0, Ran::Yes)).unwrap();
        let again = lease(&store, 20).unwrap();
        assert_eq!((again.job.id, again.job.runs), (id, 1));
        store.write(|c| finish(c, id, again.fence, Some(Time(1000)), 0, Ran::Yes)).unwrap();
        assert_eq!((lease_id(&store, 30), store.read(next_due).unwrap()), (None, Some(Time(1000))));
    });
}

#[test]
fn a_job_that_is_disabled_or_gone_cannot_be_made_due() {
    TestStore::each(|new| {
        let store = new();
        let a = store.repository("a");
        let off = Job { enabled: false, ..Job::new(a, Timing::Every(60)) };
        let id = store.write(|c| jobs::add(c, &off)).unwrap().id;
        assert!(store.write(|c| make_due(c, id, Time(1))).unwrap_err().to_string().contains("disabled"));
        assert_eq!(store.write(|c| make_due(c, 99, Time(1))).unwrap_err().kind(), crate::error::Kind::NotFound);
    });
}

#[test]
fn what_a_dead_worker_held_is_free_and_what_a_living_one_holds_is_not() {
    TestStore::each(|new| {
        let store = new();
        let (a, b) = (store.repository("a"), store.repository("b"));
        let id = job(&store, a, Some(1), 1);
        job(&store, b, Some(1), 0);
        lease(&store, 10).unwrap();
        store.write(|c| lease_due(c, holder::me(), Time(10), Time(99))).unwrap().unwrap();
        store.write(|c| leases::take(c, a, "w:1:1", Time(10), Time(99))).unwrap();
        let mut held = store.read(holders).unwrap();
        held.sort();
        held.dedup();
        let mut want = vec![holder::me().to_owned(), "w:1:1".to_owned()];
        want.sort();
        assert_eq!(held, want);
        assert_eq!(store.write(|c| release_dead(c, &|holder| holder != "w:1:1")).unwrap(), 2);
        assert_eq!([lease_id(&store, 10), lease_id(&store, 10)], [Some(id), None]);
    });
}

#[test]
fn a_job_whose_row_somebody_else_holds_is_passed_over_and_not_waited_for() {
    let mut store = TestStore::on_a_server();
    let (a, b) = (store.repository("a"), store.repository("b"));
    let (first, second) = (job(&store, a, Some(1), 1), job(&store, b, Some(1), 0));
    let server = store.server.as_mut().unwrap();
    server.sql(&format!("BEGIN; SELECT FROM entente_control.job WHERE id = {first} FOR UPDATE"));
    assert_eq!(lease_id(&store, 9), Some(second));
    store.server.as_mut().unwrap().sql("ROLLBACK");
    assert_eq!(lease_id(&store, 9), Some(first));
}
