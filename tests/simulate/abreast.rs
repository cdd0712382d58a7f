//! What applications on a server do while their sites are at work: writes in the middle of a run, transactions that take long, and connections
//! that the server ends.

use crate::{
    deeds,
    fuse::When,
    hosted::{Happened, Hosted},
    world::World,
};

impl World {
    fn hosted(&self, at: usize) -> Option<&Hosted> {
        self.houses[at].app().hosted()
    }

    /// Some transaction begins, goes on or ends.
    pub(crate) fn go_on_long(&mut self) {
        let hosted: Vec<usize> = (0..self.houses.len()).filter(|at| self.hosted(*at).is_some()).collect();
        let at = *self.dice.pick(&hosted);
        let Some(app) = self.hosted(at).cloned() else { return };
        match app.is_open() && self.dice.percent(65) {
            true => {
                app.end_long(if self.dice.percent(80) { "COMMIT" } else { "ROLLBACK" });
                self.note(at);
            }
            false => {
                let sql = deeds::part(&self.houses[at], &mut self.dice, &mut self.oracle, self.seed);
                let done = app.write_long(&sql);
                self.tally.one("part of a long transaction");
                self.say(format!("s{at}, in a long transaction: {sql} {done:?}"));
            }
        }
    }

    /// Everybody comes to an end.
    pub(crate) fn end_all_long(&mut self) {
        for at in 0..self.houses.len() {
            if let Some(app) = self.hosted(at) {
                app.end_long("COMMIT");
                self.note(at);
            }
        }
    }

    /// Plans what happens in the middle of a run of these two.
    pub(crate) fn stir(&mut self, from: usize, to: usize) {
        for at in [from, to] {
            let Some(app) = self.hosted(at).cloned() else { continue };
            let fuse = self.houses[at].fuse.clone();
            if self.plan.abreast {
                let holder = app.clone();
                fuse.add(When::Busy, Box::new(move || holder.end_long("COMMIT")));
                for _ in 0..self.dice.below(4) {
                    let (step, app) = (When::Step(self.dice.below(70) as u32), app.clone());
                    if app.is_open() && self.dice.percent(40) {
                        fuse.add(step, Box::new(move || app.end_long("COMMIT")));
                    } else {
                        let sql = deeds::planned(&self.houses[at], &mut self.dice, &mut self.oracle, self.seed);
                        fuse.add(step, Box::new(move || app.meanwhile(&sql)));
                    }
                }
            }
            if self.plan.cuts && self.dice.percent(20) {
                let step = When::Step(self.dice.below(70) as u32);
                fuse.add(step, Box::new(move || app.kill_engine()));
            }
        }
    }

    /// Notes what happened in the middle of a run of these two; nothing of what was planned happens later.
    pub(crate) fn note_what_happened(&mut self, from: usize, to: usize) {
        for at in [from, to] {
            self.houses[at].fuse.forget_events();
            self.note(at);
        }
    }

    fn note(&mut self, at: usize) {
        let Some(app) = self.hosted(at) else { return };
        for Happened { what, kind, before, after } in app.happened() {
            let written = self.oracle.watch(self.houses[at].id(), &before, &after);
            self.tally.one(kind);
            self.say(format!("s{at}, meanwhile: {what} ({written} written)"));
        }
    }
}
