//! A whole world in one process: sites, lines between them, what people do, what goes wrong, and then quiet.

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
    path::Path,
};

use entente::{
    error::Kind,
    model::Resource,
    store::resources,
    sync::run::{Ask, Control, RunReport, run_with},
};

use crate::{
    clock::Clock,
    deeds,
    dice::{Dice, uuids},
    fuse::Harm,
    house::{House, Restore},
    invariants,
    line::{Late, Line, Mishap},
    oracle::{Deletions, Oracle},
    place::{self, Ground},
    plan::{LATER, Link, Plan},
    planted::Planted,
    tally::Tally,
};

/// How a world ended.
pub(crate) struct Ended {
    pub(crate) seed: u64,
    /// What is broken, each as `I2: …`.
    pub(crate) broken: Vec<String>,
    pub(crate) tally: Tally,
    /// The same for the same seed.
    pub(crate) digest: u64,
    /// What happened, line by line, where that was asked for.
    pub(crate) trace: Vec<String>,
}

/// How a world is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watch {
    /// At its end.
    End,
    /// After each step, and everything is told.
    Steps,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) plan: Plan,
    pub(crate) houses: Vec<House>,
    pub(crate) oracle: Oracle,
    pub(crate) restored: bool,
    /// Waiting records that a person let go.
    pub(crate) dismissed: BTreeSet<(String, String)>,
    /// Nothing goes wrong any longer.
    pub(crate) calm: bool,
    /// Records of which some site forgot that they were deleted.
    pub(crate) purged: BTreeSet<(String, String)>,
    /// Those that may come back by a third site, which has them from one that was not told, before or after (SYNC.md 9).
    pub(crate) rumoured: BTreeSet<String>,
    /// What went wrong in a way that nothing explains.
    pub(crate) surprises: Vec<String>,
    pub(crate) dice: Dice,
    clock: Clock,
    late: Vec<Late>,
    planted: Option<Planted>,
    pub(crate) tally: Tally,
    watch: Watch,
    digest: std::hash::DefaultHasher,
    trace: Vec<String>,
    root: tempfile::TempDir,
}

/// Lives through the world of a seed.
pub(crate) fn live(seed: u64, ground: Ground, planted: Option<Planted>, watch: Watch) -> Ended {
    let mut dice = Dice::new(seed);
    let mut plan = Plan::draw(&mut dice, seed);
    plan.settle(ground, seed);
    planted.iter().for_each(|planted| planted.suit(&mut plan));
    World::begin(seed, plan, dice, planted, watch).through()
}

impl World {
    fn begin(seed: u64, plan: Plan, dice: Dice, planted: Option<Planted>, watch: Watch) -> World {
        let mut world = World {
            seed,
            plan,
            houses: Vec::new(),
            oracle: Oracle::default(),
            restored: false,
            dismissed: BTreeSet::new(),
            purged: BTreeSet::new(),
            rumoured: BTreeSet::new(),
            surprises: Vec::new(),
            calm: false,
            dice,
            clock: Clock::new(),
            late: Vec::new(),
            planted,
            tally: Tally::default(),
            watch,
            digest: std::hash::DefaultHasher::new(),
            trace: Vec::new(),
            root: crate::house::scratch(),
        };
        world.say(format!("{} of {} sites, {:?}, {:?}", world.plan.topology, world.plan.sites, world.plan.shape, world.plan.perils));
        if world.plan.kinds.contains(&place::Kind::Postgres) {
            world.say(format!("on {:?}, writers abreast: {}, cuts: {}", world.plan.kinds, world.plan.abreast, world.plan.cuts));
        }
        for at in 0..world.plan.sites {
            let house = world.house(at);
            world.houses.push(house);
        }
        for link in world.plan.links.clone() {
            world.say(link.told());
            world.connect(&link);
        }
        world
    }

