//! Filters that look further than at a record's own fields (docs/eden.md): along references, at what stands inside, and at what comes along.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    closure::{MANY, Tables},
    shape::as_told,
};
use crate::{
    connector::Table,
    decide::filter::Filter,
    error::{Error, Result},
    model::{Component, Kind, Page, Record, RecordView, Resource, SiteId, Time, eden::EdenPull},
    sync::filters,
};

/// Filters by resource.
pub(in crate::sync) type Filters = HashMap<String, Filter>;

/// The most steps of one path.
const LONGEST: usize = 10;

/// What is asked for, of that which may be given.
pub(super) struct Sieve {
    /// What the records themselves have to say.
    own: Filter,
    /// What others have to say that are met on the way.
    paths: Vec<Path>,
    /// What records have to say that stand inside or come along.
    pub(super) along: Filters,
    /// All of it.
    pub(super) text: String,
}

/// A filter on what is found at the end of some steps.
struct Path {
    steps: Vec<Step>,
    filter: Filter,
}

enum Step {
    /// To what a field refers to.
    Along { field: String, resource: String },
    /// To what stands inside.
    Inside(Component),
}

impl Sieve {
    /// What `pull` asks for of `table`, of what the entries of the caller's repository let through. What cannot be understood is refused.
    pub(super) fn read(table: &Table, entries: &[Resource], pull: &EdenPull, tables: &mut Tables<'_, '_>) -> Result<Sieve> {
        let (mut near, mut paths, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        for term in &pull.filters {
            if is_far(term, &table.resource) {
                paths.push(Path::read(table, term, tables)?);
                texts.push(term.clone());
            } else {
                near.push(term.clone());
            }
        }
        let own = entries.iter().find(|entry| entry.name == table.resource);
        let own = filters::for_caller(table, own, &filters::read(table, &near)?)?;
        let mut along = Filters::new();
        for entry in entries.iter().filter(|entry| !entry.filters.is_empty()) {
            if let Some((_, other)) = tables.of(&entry.name) {
                along.insert(entry.name.clone(), filters::read(other, &entry.filters)?);
            }
        }
        let mut asked: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (of, term) in &pull.along {
            let resource = inside(table, of).map_or_else(|| of.clone(), |component| component.resource.clone());
            texts.push(format!("[{resource}]{term}"));
            asked.entry(resource).or_default().push(term.clone());
        }
        for (resource, terms) in asked {
            let Some((_, other)) = tables.of(&resource) else {
                return Err(Error::usage(format!("{resource:?} cannot be filtered: it is not here")));
            };
            let filter = filters::read(other, &terms)?;
            let known = along.remove(&resource).unwrap_or_default();
            along.insert(resource, known.and(&filter));
        }
        texts.sort();
        along.insert(table.resource.clone(), own.clone());
        let text = std::iter::once(own.to_string()).chain(texts).collect::<Vec<_>>().join("&");
        Ok(Sieve { own, paths, along, text: text.trim_matches('&').to_owned() })
    }

    /// Whether a record may come to match though nothing of it changes.
    pub(super) fn looks_far(&self) -> bool {
        !self.paths.is_empty()
    }

    /// Takes out of a page what does not match. That a record is gone concerns everybody.
    pub(super) fn sift(&self, page: &mut Page, tables: &mut Tables<'_, '_>) -> Result<()> {
        keep(page, |view| !view.record.retracted && self.own.matches(view));
        for path in &self.paths {
            let fits = path.fits(&path.steps, page, tables)?;
            let out: Vec<usize> =
                page.records.iter().enumerate().filter(|(at, record)| !record.deleted && !fits[*at]).map(|(at, _)| at).collect();
            page.remove(&out);
        }
        Ok(())
    }
}

impl Path {
    fn read(table: &Table, term: &str, tables: &mut Tables<'_, '_>) -> Result<Path> {
        let refuse = |why: &str| {
            Error::usage(format!("the filter {:?} cannot be followed: {why}", term.chars().take(120).collect::<String>()))
                .hint("A path goes along references to resources that are here: ~.organisation_id$name__like=A*, or contact.value=1 for what stands inside.")
        };
        let (key, value) = term.split_once('=').ok_or_else(|| refuse("it compares nothing"))?;
        if key.contains('|') {
            return Err(refuse("it has alternatives"));
        }
        let (of, path) = key.split_once('.').ok_or_else(|| refuse("it names no field"))?;
        let (mut steps, mut at) = (Vec::new(), table.clone());
        let open = |resource: &str, tables: &mut Tables<'_, '_>| {
            tables.of(resource).map(|(_, table)| table.clone()).ok_or_else(|| refuse(&format!("{resource} is not here")))
        };
        if of != "~" && of != table.resource {
            let component = inside(table, of).ok_or_else(|| refuse(&format!("{of:?} does not stand inside {}", table.resource)))?.clone();
            at = open(&component.resource, tables)?;
            steps.push(Step::Inside(component));
        }
        let mut names: Vec<&str> = path.split('$').collect();
        let last = names.pop().unwrap_or_default();
        if names.len() > LONGEST {
            return Err(refuse("it is too long"));
        }
        for name in names {
            let reference = at.references.iter().find(|reference| reference.field == name);
            let reference = reference.ok_or_else(|| refuse(&format!("{name:?} of {} refers to nothing", at.resource)))?.clone();
            at = open(&reference.resource, tables)?;
            steps.push(Step::Along { field: reference.field, resource: reference.resource });
        }
        Ok(Path { steps, filter: filters::read(&at, &[format!("~.{last}={value}")])? })
    }

