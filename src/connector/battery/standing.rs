//! How records stand, for comparing; tombstones that nobody needs any longer.

use super::world::{ME, NOW, OTHER, PEER, Put, World, gone, place};
use crate::{
    connector::{Named, Part, Place, Purged, Share},
    model::{ItemId, SiteId, Time},
};

const DAY: i64 = 86_400_000_000;

fn living(w: &mut World) -> Vec<(String, i64)> {
    let table = w.table("place");
    let mut living = Vec::new();
    w.db()
        .living(&table, &mut |record| {
            assert_ne!(ItemId::of(record.uid, record.version, record.digest).record(), [0; 8]);
            living.push((record.uid.to_owned(), record.arrival));
            Ok(())
        })
        .unwrap();
    living
}

pub(super) fn the_living_records_are_told_of_in_the_order_of_arrival(w: &mut World) {
    w.name("place", 1, "a");
    w.take(&place("urn:b", 1, "b"));
    w.take(&place("urn:gone", 1, "gone"));
    w.take(&gone("place", "urn:gone", 2, None));
    let told = living(w);
    let own = w.uid("place", "a");
    assert_eq!(told.iter().map(|(uid, _)| uid.as_str()).collect::<Vec<_>>(), [own.as_str(), "urn:b"]);
    assert!(told.is_sorted_by_key(|(_, arrival)| *arrival));
}

pub(super) fn records_are_told_by_uid_and_by_arrival_with_what_they_are_and_who_gave_them(w: &mut World) {
    w.name("place", 1, "a");
    w.take(&place("urn:b", 1, "b"));
    w.take(&gone("place", "urn:gone", 2, None));
    let (table, own) = (w.table("place"), w.uid("place", "a"));
    let uids = ["urn:b".to_owned(), "urn:nobody".into(), own.clone(), "urn:gone".into()];
    let mut by_uid = w.db().standings(&table, PEER, Named::Uids(&uids)).unwrap();
    by_uid.sort_by_key(|standing| standing.arrival);
    let told: Vec<_> = by_uid.iter().map(|standing| (standing.uid.as_str(), standing.place, standing.given)).collect();
    let want = [(own.as_str(), Place::Living, false), ("urn:b", Place::Living, true), ("urn:gone", Place::Deleted, true)];
    assert_eq!(told, want);
    let arrivals: Vec<i64> = by_uid.iter().map(|standing| standing.arrival).chain([9_999]).collect();
    let mut by_arrival = w.db().standings(&table, PEER, Named::Arrivals(&arrivals)).unwrap();
    by_arrival.sort_by_key(|standing| standing.arrival);
    assert_eq!(by_arrival, by_uid);
    let other = w.db().standings(&table, OTHER, Named::Uids(&uids)).unwrap();
    assert!(other.iter().all(|standing| !standing.given), "it gave none of them");
}

pub(super) fn tombstones_go_once_they_are_old_and_who_had_not_acknowledged_them_has_to_compare(w: &mut World) {
    let table = w.table("place");
    let stranger = SiteId(uuid::Uuid::from_u128(99));
    w.name("place", 1, "goes");
    w.take(&place("urn:stays", 1, "stays"));
    w.offered("place", 0, OTHER);
    w.bench.delete("place", 1);
    w.offered("place", 0, OTHER);
    let buried = w.head("place");
    w.take(&place("urn:later", 1, "later"));
    for (peer, push) in [(PEER, buried), (OTHER, buried - 1)] {
        w.db().set_share(&table, peer, Part::Active, &Share { told: 1, push, ..Share::default() }, 1).unwrap();
    }
    w.db().set_share(&table, stranger, Part::Active, &Share::default(), 0).unwrap();
    assert_eq!(w.db().purge(&table, NOW, Time(NOW.0 - 30 * DAY)).unwrap(), Purged::default(), "nobody knows how old it is");
    let later = Time(NOW.0 + 31 * DAY);
    let purged = w.db().purge(&table, later, Time(NOW.0 + DAY)).unwrap();
    assert_eq!(purged, Purged { tombstones: 1, behind: vec![OTHER] });
    assert_eq!(w.feed("place", 0, ME).len(), 2);
    let due = |w: &mut World, peer| w.db().share(&table, peer, Part::Active).unwrap().compare.due;
    assert_eq!((due(w, PEER), due(w, OTHER), due(w, stranger)), (false, true, false));
    assert_eq!(w.db().purge(&table, later, Time(NOW.0 + DAY)).unwrap(), Purged::default());
}

pub(super) fn the_last_arrival_and_aliases_are_never_purged(w: &mut World) {
    let table = w.table("place");
    w.take(&gone("place", "urn:alias", 1, Some("urn:heir")));
    w.name("place", 1, "goes");
    w.offered("place", 0, OTHER);
    w.bench.delete("place", 1);
    w.offered("place", 0, OTHER);
    let head = w.head("place");
    for day in [0, 40, 80] {
        let now = Time(NOW.0 + day * DAY);
        assert_eq!(w.db().purge(&table, now, Time(now.0 - 30 * DAY)).unwrap(), Purged::default());
    }
    assert_eq!(w.head("place"), head, "peers' cursors stand there");
    w.bench.put("place", 2, &[("name", Put::Text("next"))]);
    w.offered("place", 0, OTHER);
    assert!(w.head("place") > head);
    let now = Time(NOW.0 + 120 * DAY);
    assert_eq!(w.db().purge(&table, now, Time(now.0 - 30 * DAY)).unwrap().tombstones, 1);
    let alias = w.db().standings(&table, PEER, Named::Uids(&["urn:alias".to_owned()])).unwrap();
    assert_eq!(alias.len(), 1, "whoever refers to it has to be led on");
}