    fn house(&mut self, at: usize) -> House {
        let page = *self.dice.pick(&[1, 2, 7, 50]);
        let clock = self.clock.another();
        if self.plan.perils.clocks {
            clock.set_skew(self.skew());
        }
        let root: &Path = self.root.path();
        House::new(
            root,
            &format!("s{at}"),
            self.plan.kinds[at],
            self.plan.shape,
            page,
            clock,
            uuids(self.seed << 8 | at as u64),
            self.planted,
        )
    }

    fn skew(&mut self) -> i64 {
        let most = *self.dice.pick(&[50, 5_000, 86_400_000]);
        self.dice.between(-most, most)
    }

    fn connect(&self, link: &Link) {
        for (from, to, shared) in [(link.from, link.to, &link.ours), (link.to, link.from, &link.theirs)] {
            let repository = self.houses[from].knows(&self.houses[to]);
            let store = &self.houses[from].site().store;
            let add = |c: &mut entente::store::Conn| {
                let new = |resource: &Resource| Resource { repository: repository.id, ..resource.clone() };
                shared.iter().try_for_each(|resource| resources::add(c, &new(resource)).map(|_| ()))
            };
            store.write(add).unwrap();
        }
    }

    /// Notes what happened, for the digest and for people.
    pub(crate) fn say(&mut self, what: impl Into<String>) {
        let what = what.into();
        what.hash(&mut self.digest);
        if self.watch == Watch::Steps {
            self.trace.push(what);
        }
    }

    fn through(mut self) -> Ended {
        let mut broken = Vec::new();
        for step in 0..self.plan.steps {
            let millis = self.dice.between(1, 3_000);
            self.pass(millis);
            self.step();
            if self.watch == Watch::Steps && broken.is_empty() {
                let journals: Vec<_> = self.houses.iter().map(House::read).collect();
                broken = invariants::always(&self, &journals);
                broken.iter().for_each(|what| self.trace.push(format!("!! after step {step}: {what}")));
            }
        }
        if self.plan.perils.hands {
            self.look_at_it_all();
        }
        let quiet = self.quiet();
        let journals: Vec<_> = self.houses.iter().map(House::read).collect();
        let mut found: BTreeSet<String> = quiet.into_iter().chain(invariants::at_last(&self, &journals)).collect();
        found.extend(broken);
        found.append(&mut self.surprises.drain(..).collect());
        for (house, journal) in self.houses.iter().zip(&journals) {
            let text = format!("{} {:?}", house.name, journal.tables);
            text.hash(&mut self.digest);
            if self.watch == Watch::Steps {
                self.trace.extend(invariants::shown(house, journal));
            }
        }
        self.tally.one("worlds");
        self.tally.one(if self.plan.plain { "worlds with NEWER alone" } else { "worlds with policies" });
        if self.plan.filters {
            self.tally.one("worlds with filters");
        }
        if self.plan.merges {
            self.tally.one("worlds merged by field");
        }
        self.tally.many("local writes", self.oracle.writes.len() as u64);
        self.tally.many("local writes lost with a backup put back", self.oracle.writes.iter().filter(|write| write.lost).count() as u64);
        let ids: Vec<(String, &String)> = self.houses.iter().map(|house| (house.id().0.to_string(), &house.name)).collect();
        let named = |text: String| ids.iter().fold(text, |text, (id, name)| text.replace(id, name));
        let broken = found.into_iter().map(|what| format!("seed {}: {}", self.seed, named(what))).collect();
        let trace = self.trace.into_iter().map(named).collect();
        Ended { seed: self.seed, broken, tally: self.tally, digest: self.digest.finish(), trace }
    }

