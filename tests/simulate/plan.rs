//! What a world is like: how many sites, how they are connected, what rules they have, and what may go wrong.

use std::collections::BTreeMap;

use entente::model::{Mode, Policy, Resource};

use crate::{
    dice::Dice,
    place::{Ground, Kind},
    shape::Shape,
};

/// Who runs with whom.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// How the resources are configured where the run begins.
    pub(crate) ours: Vec<Resource>,
    /// How the other site configured them for us; empty = not at all.
    pub(crate) theirs: Vec<Resource>,
}

/// What may happen in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Perils {
    /// On the lines.
    pub(crate) lines: bool,
    /// Processes are killed, disks are full.
    pub(crate) crashes: bool,
    /// Backups are put back.
    pub(crate) restores: bool,
    /// Machines are cloned.
    pub(crate) clones: bool,
    /// Clocks are wrong.
    pub(crate) clocks: bool,
    /// Columns come and go.
    pub(crate) columns: bool,
    /// People decide conflicts, put versions back, undo runs and look after what waits.
    pub(crate) hands: bool,
    /// Sites are silent for so long that others forget what was deleted.
    pub(crate) months: bool,
}

/// A world before it begins.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) shape: Shape,
    pub(crate) topology: &'static str,
    pub(crate) sites: usize,
    pub(crate) links: Vec<Link>,
    pub(crate) perils: Perils,
    pub(crate) steps: usize,
    /// NEWER everywhere, both ways, all methods.
    pub(crate) plain: bool,
    /// Some resources are merged field by field.
    pub(crate) merges: bool,
    /// Some resources are shared in part.
    pub(crate) filters: bool,
    /// What the databases of the sites are.
    pub(crate) kinds: Vec<Kind>,
    /// Applications write while their sites are at work, and have transactions that take long.
    pub(crate) abreast: bool,
    /// The server ends the engine's connections.
    pub(crate) cuts: bool,
}

/// Worlds of earlier seeds have edits, runs and faults alone.
pub(crate) const LATER: u64 = 400;

impl Plan {
    /// Whether what one site gives to others may reach the other site without the two meeting.
    pub(crate) fn comes_round(&self, to: usize, from: usize) -> bool {
        let direct = |link: &&Link| [link.from, link.to] != [to, from] && [link.from, link.to] != [from, to];
        let mut reached = vec![from];
        let mut at = 0;
        while let Some(here) = reached.get(at).copied() {
            at += 1;
            for link in self.links.iter().filter(direct) {
                for (one, other) in [(link.from, link.to), (link.to, link.from)] {
                    if one == here && !reached.contains(&other) {
                        reached.push(other);
                    }
                }
            }
        }
        reached.contains(&to)
    }

    pub(crate) fn draw(dice: &mut Dice, seed: u64) -> Plan {
        let shape = Shape::draw(dice, seed);
        let sites = dice.weighted(&[(45, 2), (33, 3), (12, 4), (5, 5), (3, 6), (2, 7)]);
        let topology = *dice.pick(if sites < 6 { &["star", "chain", "ring", "mesh"] } else { &["star", "chain", "ring"] });
        let plain = dice.percent(50);
        let pairs = pairs(topology, sites);
        let mut links: Vec<Link> = pairs.into_iter().map(|(from, to)| Link::draw(from, to, plain, shape, dice)).collect();
        let perils = Perils {
            lines: dice.percent(60),
            crashes: dice.percent(40),
            restores: dice.percent(25),
            clones: dice.percent(10),
            clocks: dice.percent(50),
            columns: dice.percent(15) && seed >= LATER,
            hands: false,
            months: false,
        };
        // From other dice, so that worlds stay what they were when there is more to draw.
        let mut more = Dice::new(!seed);
        let ahead = !perils.restores && !perils.clones && more.percent(80);
        let perils = Perils { hands: seed >= LATER && !shape.matching && more.percent(45), ..perils };
        let merges = seed >= LATER && !plain && more.percent(35);
        for resource in links.iter_mut().flat_map(|link| link.ours.iter_mut().chain(&mut link.theirs)) {
            if perils.hands && !plain && more.percent(25) {
                resource.conflict = Policy::Manual;
            }
            resource.merge_fields = merges && more.percent(60);
        }
        let filters = seed >= LATER && !shape.matching && more.percent(25);
        links.iter_mut().filter(|_| filters).for_each(|link| link.filter(shape, &mut more));
        let perils = Perils { months: seed >= LATER && more.percent(35), ..perils };
        let drawn = dice.below(14);
        let steps = if seed < LATER { 6 + drawn } else { 5 + drawn * 2 / 3 };
        Plan {
            shape: Shape { ahead, ..shape },
            topology,
            sites,
            links,
            perils,
            steps,
            plain,
            merges,
            filters,
            kinds: vec![Kind::Sqlite; sites],
            abreast: false,
            cuts: false,
        }
    }