    /// Of each record of a page, whether what is found at the end of these steps matches. Where nothing is found, nothing is compared.
    fn fits(&self, steps: &[Step], page: &Page, tables: &mut Tables<'_, '_>) -> Result<Vec<bool>> {
        let Some((step, rest)) = steps.split_first() else { return Ok(page.views().map(|view| self.filter.matches(view)).collect()) };
        let nothing = matches_nothing(&self.filter);
        let (resource, field) = match step {
            Step::Along { field, resource } => (resource, field),
            Step::Inside(component) => (&component.resource, &component.field),
        };
        let named: HashSet<&str> = match step {
            Step::Along { .. } => page.views().filter_map(|view| target(view, field)).collect(),
            Step::Inside(_) => page.views().map(RecordView::uid).collect(),
        };
        let named: Vec<String> = named.into_iter().map(str::to_owned).collect();
        let mut found = Page::new(resource);
        if let Some((door, table)) = tables.of(resource) {
            for some in named.chunks(MANY) {
                match step {
                    Step::Along { .. } => door.lookup(table, some, &mut found)?,
                    Step::Inside(_) => door.belonging(table, field, some).and_then(|uids| door.lookup(table, &uids, &mut found))?,
                }
            }
            as_told(table, &mut found);
        }
        keep(&mut found, |view| view.record.lives());
        let fits = self.fits(rest, &found, tables)?;
        let mut by_uid: HashMap<&str, bool> = HashMap::new();
        for (view, fits) in found.views().zip(fits) {
            let of = match step {
                Step::Along { .. } => Some(view.uid()),
                Step::Inside(_) => target(view, field),
            };
            if let Some(of) = of {
                *by_uid.entry(of).or_default() |= fits;
            }
        }
        let of = |view| match step {
            Step::Along { .. } => target(view, field),
            Step::Inside(_) => Some(view.uid()),
        };
        Ok(page.views().map(|view| of(view).and_then(|uid| by_uid.get(uid)).copied().unwrap_or(nothing)).collect())
    }
}

/// Whether a term looks further than at a record's own fields.
fn is_far(term: &str, resource: &str) -> bool {
    let key = term.split_once('=').map_or(term, |(key, _)| key);
    key.contains('$') || key.split('|').any(|selector| selector.split_once('.').is_some_and(|(of, _)| of != "~" && of != resource))
}

/// What stands inside a table's records under this name: that of the resource, or what follows its first word.
fn inside<'t>(table: &'t Table, name: &str) -> Option<&'t Component> {
    let short = |component: &&Component| component.resource.split_once('_').is_some_and(|(_, short)| short == name);
    let components = &table.form.components;
    components.iter().find(|component| component.resource == name).or_else(|| components.iter().find(short))
}

fn target<'v>(view: RecordView<'v>, field: &str) -> Option<&'v str> {
    view.get(field).filter(|value| value.kind == Kind::Reference).map(|value| value.text)
}

/// Whether a filter lets a record through that says nothing.
fn matches_nothing(filter: &Filter) -> bool {
    let mut page = Page::default();
    let (uid, mark) = (page.put(""), page.mark());
    page.finish(Record::new(uid, SiteId(uuid::Uuid::nil()), Time(0)), mark);
    page.views().all(|view| filter.matches(view))
}

/// Keeps the records of a page that are wanted.
pub(super) fn keep(page: &mut Page, wanted: impl Fn(RecordView<'_>) -> bool) {
    let out: Vec<usize> = page.views().enumerate().filter(|(_, view)| !wanted(*view)).map(|(at, _)| at).collect();
    if !out.is_empty() {
        page.remove(&out);
    }
}