    fn step(&mut self) {
        let perils = self.plan.perils;
        let on = |peril: bool, weight: u64| if peril { weight } else { 0 };
        let more = self.seed >= LATER;
        type Act = fn(&mut World);
        let acts: [(u64, Act); 13] = [
            (50, World::edit),
            (40, World::sync),
            (on(perils.lines, if more && !self.late.is_empty() { 30 } else { 5 }), World::arrive),
            (on(perils.restores, if more { 8 } else { 4 }), World::back_up),
            (on(perils.restores, if more { 8 } else { 4 }), World::restore),
            (on(perils.clones, 2), World::clone_one),
            (on(perils.clocks, 4), World::turn_clock),
            (on(perils.crashes, 3), World::restart),
            (on(perils.hands, 10), World::hand),
            (on(self.plan.filters, 6), World::refilter),
            (on(perils.columns, 8), World::alter),
            (on(perils.months, 14), World::month),
            (on(self.plan.abreast, 16), World::go_on_long),
        ];
        let act = self.dice.weighted(&acts);
        act(self);
    }

    /// Something is deleted at a site, which may run with another; then it forgets what was deleted until now.
    fn month(&mut self) {
        let link = self.dice.below(self.plan.links.len());
        let (at, other) = (self.plan.links[link].from, self.plan.links[link].to);
        for removes in [true, true, false] {
            let deed = if removes { deeds::removal } else { deeds::something };
            let (sql, written) = deed(&self.houses[at], &mut self.dice, &mut self.oracle, self.seed);
            self.say(format!("s{at}: {sql} ({written} written)"));
        }
        // After a backup was put back, edits are folded only once that was noticed, in a run.
        match self.plan.perils.restores || self.plan.perils.clones || self.dice.percent(40) {
            true => drop(self.run(at, other, Vec::new())),
            false => self.houses[at].fold(),
        }
        let before = self.houses[at].read();
        self.houses[at].forget_tombstones();
        let after = self.houses[at].read();
        let records = before.tables.iter().flat_map(|(table, records)| records.keys().map(move |uid| (*table, uid)));
        let purged: Vec<(String, String)> = records
            .filter(|(table, uid)| !after.tables[table].contains_key(*uid))
            .map(|(table, uid)| (table.to_owned(), uid.clone()))
            .collect();
        self.say(format!("s{at} forgets {purged:?}"));
        self.tally.many("tombstones purged", purged.len() as u64);
        let others: Vec<_> = self.houses.iter().map(House::read).collect();
        let lives = |table: &str, uid: &String| -> Vec<usize> {
            let has = |house: &usize| others[*house].tables[table].get(uid).is_some_and(|entry| entry.present);
            (0..others.len()).filter(has).collect()
        };
        let may_return = |(table, uid): &&(String, String)| {
            let holders = lives(table, uid);
            holders.len() > 1 || holders.first().is_some_and(|holder| self.plan.comes_round(at, *holder))
        };
        self.rumoured.extend(purged.iter().filter(may_return).map(|(_, uid)| uid.clone()));
        self.purged.extend(purged);
    }

    /// Lets time pass everywhere, in milliseconds.
    fn pass(&self, millis: i64) {
        self.clock.pass(millis);
        self.houses.iter().for_each(House::tell_time);
    }

    pub(crate) fn any(&mut self) -> usize {
        self.dice.below(self.houses.len())
    }

    fn edit(&mut self) {
        for _ in 0..1 + self.dice.below(3) {
            let at = self.any();
            let (sql, written) = deeds::something(&self.houses[at], &mut self.dice, &mut self.oracle, self.seed);
            self.say(format!("s{at}: {sql} ({written} written)"));
        }
    }

    pub(crate) fn sync(&mut self) {
        let at = self.dice.below(self.plan.links.len());
        let link = self.plan.links[at].clone();
        let (from, to) = if !link.theirs.is_empty() && self.dice.percent(40) { (link.to, link.from) } else { (link.from, link.to) };
        let mishaps = self.mishaps();
        let harmed = (self.plan.perils.crashes && self.dice.percent(25)).then(|| if self.dice.percent(70) { from } else { to });
        if let Some(at) = harmed {
            let steps = self.dice.below(60) as u32;
            let harm = *self.dice.pick(&[Harm::Before(steps), Harm::After(steps), Harm::Full(steps % 6)]);
            self.houses[at].fuse.set(harm);
            self.say(format!("s{at} will be harmed: {harm:?}"));
        }
        self.stir(from, to);
        self.run(from, to, mishaps);
        self.note_what_happened(from, to);
        if let Some(at) = harmed
            && self.houses[at].fuse.reset()
        {
            self.tally.one("process killed");
            self.houses[at].open();
        }
    }

