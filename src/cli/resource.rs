//! `entente resource`: what is shared with a repository, and who wins.

use std::collections::HashMap;

use clap::{Args, Subcommand};
use entente::{
    error::{Error, Result},
    model::{Mode, Policy, Resource, ResourceId, Strategy, Time},
    site::Site,
    store::{attached, repositories, resources, verified},
    sync::filters,
};
use serde_json::{Value, json};

use super::{
    Context, Ending,
    output::{table, warn, when_or, yes},
    words::{self, YesNo},
};

/// What is shared with a repository, which way it flows, and who wins
#[derive(Subcommand)]
pub(super) enum Verb {
    /// Share a table with a repository
    ///
    /// The other side needs no resource of its own: its account grants what may be shared. Policies are this site's view: THIS is here, OTHER is there.
    Add {
        /// The repository
        repository: String,
        /// The resource: what the table is called at both sites
        name: String,
        #[command(flatten)]
        rules: Rules,
    },
    /// List what is shared
    List {
        /// Only with this repository
        repository: Option<String>,
    },
    /// Change how a table is shared
    Set {
        /// The repository
        repository: String,
        /// The resource
        name: String,
        #[command(flatten)]
        rules: Rules,
    },
    /// Share a table no longer; what was exchanged stays at both sites
    Remove {
        /// The repository
        repository: String,
        /// The resource
        name: String,
    },
}

#[derive(Args)]
pub(super) struct Rules {
    /// Which ways it flows: pull, push, both or none [default: both]
    #[arg(long, value_parser = words::read::<Mode>)]
    mode: Option<Mode>,
    /// What may be done to records: a list of create, update, delete and merge [default: all four]
    #[arg(long, value_parser = words::read::<Strategy>, value_name = "METHOD,…")]
    strategy: Option<Strategy>,
    /// Who wins when only one side changed: THIS, OTHER, NEWER or MASTER [default: NEWER]
    #[arg(long, value_parser = words::read::<Policy>, value_name = "POLICY")]
    update: Option<Policy>,
    /// Who wins when both sides changed: THIS, OTHER, NEWER, MASTER or MANUAL [default: NEWER]
    #[arg(long, value_parser = words::read::<Policy>, value_name = "POLICY")]
    conflict: Option<Policy>,
    /// When both sides changed a record, first merge it field by field; fields that both changed go to the conflict policy
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "yes", value_name = "yes|no")]
    merge_fields: Option<YesNo>,
    /// The rows that both sides hold before the first run are different things, none of them the same
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "yes", value_name = "yes|no")]
    accept_twins: Option<YesNo>,
    /// Only records that match, both ways: FIELD__OP=VALUE, for example '~.region=north' or '~.name__like=B*'; given several times, all have to
    #[arg(long = "filter", value_name = "FILTER")]
    filters: Vec<String>,
    /// All records again
    #[arg(long, conflicts_with = "filters")]
    no_filter: bool,
}

impl Rules {
    fn over(&self, resource: Resource) -> Resource {
        Resource {
            mode: self.mode.unwrap_or(resource.mode),
            strategy: self.strategy.unwrap_or(resource.strategy),
            update: self.update.unwrap_or(resource.update),
            conflict: self.conflict.unwrap_or(resource.conflict),
            merge_fields: self.merge_fields.map_or(resource.merge_fields, bool::from),
            accept_twins: self.accept_twins.map_or(resource.accept_twins, bool::from),
            filters: if self.filters.is_empty() && !self.no_filter { resource.filters } else { self.filters.clone() },
            ..resource
        }
    }

    fn is_empty(&self) -> bool {
        let policies = self.update.is_none() && self.conflict.is_none() && self.merge_fields.is_none();
        let rules = self.mode.is_none() && self.strategy.is_none() && policies;
        rules && self.accept_twins.is_none() && self.filters.is_empty() && !self.no_filter
    }
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let site = context.site()?;
        match self {
            Verb::Add { repository, name, rules } => add(context, &site, &repository, &name, &rules),
            Verb::List { repository } => list(context, &site, repository.as_deref()),
            Verb::Set { repository, name, rules } => set(context, &site, &repository, &name, &rules),
            Verb::Remove { repository, name } => {
                site.store.write(|c| {
                    let found = repositories::get(c, site.store.key(), &repository)?;
                    resources::remove(c, found.id, &name)
                })?;
                let text = || format!("{name} is shared with {repository} no longer.");
                context.format().print(text, || json!({"repository": repository, "name": name}))?;
                Ok(Ending::Done)
            }
        }
    }
}

