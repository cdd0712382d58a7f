//! How everything is, for those who look: each repository with its health and the reason in words.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::{
    connector::{Part, Trouble},
    error::{Error, Result},
    model::{Advance, Condition, Health, Job, Met, Mode, Outcome, Pending, Repository, RepositoryId, Resource, ResourceId, SiteId, Time},
    site::Site,
    store::{self, attached, clones, conditions, databases, jobs, met, progress, repositories, resources, verified, visits},
};

/// A clock that is off by more than this is told, milliseconds.
const SKEW: i64 = 30_000;

/// A run that should have begun so many seconds ago has nobody who begins it.
const OVERDUE: i64 = 120;

/// A run that said nothing for so many seconds is not going on.
pub const SILENT: i64 = 40;

/// More than so many records that wait to be sent are not counted to the end.
pub const MANY: u32 = 100_000;

/// A repository and how it is.
#[derive(Debug)]
pub struct State {
    /// The repository.
    pub repository: Repository,
    /// Green, yellow, red, or not known yet.
    pub health: Health,
    /// Why, in a few words.
    pub reason: String,
    /// How the last run went; `None` before the first.
    pub condition: Option<Condition>,
    /// When it last gave us something by itself.
    pub called: Option<Time>,
    /// When the next run is due; `None` where none is.
    pub next_run: Option<Time>,
    /// How far the run is that goes on now.
    pub running: Option<Advance>,
    /// What is shared.
    pub resources: Vec<Resource>,
    /// When everything that is shared was last found equal at both sites; `None` where some never was.
    pub verified: Option<Time>,
    /// What waits for a person.
    pub trouble: Trouble,
    /// What it said when it last met us.
    pub met: Met,
    /// Since when two machines come in its name.
    pub cloned: Option<Time>,
}

/// Databases that could not be looked into, and why.
type Unread = Vec<(String, Error)>;

/// Everything on one page.
#[derive(Debug)]
pub struct Overview {
    /// All repositories: those in trouble first, then by name.
    pub states: Vec<State>,
    /// Everything is stopped.
    pub paused: bool,
    /// What waits at all sites together.
    pub trouble: Trouble,
    /// Databases that could not be looked into, and why.
    pub unread: Vec<(String, Error)>,
}

/// How everything is.
pub fn overview(site: &Site) -> Result<Overview> {
    let (troubles, unread) = troubles(site)?;
    let now = site.now();
    let (paused, states) = site.store.read(|c| {
        let paused = store::site::paused(c)?;
        let known = Known {
            paused,
            conditions: conditions::all(c)?,
            called: visits::last(c)?,
            jobs: by_repository(jobs::list(c)?, |job| job.repository),
            resources: by_repository(resources::all(c)?, |resource| resource.repository),
            running: progress::all(c, now.plus_seconds(-SILENT))?,
            verified: verified::all(c)?,
            clones: clones::all(c)?,
            met: met::all(c)?,
        };
        let all = repositories::list(c, site.store.key())?;
        Ok((paused, all.into_iter().map(|repository| known.state(repository, &troubles, now)).collect::<Vec<_>>()))
    })?;
    let mut states = states;
    states.sort_by_key(|state| (rank(state.health), state.repository.name.to_lowercase()));
    Ok(Overview { states, paused, trouble: sum(site, &troubles), unread })
}

/// How one repository is.
pub fn state(site: &Site, repository: Repository) -> Result<State> {
    let (troubles, _) = troubles(site)?;
    let now = site.now();
    site.store.read(|c| {
        let id = repository.id;
        let one = |found: Option<_>| found.into_iter().map(|found| (id, found)).collect::<HashMap<_, _>>();
        let known = Known {
            paused: store::site::paused(c)?,
            conditions: one(conditions::of(c, id)?),
            called: visits::last(c)?,
            jobs: by_repository(jobs::list_of(c, id)?, |job| job.repository),
            resources: by_repository(resources::list(c, id)?, |resource| resource.repository),
            running: progress::all(c, now.plus_seconds(-SILENT))?,
            verified: verified::all(c)?,
            clones: clones::all(c)?,
            met: [(id, met::of(c, id)?)].into(),
        };
        Ok(known.state(repository, &troubles, now))
    })
}