    fn mishaps(&mut self) -> Vec<(usize, Mishap)> {
        if !self.plan.perils.lines || self.dice.percent(50) {
            return Vec::new();
        }
        let at = self.dice.below(9);
        let cut = Mishap::Cut(self.dice.below(1_000) as u32);
        vec![(at, *self.dice.pick(&[Mishap::Dropped, Mishap::Lost, Mishap::Twice, cut, Mishap::Late, Mishap::Dead]))]
    }

    /// One run. What it moved, and what failed.
    pub(crate) fn run(&mut self, from: usize, to: usize, mishaps: Vec<(usize, Mishap)>) -> (u64, Vec<String>) {
        let line = Line::new(&self.houses[from], &self.houses[to], mishaps);
        let repository = self.houses[from].knows(&self.houses[to]);
        let site = self.houses[from].site().clone();
        let mut control = Control { stop: &|| None, progress: &mut |_| {} };
        let done = run_with(&site, &repository, &line, &Ask::default(), &mut control);
        let told = line.end();
        self.tally.one("runs");
        told.happened.iter().for_each(|mishap| self.tally.one(mishap.word()));
        self.late.extend(told.late);
        self.say(format!("run s{from} -> s{to}: {}", told.calls.join(", ")));
        if let Ok(report) = &done {
            self.houses[from].runs.push(report.run);
        }
        let (moved, failed) = self.report(done);
        for at in [from, to] {
            self.oracle.learn(&self.houses[at]);
            let asserted = std::mem::take(&mut *self.houses[at].asserted.lock().unwrap());
            self.oracle.asserted.extend(asserted);
        }
        (moved, failed)
    }

    fn report(&mut self, done: entente::error::Result<RunReport>) -> (u64, Vec<String>) {
        let (mut moved, mut failed) = (0, Vec::new());
        match done {
            Err(error) => failed.push(error.chain()),
            Ok(report) => {
                for part in &report.resources {
                    moved += part.counts.records;
                    if part.counts.records > 0 {
                        self.say(format!("   {} {} {:?}", part.direction, part.resource, part.counts));
                        self.tally.many("records moved", part.counts.records);
                        self.tally.many("conflicts", part.counts.conflicts);
                        self.tally.many("records parked", part.counts.parked);
                        self.tally.many("records quarantined", part.counts.quarantined);
                    }
                    if let Some(error) = &part.error {
                        if error.kind() == Kind::Full {
                            self.tally.one("disk full");
                        }
                        if error.kind() == Kind::Epoch {
                            self.tally.one("restored journal noticed");
                        }
                        failed.push(format!("{} {}: {}", part.direction, part.resource, error.chain()));
                    }
                }
                report.warnings.iter().for_each(|warning| self.say(format!("   warning: {warning}")));
            }
        }
        failed.iter().for_each(|error| self.say(format!("   failed: {error}")));
        (moved, failed)
    }

    fn alter(&mut self) {
        let at = self.any();
        let sql = deeds::columns(&self.houses[at], &mut self.dice);
        self.tally.one("column added, dropped or renamed");
        self.say(format!("s{at}: {sql}"));
    }

    fn arrive(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let at = self.dice.below(self.late.len());
        let done = self.late.remove(at).arrive(&self.houses);
        let done = done.map(|done| done.map_err(|error| error.chain()));
        self.tally.one("late push arrived");
        self.say(format!("a late push arrives: {done:?}"));
    }

    fn back_up(&mut self) {
        let at = self.any();
        self.houses[at].back_up(self.oracle.writes.len());
        self.say(format!("s{at} is backed up"));
    }