    /// Puts the world on a ground.
    pub(crate) fn settle(&mut self, ground: Ground, seed: u64) {
        if ground == Ground::Sqlite {
            return;
        }
        let mut dice = Dice::new(seed.rotate_left(32));
        (self.abreast, self.cuts) = (dice.percent(65), dice.percent(35));
        let first = dice.below(2);
        let kind = |at: usize| match ground {
            Ground::Mixed if at < 2 && at == first => Kind::Sqlite,
            Ground::Mixed if at >= 2 && dice.percent(50) => Kind::Sqlite,
            _ => Kind::Postgres,
        };
        self.kinds = (0..self.sites).map(kind).collect();
    }
}

fn pairs(topology: &str, sites: usize) -> Vec<(usize, usize)> {
    match topology {
        "star" => (1..sites).map(|at| (at, 0)).collect(),
        "chain" => (1..sites).map(|at| (at - 1, at)).collect(),
        "ring" if sites > 2 => (0..sites).map(|at| (at, (at + 1) % sites)).collect(),
        "ring" => vec![(0, 1)],
        _ => (0..sites).flat_map(|from| (from + 1..sites).map(move |to| (from, to))).collect(),
    }
}

impl Link {
    pub(crate) fn draw(from: usize, to: usize, plain: bool, shape: Shape, dice: &mut Dice) -> Link {
        let mut side = |configured: bool| -> Vec<Resource> {
            if !configured {
                return Vec::new();
            }
            shape.tables.iter().map(|name| if plain { fresh(name, shape) } else { resource(name, shape, dice) }).collect()
        };
        let ours = side(true);
        let both = dice.percent(if plain { 30 } else { 50 });
        let mut side = |configured: bool| -> Vec<Resource> {
            if !configured {
                return Vec::new();
            }
            shape.tables.iter().map(|name| if plain { fresh(name, shape) } else { resource(name, shape, dice) }).collect()
        };
        Link { from, to, ours, theirs: side(both) }
    }

    /// Whether all that is new at one end of it comes to the other, for a resource: from where the run begins to the other end, or back.
    pub(crate) fn flows(&self, resource: &str, back: bool) -> bool {
        let find = |side: &[Resource]| side.iter().find(|known| known.name == resource).cloned();
        let Some(ours) = find(&self.ours) else { return false };
        let theirs = find(&self.theirs);
        let their_mode = theirs.as_ref().map_or(Mode::Both, |theirs| theirs.mode);
        let everything = |side: &Resource| side.strategy == entente::model::Strategy::default();
        if back {
            ours.mode.pulls() && their_mode.pushes() && everything(&ours)
        } else {
            ours.mode.pushes() && their_mode.pulls() && everything(theirs.as_ref().unwrap_or(&ours))
        }
    }

    pub(crate) fn told(&self) -> String {
        let side = |side: &[Resource]| -> String {
            let differs =
                |resource: &&Resource| **resource != Resource { accept_twins: resource.accept_twins, ..Resource::new(0, &resource.name) };
            let words = side.iter().filter(differs).map(|resource| {
                let Resource { name, mode, strategy, update, conflict, merge_fields, filters, .. } = resource;
                let merged = if *merge_fields { " by field" } else { "" };
                format!("{name}: {} {strategy} update {update} conflict {conflict}{merged} {}", mode.word(), filters.concat())
            });
            words.collect::<Vec<_>>().join("; ")
        };
        let (ours, theirs) = (side(&self.ours), side(&self.theirs));
        let configured = if self.theirs.is_empty() { "not configured there" } else { "configured there" };
        format!("link {} -> {} ({ours}) {configured} ({theirs})", self.from, self.to)
    }
}

fn fresh(name: &str, shape: Shape) -> Resource {
    Resource { accept_twins: !(shape.matching && name == "org"), ..Resource::new(0, name) }
}

fn resource(name: &str, shape: Shape, dice: &mut Dice) -> Resource {
    use Policy::{Manual, Master, Newer, Other, This};
    let update = dice.weighted(&[(5, Newer), (2, This), (2, Other), (2, Master)]);
    let conflict = dice.weighted(&[(5, Newer), (2, This), (2, Other), (2, Master), (1, Manual)]);
    let mode = dice.weighted(&[(92, Mode::Both), (3, Mode::Pull), (3, Mode::Push), (2, Mode::None)]);
    let strategy = if dice.percent(95) { "create,update,delete,merge" } else { *dice.pick(&["create", "create,update", "update,delete"]) };
    Resource { mode, strategy: strategy.parse().unwrap(), update, conflict, ..fresh(name, shape) }
}

/// Sites that everything reaches from each other, by resource: the number of the group of each site.
pub(crate) fn groups(shape: Shape, links: &[Link], sites: usize) -> BTreeMap<&'static str, Vec<usize>> {
    let group = |name: &'static str| {
        let mut of: Vec<usize> = (0..sites).collect();
        for _ in 0..sites {
            for link in links.iter().filter(|link| link.shares_all(name) && link.flows(name, false) && link.flows(name, true)) {
                let least = of[link.from].min(of[link.to]);
                (of[link.from], of[link.to]) = (least, least);
            }
        }
        (name, of)
    };
    shape.tables.iter().copied().map(group).collect()
}
