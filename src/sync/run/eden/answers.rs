//! What an Eden answers, and what it holds after that.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::Leg;
use crate::{
    error::{Error, Kind},
    model::{
        Counts, Page, RecordView,
        eden::{EdenAnswer, Feed, Holding, Known, Refused},
    },
    peer::EdenSender,
    sync::eden::{held, holding},
};

/// What is said of a record over which an Eden breaks.
pub(super) const BREAKS: &str = "it breaks over this record";

/// What came of the documents of a page.
#[derive(Default)]
pub(super) struct Answers {
    pub(super) counts: Counts,
    pub(super) refused: HashMap<String, Refused>,
    pub(super) told: Vec<String>,
    /// Records that were new to it.
    created: HashSet<String>,
    /// How many documents were halved in search of what was passed over.
    searched: usize,
}

/// The most documents of a page that are halved to find what was passed over: an Eden may have its reasons to pass over all of them.
const SEARCHES: usize = 200;

impl Answers {
    pub(super) fn add(&mut self, answer: EdenAnswer, resource: &str, sender: &EdenSender) {
        self.counts += Counts { created: answer.created, updated: answer.updated, deleted: answer.deleted, ..Counts::default() };
        for mut refused in answer.refused {
            refused.uid = sender.plain(&refused.uid).to_owned();
            if refused.resource == resource {
                self.refused.insert(refused.uid.clone(), refused);
            } else {
                self.tell(format!("{} {} was refused: {}", refused.resource, refused.uid, refused.reason));
            }
        }
    }

    /// Of which records the Eden says that they are new to it: of all that it was never known to hold, or it cannot be told.
    pub(super) fn note_created(&mut self, answer: &EdenAnswer, page: &Page, notes: &HashMap<String, String>) {
        let new: Vec<String> = page.views().map(|view| view.uid().to_owned()).filter(|uid| held(notes, uid).is_none()).collect();
        if answer.refused.is_empty() && answer.created == new.len() as u64 {
            self.created.extend(new);
        }
    }

    pub(super) fn breaks(&mut self, page: &Page, error: &Error) {
        for view in page.views() {
            let (resource, uid) = (page.resource.clone(), view.uid().to_owned());
            self.refused.insert(uid.clone(), Refused { resource, uid, reason: format!("{BREAKS}: {error}") });
        }
    }

    /// Whether to look in the halves of a document for what was passed over.
    pub(super) fn search(&mut self, page: &Page) -> bool {
        let further = page.records.len() > 1 && self.searched < SEARCHES;
        self.searched += usize::from(further);
        further
    }

    /// It counted fewer than it was given, and named none. Where it was not searched for longer, all of a document count as passed over: what is given
    /// again and was taken changes nothing.
    pub(super) fn passed_over(&mut self, page: &Page) {
        for view in page.views() {
            let (resource, uid) = (page.resource.clone(), view.uid().to_owned());
            self.refused.insert(uid.clone(), Refused { resource, uid, reason: "it passed over this record and did not say why".into() });
        }
    }

    pub(super) fn tell(&mut self, told: String) {
        if !self.told.contains(&told) {
            self.told.push(told);
        }
    }

    /// Says which fields were emptied since the Eden had them: texts it can be told so of.
    pub(super) fn clear(&mut self, leg: &Leg<'_>, page: &Page, notes: &HashMap<String, String>, feed: &mut Feed) {
        let mut untold: BTreeSet<&str> = BTreeSet::new();
        for view in page.views().filter(|view| view.record.lives()) {
            let Some(before) = held(notes, view.uid()) else { continue };
            let here: HashSet<&str> =
                view.fields().filter(|(_, value)| value.kind != crate::model::Kind::Null).map(|(name, _)| name).collect();
            for field in before.fields.iter().filter(|field| !here.contains(field.as_str())) {
                match leg.table.form.kind(field) {
                    Some(crate::model::Kind::Text) => feed.cleared.entry(view.uid().to_owned()).or_default().push(field.clone()),
                    Some(_) => drop(untold.insert(leg.table.fields.iter().find(|own| *own == field).map_or("", |own| own))),
                    None => {
                        if let Some(own) = leg.table.references.iter().find(|own| own.field == *field) {
                            untold.insert(&own.field);
                        }
                    }
                }
            }
        }
        untold.remove("");
        if !untold.is_empty() {
            let fields: Vec<&str> = untold.into_iter().collect();
            self.tell(format!("{}: {} were emptied here; an Eden can be told so of texts alone", page.resource, fields.join(", ")));
        }
    }

    /// What the Eden holds of the records now.
    pub(super) fn notes(&self, page: &Page, notes: &HashMap<String, String>, now: crate::model::Time) -> Vec<(String, String)> {
        let note = |view: RecordView<'_>| match self.refused.get(view.uid()) {
            None => {
                let new = || self.created.contains(view.uid()).then_some(i64::MIN);
                let before = held(notes, view.uid()).map_or_else(new, |held| held.latest());
                Holding { before, ..holding(view, Known::Taken, now) }
            }
            Some(refused) => {
                let before = held(notes, view.uid()).unwrap_or_else(|| Holding::nothing(now));
                Holding { refused: Some((view.record.version.clone(), refused.reason.clone())), ..before }
            }
        };
        page.views().map(|view| (view.uid().to_owned(), note(view).write())).collect()
    }
}

/// Whether an Eden counted fewer records than it was given, those that it refused by name among them.
pub(super) fn is_short(answer: &EdenAnswer, feed: &Feed) -> bool {
    let own = feed.referenced.iter().filter(|page| page.resource == feed.masters.resource);
    let given = feed.masters.records.len() + own.map(|page| page.records.len()).sum::<usize>();
    let refused = answer.refused.iter().filter(|refused| refused.resource == feed.masters.resource).count();
    let named = answer.created + answer.updated + answer.deleted;
    answer.records.is_some_and(|records| records.max(named) + (refused as u64) < given as u64)
}

/// Whether an error may be the fault of one record: the Eden breaks, cannot read the document, or finds it too large.
pub(super) fn breaks(error: &Error) -> bool {
    let unread = error.kind() == Kind::Malformed && error.to_string().contains("Parse error");
    matches!(error.kind(), Kind::Internal | Kind::TooLarge) || unread
}