    fn restore(&mut self) {
        let backed_up: Vec<usize> = (0..self.houses.len()).filter(|at| self.houses[*at].backup.is_some()).collect();
        let at = if self.seed < LATER || backed_up.is_empty() { self.any() } else { *self.dice.pick(&backed_up) };
        if self.houses[at].backup.is_none() {
            return;
        }
        let before: Vec<_> = self.houses.iter().map(House::read).collect();
        if let Some(first) = self.oracle.nowhere(&before, Deletions::AreGone).first() {
            let what = format!("!! before a backup is put back, {:?} is nowhere", self.oracle.writes[*first].note);
            self.say(what);
        }
        let what = *self.dice.pick(&[Restore::Database, Restore::Machine]);
        self.houses[at].restore(what);
        self.restored = true;
        for link in self.plan.links.iter().filter(|link| self.plan.filters && (link.from == at || link.to == at)) {
            self.enter_filters(link);
        }
        let after: Vec<_> = self.houses.iter().map(House::read).collect();
        let (site, since) = (self.houses[at].id(), self.houses[at].backed_up);
        let lost = self.oracle.forgive(site, since, &after);
        self.tally.one(if what == Restore::Database { "database restored" } else { "machine restored" });
        self.say(format!("s{at} is restored, {what:?}; {lost} writes are gone with it"));
    }

    fn clone_one(&mut self) {
        if self.houses.len() >= 7 {
            return;
        }
        let (at, new) = (self.any(), self.houses.len());
        // Rows that have no uid yet would get two.
        self.houses[at].fold();
        let clone = self.houses[at].cloned(self.root.path(), &format!("s{new}"), uuids(self.seed << 8 | new as u64), self.planted);
        self.houses.push(clone);
        let (plain, shape) = (self.plan.plain, self.plan.shape);
        let link = Link::draw(new, at, plain, shape, &mut self.dice);
        // What the store of the original said of its own repositories went with the copy; only the way to the original is new.
        self.connect(&link);
        self.say(format!("s{at} is cloned: s{new}; {}", link.told()));
        self.plan.links.push(link);
        self.tally.one("machine cloned");
    }

    fn turn_clock(&mut self) {
        let (at, skew) = (self.any(), self.skew());
        self.houses[at].clock.set_skew(skew);
        self.houses[at].tell_time();
        self.tally.one("clock turned");
        self.say(format!("the clock of s{at} is off by {skew} ms"));
    }

    fn restart(&mut self) {
        let at = self.any();
        self.houses[at].open();
        self.say(format!("s{at} starts again"));
    }

    /// Nothing goes wrong any longer; everybody syncs until nothing moves.
    fn quiet(&mut self) -> Vec<String> {
        self.late.clear();
        self.end_all_long();
        self.calm = true;
        for house in &self.houses {
            house.fuse.reset();
        }
        self.say("quiet");
        let most = 6 * self.houses.len() + 14;
        let mut heads = self.heads();
        let mut last = String::new();
        for round in 0..most {
            let (mut moved, mut failed) = (0, Vec::new());
            for link in self.plan.links.clone() {
                self.pass(1_000);
                let (more, errors) = self.run(link.from, link.to, Vec::new());
                moved += more;
                failed.extend(errors.into_iter().map(|error| format!("s{} -> s{}: {error}", link.from, link.to)));
            }
            let now = self.heads();
            if moved == 0 && now == heads {
                self.tally.many("rounds until quiet", round as u64);
                return failed.into_iter().map(|error| format!("I6: when all is quiet a run fails: {error}")).collect();
            }
            last = format!("{moved} records; {}", failed.join("; "));
            heads = now;
        }
        vec![format!("I6: after {most} rounds something still moves: {last}")]
    }

    /// The last arrival of each table at each site.
    fn heads(&self) -> Vec<i64> {
        self.houses.iter().flat_map(|house| house.app().heads()).collect()
    }
}