/// How many records wait here for each of these repositories, of which at most [`MANY`] are looked at; those of databases that cannot be opened are not
/// counted. For a site that only calls it is what it had not taken when it last called, and what came since.
pub fn waiting_here<'s>(site: &Site, states: impl IntoIterator<Item = &'s State>) -> Result<Vec<Pending>> {
    let attached = site.store.read(attached::list)?;
    let states: Vec<&State> = states.into_iter().collect();
    let mut counts = vec![Pending::default(); states.len()];
    let databases: BTreeSet<&str> = attached.iter().map(|known| known.database.as_str()).collect();
    // Each database is opened once for all.
    for database in databases {
        let here: HashSet<&str> = attached.iter().filter(|known| known.database == database).map(|known| known.resource.as_str()).collect();
        let counted = site.door(database).and_then(|mut door| {
            let tables = door.tables()?;
            for (state, count) in states.iter().zip(&mut counts) {
                let Some(peer) = state.repository.uuid else { continue };
                for table in tables.iter().filter(|table| here.contains(table.resource.as_str())) {
                    let pushed = state.resources.iter().any(|one| one.name == table.resource && one.mode.pushes());
                    let taken = state.met.taken.get(&table.resource).copied();
                    if !pushed && taken.is_none() {
                        continue;
                    }
                    let given = if pushed { door.share(table, peer, Part::Active)?.push } else { 0 };
                    let found = door.pending(table, taken.unwrap_or(0).max(given), peer, MANY)?;
                    *count = Pending { records: count.records + found.records, more: count.more || found.more };
                }
            }
            Ok(())
        });
        if let Err(error) = counted {
            tracing::debug!("What waits in {database} was not counted: {}", error.chain());
        }
    }
    Ok(counts)
}

/// What waits for a person, with all sites together.
pub fn trouble(site: &Site) -> Result<Trouble> {
    let (all, _) = troubles(site)?;
    Ok(sum(site, &all))
}

fn sum(site: &Site, all: &[Trouble]) -> Trouble {
    all.iter().fold(none(site.id), |sum, one| Trouble {
        conflicts: sum.conflicts + one.conflicts,
        quarantined: sum.quarantined + one.quarantined,
        parked: sum.parked + one.parked,
        ..sum
    })
}

fn troubles(site: &Site) -> Result<(Vec<Trouble>, Unread)> {
    let (mut found, mut unread) = (HashMap::new(), Vec::new());
    for database in site.store.read(databases::list)? {
        match site.door(&database.name).and_then(|mut door| door.troubles()) {
            Ok(some) => some.into_iter().for_each(|one| {
                let sum = found.entry(one.site).or_insert_with(|| none(one.site));
                sum.conflicts += one.conflicts;
                sum.quarantined += one.quarantined;
                sum.parked += one.parked;
            }),
            Err(error) => unread.push((database.name, error)),
        }
    }
    Ok((found.into_values().collect(), unread))
}

fn none(site: SiteId) -> Trouble {
    Trouble { site, conflicts: 0, quarantined: 0, parked: 0 }
}

fn rank(health: Health) -> u8 {
    match health {
        Health::Red => 0,
        Health::Yellow => 1,
        Health::Unknown => 2,
        Health::Green => 3,
    }
}

fn by_repository<T>(all: Vec<T>, of: impl Fn(&T) -> RepositoryId) -> HashMap<RepositoryId, Vec<T>> {
    let mut found: HashMap<RepositoryId, Vec<T>> = HashMap::new();
    for one in all {
        found.entry(of(&one)).or_default().push(one);
    }
    found
}

/// What the control store knows of all repositories.
struct Known {
    paused: bool,
    conditions: HashMap<RepositoryId, Condition>,
    called: HashMap<RepositoryId, Time>,
    jobs: HashMap<RepositoryId, Vec<Job>>,
    resources: HashMap<RepositoryId, Vec<Resource>>,
    running: Vec<Advance>,
    verified: HashMap<ResourceId, Time>,
    clones: HashMap<SiteId, Time>,
    met: HashMap<RepositoryId, Met>,
}

impl Known {
    fn state(&self, repository: Repository, troubles: &[Trouble], now: Time) -> State {
        let id = repository.id;
        let resources = self.resources.get(&id).cloned().unwrap_or_default();
        let shared: Vec<&Resource> = resources.iter().filter(|resource| resource.mode != Mode::None).collect();
        let verified = shared.iter().map(|resource| self.verified.get(&resource.id).copied()).min().flatten();
        let due = |job: &&Job| job.enabled;
        let mut state = State {
            health: Health::Unknown,
            reason: String::new(),
            condition: self.conditions.get(&id).cloned(),
            called: self.called.get(&id).copied(),
            next_run: self.jobs.get(&id).into_iter().flatten().filter(due).filter_map(|job| job.next_run).min(),
            running: self.running.iter().find(|advance| advance.repository == id).cloned(),
            verified,
            trouble: repository
                .uuid
                .and_then(|uuid| troubles.iter().find(|one| one.site == uuid).copied())
                .unwrap_or(none(SiteId(uuid::Uuid::nil()))),
            met: self.met.get(&id).cloned().unwrap_or_default(),
            cloned: None,
            resources,
            repository,
        };
        state.cloned = state.repository.uuid.and_then(|uuid| self.clones.get(&uuid).copied());
        (state.health, state.reason) = judge(&state, self.paused, now);
        state
    }
}

