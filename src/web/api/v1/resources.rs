//! `/repositories/{repository}/resources`: what is shared with a repository, and who wins.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    operation::{Call, In, Method, Nothing, Operation},
    page::{Page, Paging, limit},
    repositories::RepositoryPath,
    runs::{AskedRun, enter},
};
use crate::{
    error::{Error, Result},
    model::{Ask, Mode, Policy, Resource as Known, ResourceId, Scope, Time},
    store::{attached, repositories, resources, verified},
    sync::filters,
};

pub(super) fn operations() -> Vec<Operation> {
    let (all, one) = ("/repositories/{repository}/resources", "/repositories/{repository}/resources/{resource}");
    vec![
        Operation::new(Method::Get, "/resources", ("listAllResources", "List what is shared with all repositories"), every),
        Operation::new(Method::Get, all, ("listResources", "List what is shared with a repository"), list),
        Operation::new(Method::Post, all, ("addResource", "Share a table with a repository"), add).status(201),
        Operation::new(Method::Get, one, ("showResource", "Show how a table is shared"), show),
        Operation::new(Method::Patch, one, ("setResource", "Change how a table is shared; what is not named stays"), set),
        Operation::new(
            Method::Post,
            "/repositories/{repository}/resources/{resource}/dry-run",
            ("dryRun", "Ask the worker for a run that changes nothing and counts what would happen"),
            dry_run,
        )
        .needs(Scope::Write)
        .status(202),
        Operation::new(Method::Delete, one, ("removeResource", "Share a table no longer; what was exchanged stays at both sites"), remove),
    ]
}

/// A table that is shared with a repository. Policies are this site's view: THIS is here, OTHER is there.
#[derive(Serialize, JsonSchema)]
pub(super) struct Resource {
    /// The repository.
    repository: String,
    /// What the table is called at both sites.
    name: String,
    /// Which ways it flows.
    mode: Mode,
    /// What may be done to records: a list of create, update, delete and merge.
    strategy: String,
    /// Who wins when only one side changed.
    update: Policy,
    /// Who wins when both sides changed.
    conflict: Policy,
    /// Whether a conflict is first merged field by field.
    merge_fields: bool,
    /// Whether the rows that both sides held before the first run are different things.
    accept_twins: bool,
    /// Only records that match all of these are shared.
    filters: Vec<String>,
    /// When both sites were last found equal.
    verified_at: Option<Time>,
}

impl Resource {
    pub(super) fn of(repository: &str, known: Known, verified: &HashMap<ResourceId, Time>) -> Resource {
        Resource {
            repository: repository.to_owned(),
            strategy: known.strategy.to_string(),
            verified_at: verified.get(&known.id).copied(),
            name: known.name,
            mode: known.mode,
            update: known.update,
            conflict: known.conflict,
            merge_fields: known.merge_fields,
            accept_twins: known.accept_twins,
            filters: known.filters,
        }
    }
}

fn every(call: &Call<'_>, asked: In<Nothing, Paging>) -> Result<Page<Resource>> {
    let (after, limit) = (asked.query.number()?, limit(asked.query.limit)?);
    let (names, all, verified) = call.site.store.read(|c| {
        let names = repositories::names(c)?.into_iter().map(|(id, _, name)| (id, name));
        Ok((names.collect::<HashMap<_, _>>(), resources::page(c, after, i64::from(limit) + 1)?, verified::all(c)?))
    })?;
    let next = all.get(limit as usize).and_then(|_| all.get(limit as usize - 1)).map(|last| last.id.to_string());
    let one = |shared: Known| Resource::of(names.get(&shared.repository).map_or("", String::as_str), shared, &verified);
    Ok(Page { items: all.into_iter().take(limit as usize).map(one).collect(), next })
}

fn list(call: &Call<'_>, asked: In<RepositoryPath, Paging>) -> Result<Page<Resource>> {
    let (name, limit) = (&asked.path.repository, limit(asked.query.limit)?);
    call.site.store.read(|c| {
        let repository = repositories::get(c, call.site.store.key(), name)?;
        let verified = verified::all(c)?;
        let shared = resources::page_of(c, repository.id, asked.query.name(), i64::from(limit) + 1)?;
        Ok(Page::of(shared.into_iter().map(|one| Resource::of(name, one, &verified)).collect(), limit, |one| one.name.clone()))
    })
}

/// How a table is shared.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rules {
    /// Which ways it flows [default: both].
    mode: Option<Mode>,
    /// What may be done to records: a list of create, update, delete and merge [default: all four].
    strategy: Option<String>,
    /// Who wins when only one side changed [default: NEWER].
    update: Option<Policy>,
    /// Who wins when both sides changed [default: NEWER].
    conflict: Option<Policy>,
    /// When both sides changed a record, first merge it field by field [default: false].
    merge_fields: Option<bool>,
    /// The rows that both sides hold before the first run are different things, none of them the same [default: false].
    accept_twins: Option<bool>,
    /// Only records that match all of these, both ways: FIELD__OP=VALUE, like `~.region=north`. An empty list shares all again.
    filters: Option<Vec<String>>,
}

