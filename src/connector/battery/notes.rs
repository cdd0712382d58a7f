//! What peers without versions hold, and which records are of which time.

use super::world::{OTHER, PEER, Put, Sent, World, gone, place, sent};
use crate::model::Time;

pub(super) fn what_is_noted_of_a_peer_is_found_by_uid_and_the_last_note_counts(w: &mut World) {
    let table = w.table("place");
    let note = |uid: &str, note: &str| (uid.to_owned(), note.to_owned());
    let other = "urn:uuid:0d1e2f30-0000-4000-8000-000000000001";
    w.within(|tx| tx.set_notes(&table, PEER, &[note("urn:a", "1"), note(other, "2"), note("urn:a", "3")]).unwrap());
    w.within(|tx| tx.set_notes(&table, OTHER, &[note("urn:a", "x")]).unwrap());
    let all = w.db().notes(&table, PEER, None).unwrap();
    assert_eq!((all.len(), all["urn:a"].as_str(), all[other].as_str()), (2, "3", "2"));
    let one = w.db().notes(&table, PEER, Some(&[other.to_owned(), "urn:z".to_owned()])).unwrap();
    assert_eq!(one.into_iter().collect::<Vec<_>>(), [note(other, "2")]);
}

pub(super) fn records_are_found_by_the_time_of_their_content(w: &mut World) {
    w.take(&place("urn:a", 1, "old"));
    w.take(&place("urn:b", 5, "new"));
    w.take(&gone("place", "urn:c", 6, None));
    let table = w.table("place");
    let mut all = w.db().since(&table, Time(i64::MIN)).unwrap();
    all.sort();
    assert_eq!(all, ["urn:a", "urn:b", "urn:c"]);
    let mut page = crate::model::Page::default();
    w.db().lookup(&table, &all, &mut page).unwrap();
    let limit = page.views().find(|view| view.uid() == "urn:b").unwrap().record.modified_on;
    let mut late = w.db().since(&table, limit).unwrap();
    late.sort();
    assert_eq!(late, ["urn:b", "urn:c"]);
}

pub(super) fn records_are_found_by_what_they_refer_to(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    w.take(&place("urn:b", 2, "b"));
    let person = |uid: &str, counter: u64, home: Sent<'_>| sent("person", uid, counter, &[("name", Sent::Text(uid)), ("home", home)]);
    w.take(&person("urn:1", 3, Sent::To("place", "urn:a")));
    w.take(&person("urn:2", 4, Sent::To("place", "urn:a")));
    w.take(&person("urn:3", 5, Sent::To("place", "urn:b")));
    w.take(&person("urn:4", 6, Sent::Null));
    w.take(&gone("person", "urn:2", 7, None));
    w.bench.put("person", 99, &[("name", Put::Text("own")), ("home", Put::Null)]);
    let (table, of) = (w.table("person"), |uids: &[&str]| uids.iter().map(|uid| (*uid).to_owned()).collect::<Vec<_>>());
    assert_eq!(w.db().belonging(&table, "home", &of(&["urn:a", "urn:x"])).unwrap(), ["urn:1"]);
    let mut both = w.db().belonging(&table, "home", &of(&["urn:a", "urn:b"])).unwrap();
    both.sort();
    assert_eq!(both, ["urn:1", "urn:3"]);
    assert!(w.db().belonging(&table, "nothing", &of(&["urn:a"])).unwrap().is_empty());
    // What an application just wrote is found, too.
    let key = w.bench.column("place", "name").split(' ').find_map(|pair| pair.strip_suffix("=b").map(str::to_owned)).unwrap();
    w.bench.put("person", 99, &[("home", Put::Row(key.parse().unwrap()))]);
    assert_eq!(w.db().belonging(&table, "home", &of(&["urn:b"])).unwrap().len(), 2);
}
