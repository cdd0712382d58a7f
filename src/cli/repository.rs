//! `entente repository`: the sites that this one runs with.

mod show;

use clap::{Args, Subcommand};
use entente::{
    error::{Error, Result},
    model::{ApiType, Repository, SiteId},
    peer::Contact,
    site::Site,
    store::repositories,
    sync::register::{self, Added, Said},
};
use serde_json::{Value, json};

use super::{
    Context, Ending,
    output::{facts, table, warn},
    password::Source,
    words::{self, YesNo},
};

/// Other sites, called repositories: add, look at, test, change, remove
#[derive(Subcommand)]
pub(super) enum Verb {
    /// Add another site here and register this one there
    ///
    /// Where the registration fails, the repository is added all the same, and a warning says how to register by hand.
    Add(Add),
    /// List the repositories and how they are
    List,
    /// Show a repository: its settings, what is shared with it, its schedule, its last runs
    Show {
        /// The repository
        name: String,
    },
    /// Call a repository: is it there, who is it, what does it grant, is its clock right
    Test {
        /// The repository
        name: String,
    },
    /// Change a repository; what is not named stays
    Set(Set),
    /// Remove a repository with its resources and jobs; records and the log stay
    Remove {
        /// The repository
        name: String,
    },
}

#[derive(Args)]
pub(super) struct Add {
    /// What to call it here
    name: String,
    #[command(flatten)]
    line: Line,
}

#[derive(Args)]
pub(super) struct Set {
    /// The repository
    name: String,
    /// Call it otherwise
    #[arg(long = "name", value_name = "NAME")]
    new_name: Option<String>,
    /// Whether there are runs with it; `yes` also lets a site come again in whose name two machines came
    #[arg(long, value_enum)]
    enabled: Option<YesNo>,
    #[command(flatten)]
    line: Line,
}

fn kind(text: &str) -> Result<ApiType, String> {
    text.parse::<ApiType>().map_err(|error| error.chain())
}

/// How a repository is reached.
#[derive(Args)]
struct Line {
    /// Its address, https://… or http://…; without one it only calls us
    #[arg(long)]
    url: Option<String>,
    /// This site's account there
    #[arg(long)]
    user: Option<String>,
    #[command(flatten)]
    password: Source,
    /// A proxy for this repository alone; `none` takes it away
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// Its UUID, where registration cannot tell
    #[arg(long, value_name = "URN", value_parser = words::uuid)]
    uuid: Option<SiteId>,
    /// Whether it is a site of our own kind or a Sahana Eden; found out when this site registers there
    #[arg(long = "type", value_name = "entente|eden", value_parser = kind)]
    kind: Option<ApiType>,
    /// Whether it may push to us [default: yes]
    #[arg(long, value_enum)]
    accept_pushes: Option<YesNo>,
}

impl Line {
    /// Whether anything is named that matters to the call.
    fn reaches_otherwise(&self) -> bool {
        self.url.is_some() || self.user.is_some() || self.password.is_given() || self.proxy.is_some()
    }

    fn over(&self, mut repository: Repository) -> Result<Repository> {
        if let Some(url) = &self.url {
            repository.url = Some(url.trim_end_matches('/').to_owned());
        }
        if let Some(user) = &self.user {
            repository.user = Some(user.clone());
        }
        if self.password.is_given() || self.user.is_some() {
            repository.password = Some(self.password.existing(&format!("at {}", repository.name))?);
        }
        if let Some(proxy) = &self.proxy {
            repository.proxy = Some(proxy.clone()).filter(|proxy| proxy != "none");
        }
        repository.uuid = self.uuid.or(repository.uuid);
        repository.kind = self.kind.unwrap_or(repository.kind);
        repository.accept_pushes = self.accept_pushes.map_or(repository.accept_pushes, bool::from);
        Ok(repository)
    }
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let site = context.site()?;
        match self {
            Verb::Add(verb) => verb.run(context, &site),
            Verb::List => show::list(context, &site),
            Verb::Show { name } => show::one(context, &site, &name),
            Verb::Test { name } => test(context, &site, &name),
            Verb::Set(verb) => verb.run(context, &site),
            Verb::Remove { name } => {
                site.store.write(|c| repositories::remove(c, &name))?;
                let text = || format!("{name} is removed, with what was shared with it and its jobs.");
                context.format().print(text, || json!({"name": name}))?;
                Ok(Ending::Done)
            }
        }
    }
}