impl Rules {
    fn over(self, known: Known) -> Result<Known> {
        Ok(Known {
            mode: self.mode.unwrap_or(known.mode),
            strategy: self.strategy.map_or(Ok(known.strategy), |text| text.parse())?,
            update: self.update.unwrap_or(known.update),
            conflict: self.conflict.unwrap_or(known.conflict),
            merge_fields: self.merge_fields.unwrap_or(known.merge_fields),
            accept_twins: self.accept_twins.unwrap_or(known.accept_twins),
            filters: self.filters.unwrap_or(known.filters),
            ..known
        })
    }

    fn is_empty(&self) -> bool {
        let policies = self.update.is_none() && self.conflict.is_none() && self.merge_fields.is_none();
        policies && self.mode.is_none() && self.strategy.is_none() && self.accept_twins.is_none() && self.filters.is_none()
    }
}

/// A table to share.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewResource {
    /// What the table is called at both sites.
    name: String,
    /// How it is shared [default: both ways, all methods, the newer version wins].
    #[serde(default)]
    rules: Option<Rules>,
}

/// A table that was shared or changed.
#[derive(Serialize, JsonSchema)]
struct ChangedResource {
    #[serde(flatten)]
    resource: Resource,
    /// What has to be done before its runs can go well.
    warning: Option<String>,
}

fn add(call: &Call<'_>, asked: In<RepositoryPath, Nothing, NewResource>) -> Result<ChangedResource> {
    let (repository, NewResource { name, rules }) = (asked.path.repository, asked.body);
    let wanted = Known::new(0, &name);
    let wanted = match rules {
        Some(rules) => rules.over(wanted)?,
        None => wanted,
    };
    filters::check(call.site, &name, &wanted.filters)?;
    let (added, table) = call.site.store.write(|c| {
        let found = repositories::get(c, call.site.store.key(), &repository)?;
        Ok((resources::add(c, &Known { repository: found.id, ..wanted })?, attached::of(c, &name)?))
    })?;
    let warning = table.is_none().then(|| format!("no table is attached here as {name} yet; until one is, its runs fail"));
    Ok(ChangedResource { resource: Resource::of(&repository, added, &HashMap::new()), warning })
}

/// A resource of a repository.
#[derive(Deserialize, JsonSchema)]
struct ResourcePath {
    /// The repository's name.
    repository: String,
    /// The resource's name.
    resource: String,
}

fn show(call: &Call<'_>, asked: In<ResourcePath>) -> Result<Resource> {
    let ResourcePath { repository, resource } = asked.path;
    call.site.store.read(|c| {
        let found = repositories::get(c, call.site.store.key(), &repository)?;
        let known = resources::get(c, found.id, &resource)?.ok_or_else(|| not_shared(&repository, &resource))?;
        Ok(Resource::of(&repository, known, &verified::all(c)?))
    })
}

fn not_shared(repository: &str, resource: &str) -> Error {
    Error::not_found(format!("{resource} is not shared with {repository}"))
        .hint("Share it: POST /api/v1/repositories/{repository}/resources")
}

fn set(call: &Call<'_>, asked: In<ResourcePath, Nothing, Rules>) -> Result<Resource> {
    let (ResourcePath { repository, resource }, rules) = (asked.path, asked.body);
    if rules.is_empty() {
        return Err(Error::usage("nothing to change is named").hint("/api/docs#setResource lists what can be."));
    }
    filters::check(call.site, &resource, rules.filters.as_deref().unwrap_or_default())?;
    call.site.store.write(|c| {
        let found = repositories::get(c, call.site.store.key(), &repository)?;
        let known = resources::get(c, found.id, &resource)?.ok_or_else(|| not_shared(&repository, &resource))?;
        let changed = rules.over(known)?;
        resources::update(c, &changed)?;
        Ok(Resource::of(&repository, changed, &verified::all(c)?))
    })
}

fn dry_run(call: &Call<'_>, asked: In<ResourcePath>) -> Result<AskedRun> {
    let ResourcePath { repository, resource } = asked.path;
    call.site.store.read(|c| {
        let found = repositories::get(c, call.site.store.key(), &repository)?;
        resources::get(c, found.id, &resource)?.map(|_| ()).ok_or_else(|| not_shared(&repository, &resource))
    })?;
    enter(call, &repository, Ask { resources: Some(vec![resource]), dry_run: true, ..Ask::default() })
}

fn remove(call: &Call<'_>, asked: In<ResourcePath>) -> Result<Nothing> {
    call.site.store.write(|c| {
        let found = repositories::get(c, call.site.store.key(), &asked.path.repository)?;
        resources::remove(c, found.id, &asked.path.resource)
    })?;
    Ok(Nothing {})
}