/// The health of a repository and the reason in words: the worst that is known.
fn judge(state: &State, paused: bool, now: Time) -> (Health, String) {
    let told = |health, reason: &str| (health, reason.to_owned());
    if !state.repository.enabled {
        return told(Health::Unknown, "Disabled");
    }
    if state.cloned.is_some() {
        return told(Health::Red, "Two machines present themselves as it");
    }
    if paused {
        return told(Health::Yellow, "Everything is paused");
    }
    let last = state.condition.as_ref();
    match last.map_or(0, |last| last.failures) {
        0 => {}
        1 => return told(Health::Yellow, "The last run failed"),
        some @ 2 => return (Health::Yellow, format!("{some} runs in a row failed")),
        some => return (Health::Red, format!("{some} runs in a row failed")),
    }
    if let Some(skew) = last.and_then(|last| last.skew).filter(|skew| skew.abs() > SKEW) {
        let way = if skew > 0 { "ahead" } else { "behind" };
        return (Health::Yellow, format!("Clock {} s {way}", skew.abs() / 1_000));
    }
    let counted = |count: u64, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        some => format!("{some} {many}"),
    };
    if state.trouble.conflicts > 0 {
        return (Health::Yellow, format!("{} to decide", counted(state.trouble.conflicts, "conflict", "conflicts")));
    }
    if state.trouble.quarantined > 0 {
        return (Health::Yellow, format!("{} in quarantine", counted(state.trouble.quarantined, "record", "records")));
    }
    if state.running.is_none() && state.next_run.is_some_and(|due| now.0 - due.0 > OVERDUE * 1_000_000) {
        return told(Health::Yellow, "A run is overdue: no worker runs");
    }
    match last {
        Some(last) if last.outcome == Outcome::Warning => told(Health::Yellow, "The last run had warnings"),
        Some(_) => told(Health::Green, "Healthy"),
        None if state.repository.url.is_none() && state.called.is_some() => told(Health::Green, "It calls us"),
        None if state.repository.url.is_none() => told(Health::Unknown, "It has not called yet"),
        None if state.resources.is_empty() => told(Health::Unknown, "Nothing is shared yet"),
        None => told(Health::Unknown, "No run yet"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            repository: Repository { url: Some("http://hub".into()), ..Repository::new("hub") },
            health: Health::Unknown,
            reason: String::new(),
            condition: Some(Condition {
                run: 1,
                time: Time(0),
                outcome: Outcome::Success,
                message: String::new(),
                failures: 0,
                last_success: Some(Time(0)),
                skew: Some(-2_000),
                version: None,
            }),
            called: None,
            next_run: None,
            running: None,
            resources: Vec::new(),
            verified: None,
            trouble: none(SiteId(uuid::Uuid::nil())),
            met: Met::default(),
            cloned: None,
        }
    }

    fn with(change: impl FnOnce(&mut State)) -> (Health, String) {
        let mut state = state();
        change(&mut state);
        judge(&state, false, Time(0).plus_seconds(1_000))
    }

    #[test]
    fn health_is_the_worst_that_is_known_and_says_why() {
        let last = |state: &mut State, change: fn(&mut Condition)| change(state.condition.as_mut().unwrap());
        for (found, health, reason) in [
            (with(|_| {}), Health::Green, "Healthy"),
            (with(|s| last(s, |c| c.failures = 1)), Health::Yellow, "The last run failed"),
            (with(|s| last(s, |c| c.failures = 3)), Health::Red, "3 runs in a row failed"),
            (with(|s| last(s, |c| c.skew = Some(41_000))), Health::Yellow, "Clock 41 s ahead"),
            (with(|s| last(s, |c| c.outcome = Outcome::Warning)), Health::Yellow, "The last run had warnings"),
            (with(|s| s.trouble.conflicts = 2), Health::Yellow, "2 conflicts to decide"),
            (with(|s| s.trouble.quarantined = 1), Health::Yellow, "1 record in quarantine"),
            (with(|s| s.next_run = Some(Time(0))), Health::Yellow, "A run is overdue: no worker runs"),
            (with(|s| s.next_run = Some(Time(0).plus_seconds(990))), Health::Green, "Healthy"),
            (with(|s| s.repository.enabled = false), Health::Unknown, "Disabled"),
            (with(|s| s.condition = None), Health::Unknown, "Nothing is shared yet"),
        ] {
            assert_eq!(found, (health, reason.to_owned()));
        }
        assert_eq!(judge(&state(), true, Time(0)).1, "Everything is paused");
        assert_eq!(with(|state| state.cloned = Some(Time(0))).0, Health::Red);
        let calls = |called| with(|s| (s.condition, s.repository.url, s.called) = (None, None, called));
        assert_eq!((calls(Some(Time(1))).0, calls(None).0), (Health::Green, Health::Unknown));
    }
}
