//! What peers without versions hold, and which records are of which time.

use super::world::{OTHER, PEER, World, gone, place};
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