fn add(context: &Context, site: &Site, repository: &str, name: &str, rules: &Rules) -> Result<Ending> {
    filters::check(site, name, &rules.filters)?;
    let (added, table) = site.store.write(|c| {
        let found = repositories::get(c, site.store.key(), repository)?;
        Ok((resources::add(c, &rules.over(Resource::new(found.id, name)))?, attached::of(c, name)?))
    })?;
    if table.is_none() {
        warn(&format!(
            "no table is attached here as {name} yet; until one is, its runs fail. Attach it: entente attach DATABASE URL --table TABLE={name}"
        ));
    }
    told(context, site, repository, &added)
}

fn set(context: &Context, site: &Site, repository: &str, name: &str, rules: &Rules) -> Result<Ending> {
    if rules.is_empty() {
        return Err(Error::usage("nothing to change was named").hint("`entente help resource set` lists what can be."));
    }
    filters::check(site, name, &rules.filters)?;
    let changed = site.store.write(|c| {
        let found = repositories::get(c, site.store.key(), repository)?;
        let resource = resources::get(c, found.id, name)?;
        let resource = resource.ok_or_else(|| {
            Error::not_found(format!("{name} is not shared with {repository}"))
                .hint(format!("Share it: entente resource add {repository} {name}"))
        })?;
        let changed = rules.over(resource);
        resources::update(c, &changed)?;
        Ok(changed)
    })?;
    told(context, site, repository, &changed)
}

fn told(context: &Context, site: &Site, repository: &str, resource: &Resource) -> Result<Ending> {
    let Resource { name, mode, update, conflict, .. } = resource;
    let way = match mode {
        Mode::Both => "flows both ways with",
        Mode::Pull => "is pulled from",
        Mode::Push => "is pushed to",
        Mode::None => "rests with",
    };
    let only = if resource.filters.is_empty() { String::new() } else { format!("; only where {}", resource.filters.join(" and ")) };
    let text = || {
        format!("{name} {way} {repository}{only}; updates: {update}, conflicts: {conflict}.\nTry it: entente sync {repository} --dry-run")
    };
    let verified = site.store.read(verified::all)?;
    context.format().print(text, || document(repository, resource, &verified))?;
    Ok(Ending::Done)
}

fn list(context: &Context, site: &Site, repository: Option<&str>) -> Result<Ending> {
    let (shared, verified) = site.store.read(|c| {
        let with = match repository {
            Some(name) => vec![repositories::get(c, site.store.key(), name)?],
            None => repositories::list(c, site.store.key())?,
        };
        let mut shared = Vec::new();
        for repository in with {
            shared.extend(resources::list(c, repository.id)?.into_iter().map(|resource| (repository.name.clone(), resource)));
        }
        Ok((shared, verified::all(c)?))
    })?;
    let text = || match shared.as_slice() {
        [] => "Nothing is shared yet. Share a table: entente resource add REPOSITORY NAME".to_owned(),
        some => rows(some, &verified),
    };
    context.format().print(text, || shared.iter().map(|(repository, resource)| document(repository, resource, &verified)).collect())?;
    Ok(Ending::Done)
}

/// When each resource was last found equal at both sites.
pub(super) type Verified = HashMap<ResourceId, Time>;

/// What is shared, as a table: repository and resource.
pub(super) fn rows(shared: &[(String, Resource)], verified: &Verified) -> String {
    let heading =
        ["repository", "resource", "mode", "strategy", "update", "conflict", "by field", "twins accepted", "filter", "verified equal"];
    table(
        &heading,
        &[],
        shared.iter().map(|(repository, r)| {
            let equal = when_or(verified.get(&r.id).copied(), "not yet");
            let policies =
                [r.update.to_string(), r.conflict.to_string(), yes(r.merge_fields), yes(r.accept_twins), r.filters.join(" and "), equal];
            [repository.clone(), r.name.clone(), r.mode.word().to_owned(), r.strategy.to_string()].into_iter().chain(policies)
        }),
    )
}

/// A resource for programs.
pub(super) fn document(repository: &str, resource: &Resource, verified: &Verified) -> Value {
    json!({
        "repository": repository, "name": resource.name, "mode": resource.mode.word(), "strategy": resource.strategy.to_string(),
        "update": resource.update.word(), "conflict": resource.conflict.word(), "merge_fields": resource.merge_fields,
        "accept_twins": resource.accept_twins, "filters": resource.filters, "verified_at": verified.get(&resource.id),
    })
}
