//! Links that share only what matches a filter, and filters that change.

use std::collections::BTreeMap;

use entente::{model::Resource, store::resources};

use crate::{
    dice::Dice,
    invariants::common,
    plan::Link,
    raw::{Entry, Journal},
    shape::Shape,
    world::World,
};

/// What of some table is shared: the text of a filter; `None` = everything.
fn draw(table: &str, dice: &mut Dice) -> Option<String> {
    let field = match table {
        "org" => "name",
        "code" => "label",
        _ => return None,
    };
    let value = dice.below(3);
    dice.pick(&[None, Some(""), Some("__ne"), Some("__ne")]).map(|operator| format!("~.{field}{operator}={}{value}", &field[..1]))
}

impl Link {
    /// Draws filters for some of its resources.
    pub(crate) fn filter(&mut self, shape: Shape, dice: &mut Dice) {
        for table in shape.tables.iter().filter(|_| dice.percent(60)).collect::<Vec<_>>() {
            self.set_filter(table, draw(table, dice));
        }
    }

    fn set_filter(&mut self, table: &str, filter: Option<String>) {
        for resource in self.ours.iter_mut().chain(&mut self.theirs).filter(|resource| resource.name == table) {
            resource.filters = filter.iter().cloned().collect();
        }
    }

    /// Whether all of a resource is shared.
    pub(crate) fn shares_all(&self, table: &str) -> bool {
        self.ours.iter().chain(&self.theirs).all(|resource| resource.name != table || resource.filters.is_empty())
    }

    /// Whether a record with these fields is shared.
    pub(crate) fn shares(&self, table: &str, fields: &BTreeMap<String, String>) -> bool {
        let filters = self.ours.iter().filter(|resource| resource.name == table).flat_map(|resource| &resource.filters);
        filters.into_iter().all(|filter| {
            let (name, value) = filter.trim_start_matches("~.").split_once('=').unwrap();
            match name.strip_suffix("__ne") {
                Some(name) => fields.get(name).map(String::as_str) != Some(value),
                None => fields.get(name).map(String::as_str) == Some(value),
            }
        })
    }
}

impl World {
    /// A filter changes, at both ends of a link.
    pub(crate) fn refilter(&mut self) {
        let at = self.dice.below(self.plan.links.len());
        let table = *self.dice.pick(self.plan.shape.tables);
        let filter = draw(table, &mut self.dice);
        self.plan.links[at].set_filter(table, filter.clone());
        let link = self.plan.links[at].clone();
        self.enter_filters(&link);
        self.tally.one("filter changed");
        self.say(format!("s{} and s{} share {table} by {filter:?}", link.from, link.to));
    }

    /// Enters the filters of a link at both its ends: anew, too, where a backup was put back.
    pub(crate) fn enter_filters(&self, link: &Link) {
        for (from, to, shared) in [(link.from, link.to, &link.ours), (link.to, link.from, &link.theirs)] {
            let repository = self.houses[from].knows(&self.houses[to]);
            let change = |c: &mut entente::store::Conn| {
                shared.iter().try_for_each(|resource| {
                    let Some(known) = resources::get(c, repository.id, &resource.name)? else { return Ok(()) };
                    resources::update(c, &Resource { filters: resource.filters.clone(), ..known })
                })
            };
            self.houses[from].site().store.write(change).unwrap();
        }
    }

    /// Whether some link shares only a part of a table.
    pub(crate) fn filters(&self, table: &str) -> bool {
        self.plan.filters && table != "person"
    }
}

/// I1 where a filter holds apart: what matches is the same at both ends of a link, and what does not is with those who may have it alone.
pub(crate) fn ends_agree(world: &World, journals: &[Journal], apart: &dyn Fn(&str, &str) -> bool) -> Vec<String> {
    let mut broken = Vec::new();
    for link in &world.plan.links {
        for table in world.plan.shape.tables.iter().copied() {
            if link.shares_all(table) || !(link.flows(table, false) && link.flows(table, true)) {
                continue;
            }
            for (here, there) in [(link.from, link.to), (link.to, link.from)] {
                let records = journals[here].tables[table].iter().filter(|(uid, entry)| entry.present && !apart(table, uid));
                for (uid, entry) in records {
                    let other = journals[there].tables[table].get(uid);
                    if let Some(what) = differs(world, link, table, entry, other, &journals[there], there, uid) {
                        broken.push(format!("I1: {table} {uid} of s{here}: s{there} {what}: {:?}, {other:?}", entry.fields));
                    }
                }
            }
        }
    }
    broken
}

#[expect(clippy::too_many_arguments, reason = "a record at both ends")]
fn differs(
    world: &World,
    link: &Link,
    table: &str,
    entry: &Entry,
    other: Option<&Entry>,
    there: &Journal,
    at: usize,
    uid: &str,
) -> Option<&'static str> {
    let living = other.filter(|other| other.present);
    if link.shares(table, &entry.fields) {
        return match living {
            Some(other) if other.version == entry.version && common(other) == common(entry) => None,
            // A later version that nobody shares any longer; here the record stays for others.
            Some(other) if !link.shares(table, &other.fields) && other.version.join(&entry.version) == other.version => None,
            Some(_) => Some("has another version of what both share"),
            None => Some("lacks what both share"),
        };
    }
    let other = living.filter(|other| other.version.join(&entry.version) == entry.version)?;
    let elsewhere = world.plan.links.iter().any(|more| {
        (more.from == at || more.to == at) && (more.from, more.to) != (link.from, link.to) && more.ours.iter().any(|r| r.name == table)
    });
    let referred = there.tables.values().flat_map(|records| records.values()).any(|child| child.fields.values().any(|value| value == uid));
    let tells = other.version != entry.version && !elsewhere && !referred && !world.plan.perils.clones;
    tells.then_some("keeps what is no longer shared with it")
}
