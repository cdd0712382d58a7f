//! What people do with the tools of a site: decide conflicts, put versions back, undo runs, look after what waits.

use entente::{
    error::{Error, Kind, Result},
    model::Kind as Type,
    sync::{
        Number,
        conflicts::{self, Choice},
        history,
        quarantine::{self, Mend},
    },
};

use crate::{fuse::Harm, house::APP, oracle::By, raw::Aside, world::World};

impl World {
    /// One of the things that people do, at a site where there is something to do.
    pub(crate) fn hand(&mut self) {
        type Act = fn(&mut World, usize);
        let acts: [(u64, &str, Act); 4] = [
            (12, "entente_conflict", World::decide),
            (3, "entente_history", World::put_back),
            (1, "entente_table", World::undo_run),
            (9, "entente_waiting", World::look_after),
        ];
        let mut possible = Vec::new();
        for at in 0..self.houses.len() {
            let some = acts.iter().filter(|(_, table, _)| !self.houses[at].numbers(table).is_empty());
            possible.extend(some.map(|(weight, _, act)| (*weight, (at, *act))));
        }
        let (at, act) = self.dice.weighted(&possible);
        act(self, at);
    }

    /// People look at what came of it all, while it still goes on.
    pub(crate) fn look_at_it_all(&mut self) {
        for link in self.plan.links.clone() {
            self.run(link.from, link.to, Vec::new());
        }
        for _ in 0..2 + self.dice.below(3) {
            self.hand();
            if self.dice.percent(30) {
                self.sync();
            }
        }
    }

    fn decide(&mut self, at: usize) {
        let found = conflicts::list(self.houses[at].site(), conflicts::Wanted { limit: Some(20), ..conflicts::Wanted::default() });
        let found = found.unwrap().conflicts;
        if found.is_empty() {
            return;
        }
        let conflict = self.dice.pick(&found).clone();
        let (number, entry) = (conflict.number, conflict.entry);
        if !entry.open && self.dice.percent(50) {
            self.by_hand(at, "decision taken back", format!("undo {number}"), By::Whole, |site| conflicts::undo(site, &number));
            return;
        }
        let field = *self.dice.pick(&["name", "label", "chief", "note"]);
        let choice = match self.dice.below(5) {
            0 | 1 => Choice::Ours,
            2 | 3 => Choice::Theirs,
            _ => Choice::Fields(vec![field.to_owned()]),
        };
        let by = if matches!(choice, Choice::Fields(_)) { By::Parts } else { By::Whole };
        let what = format!("resolve {number} of {} {}: {choice:?}", entry.resource, entry.uid);
        self.by_hand(at, "conflict decided", what, by, |site| conflicts::resolve(site, &number, &choice));
    }

    fn put_back(&mut self, at: usize) {
        let ids = self.houses[at].numbers("entente_history");
        if ids.is_empty() {
            return;
        }
        let number = Number { database: APP.into(), id: *self.dice.pick(&ids) };
        self.by_hand(at, "version put back", format!("restore {number}"), By::Whole, |site| history::restore(site, &number));
    }

    fn undo_run(&mut self, at: usize) {
        let runs: Vec<i64> = self.houses[at].runs.iter().rev().take(4).copied().collect();
        if runs.is_empty() {
            return;
        }
        let run = *self.dice.pick(&runs);
        self.by_hand(at, "run undone", format!("undo run {run}"), By::Whole, |site| history::rollback(site, run));
    }

    fn look_after(&mut self, at: usize) {
        let waiting = self.houses[at].read().waiting;
        if waiting.is_empty() {
            return;
        }
        let Aside { id, resource, uid, kind, .. } = self.dice.pick(&waiting).clone();
        let number = Number { database: APP.into(), id };
        let told = format!("{number}, {kind} {resource} {uid}");
        let (dismiss, mend) = (self.dice.percent(25), self.dice.percent(40));
        if dismiss {
            let what = format!("dismiss {told}");
            if self.by_hand(at, "waiting record dismissed", what, By::Whole, |site| quarantine::dismiss(site, &number)) {
                self.dismissed.insert((resource, uid));
            }
        } else if mend {
            let (note, name) = (self.oracle.note(), format!("m{}", self.dice.below(3)));
            let value = |field: &str, text: &str| Mend { field: field.into(), kind: Type::Text, text: text.into() };
            let mut mends = vec![value("note", &note)];
            mends.extend((resource == "org").then(|| value("name", &name)));
            let what = format!("mend {told}");
            self.by_hand(at, "waiting record mended", what, By::Whole, |site| quarantine::edit(site, &number, &mends));
        } else {
            let what = format!("retry {told}");
            self.by_hand(at, "waiting record tried again", what, By::Whole, |site| quarantine::retry(site, &number));
        }
    }

    /// Whether it was done.
    fn by_hand<T: std::fmt::Debug>(
        &mut self,
        at: usize,
        kind: &str,
        what: String,
        by: By,
        work: impl FnOnce(&entente::site::Site) -> Result<T>,
    ) -> bool {
        if self.plan.perils.crashes && self.dice.percent(15) {
            let harm = *self.dice.pick(&[Harm::Before(3), Harm::Before(9), Harm::After(14), Harm::Full(0)]);
            self.houses[at].fuse.set(harm);
        }
        let before = self.houses[at].rows();
        let done = work(self.houses[at].site());
        if self.houses[at].fuse.reset() {
            self.tally.one("process killed");
            self.houses[at].open();
        } else if let Some(error) = done.as_ref().err().filter(|error| error.kind() == Kind::Internal) {
            self.surprises.push(format!("I5: s{at}: {what} fails: {}", error.chain()));
        }
        let after = self.houses[at].rows();
        self.oracle.by_hand(self.houses[at].id(), &before, &after, by);
        self.oracle.learn(&self.houses[at]);
        let told = done.as_ref().map_or_else(Error::chain, |_| "done".into());
        self.say(format!("s{at}: {what}: {told}"));
        self.tally.one(if done.is_ok() { kind } else { "refused to a person" });
        done.is_ok()
    }
}