impl Add {
    fn run(self, context: &Context, site: &Site) -> Result<Ending> {
        let new = self.line.over(Repository::new(&self.name))?;
        told(context, &register::add(site, &new)?, "is added")
    }
}

impl Set {
    fn run(self, context: &Context, site: &Site) -> Result<Ending> {
        if !self.line.reaches_otherwise()
            && self.line.uuid.is_none()
            && self.line.kind.is_none()
            && self.line.accept_pushes.is_none()
            && self.new_name.is_none()
            && self.enabled.is_none()
        {
            return Err(Error::usage("nothing to change was named").hint("`entente help repository set` lists what can be."));
        }
        let known = site.store.read(|c| repositories::get(c, site.store.key(), &self.name))?;
        let mut changed = self.line.over(known)?;
        changed.name = self.new_name.unwrap_or(changed.name);
        changed.enabled = self.enabled.map_or(changed.enabled, bool::from);
        let said = Said { reached: self.line.reaches_otherwise(), enabled: self.enabled.is_some_and(bool::from) };
        told(context, &register::set(site, changed, said)?, "is changed")
    }
}

fn told(context: &Context, done: &Added, what: &str) -> Result<Ending> {
    let Added { repository, warning } = done;
    if repository.exposed() {
        warn(&format!("{} is called without encryption over a network that others may read; use https", repository.name));
    }
    if let Some(warning) = warning {
        warn(warning);
    }
    let document = || {
        let mut document = document(repository);
        document["warning"] = json!(warning);
        document
    };
    context.format().print(|| text(repository, warning.is_none(), what), document)?;
    Ok(Ending::Done)
}

fn text(repository: &Repository, registered: bool, what: &str) -> String {
    let name = &repository.name;
    let who = match repository.uuid {
        Some(uuid) if registered && repository.url.is_some() => format!("; it is the site {uuid}, and this site is known there"),
        Some(uuid) => format!("; it is the site {uuid}"),
        None => String::new(),
    };
    format!("{name} {what}{who}.\nShare a table with it: entente resource add {name} NAME\n")
}

/// A repository for programs. Its password stays where it is.
fn document(repository: &Repository) -> Value {
    let Repository { name, uuid, url, user, accept_pushes, enabled, .. } = repository;
    json!({
        "name": name, "uuid": uuid, "url": url, "user": user, "proxy": repository.bare_proxy(),
        "accept_pushes": accept_pushes, "enabled": enabled, "type": repository.kind.word(),
    })
}

fn test(context: &Context, site: &Site, name: &str) -> Result<Ending> {
    let repository = site.store.read(|c| repositories::get(c, site.store.key(), name))?;
    let contact = register::test(site, &repository);
    site.hang_up();
    let Contact { hello, skew } = contact?;
    let document = || {
        let granted: Vec<Value> = hello.resources.iter().map(|r| json!({"name": r.name, "mode": r.mode.word()})).collect();
        json!({
            "name": name, "uuid": hello.uuid, "site": hello.name, "version": hello.version, "skew_ms": skew, "paused": hello.paused, "resources": granted,
        })
    };
    let text = || {
        let mut text = facts(&[
            ("answers", format!("yes, {} ({})", hello.name, hello.uuid)),
            ("version", hello.version.clone()),
            ("clock", clock(skew)),
            ("paused", super::output::yes(hello.paused)),
        ]);
        text.push_str(&match hello.resources.as_slice() {
            [] if repository.kind == ApiType::Eden => "It takes our account. What that may use, only a run can tell.\n".to_owned(),
            [] => format!("It grants nothing to the account {}.\n", repository.user.as_deref().unwrap_or("(none)")),
            some => table(&["resource", "we may"], &[], some.iter().map(|r| [r.name.clone(), r.mode.word().to_owned()])),
        });
        text
    };
    context.format().print(text, document)?;
    Ok(Ending::Done)
}

fn clock(skew: i64) -> String {
    match skew {
        -2_000..=2_000 => "right".into(),
        ahead @ 2_001.. => format!("{} s ahead of ours", ahead / 1_000),
        behind => format!("{} s behind ours", -behind / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_right_or_off_by_seconds() {
        for (skew, want) in [(0, "right"), (-2_000, "right"), (41_200, "41 s ahead of ours"), (-3_000, "3 s behind ours")] {
            assert_eq!(clock(skew), want);
        }
    }
}
