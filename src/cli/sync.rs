//! `entente sync`: a run now.

use clap::Args;
use entente::{
    error::{Error, Kind, Result},
    model::Repository,
    site::Site,
    store::repositories,
    sync::run::{Ask, Control, ResourceReport, RunReport, run},
};
use serde_json::{Value, json};

use super::{
    Context, Ending,
    interrupt::Interrupt,
    output::{Format, complain, lasted, size, table, warn},
    progress::Line,
};

/// Run with a repository now: pull, then push
#[derive(Args)]
pub(super) struct Sync {
    /// The repository
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    repository: Option<String>,
    /// Every repository that is enabled and has an address, one after the other
    #[arg(long)]
    all: bool,
    /// Only this resource; may be said several times
    #[arg(long = "resource", value_name = "RESOURCE")]
    resources: Vec<String>,
    /// Only take from them
    #[arg(long, conflicts_with = "push_only")]
    pull_only: bool,
    /// Only give to them
    #[arg(long)]
    push_only: bool,
    /// From the start, as if nothing had been exchanged before; what is equal stays as it is
    #[arg(long)]
    full: bool,
    /// Change nothing; count what would happen
    #[arg(long)]
    dry_run: bool,
}

impl Sync {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let site = context.site()?;
        let interrupt = Interrupt::listen()?;
        let ended = match &self.repository {
            Some(name) => self.one(context.format(), &site, &interrupt, name),
            None => self.every(context.format(), &site, &interrupt),
        };
        site.hang_up();
        match ended {
            Err(error) if error.kind() == Kind::Stopped && interrupt.was_asked() => {
                warn(&error.chain());
                Ok(Ending::Done)
            }
            ended => ended,
        }
    }

    fn one(&self, format: Format, site: &Site, interrupt: &Interrupt, name: &str) -> Result<Ending> {
        let repository = site.store.read(|c| repositories::get(c, site.store.key(), name))?;
        if !repository.enabled {
            return Err(Error::new(Kind::Paused, format!("{name} is disabled"))
                .hint(format!("Enable it: entente repository set {name} --enabled yes")));
        }
        let report = self.with(site, interrupt, &repository)?;
        format.print(|| text(name, &report, self.dry_run), || document(name, &report))?;
        Ok(ending(&report))
    }

    fn every(&self, format: Format, site: &Site, interrupt: &Interrupt) -> Result<Ending> {
        let all = site.store.read(|c| repositories::list(c, site.store.key()))?;
        let (mut texts, mut documents, mut worst) = (String::new(), Vec::new(), Ending::Done);
        let callable: Vec<_> = all.into_iter().filter(|repository| repository.enabled && repository.url.is_some()).collect();
        if callable.is_empty() {
            texts.push_str(
                "There is no repository to call. Add one: entente repository add NAME --url URL --user USER --password-file FILE",
            );
        }
        for repository in callable {
            let name = &repository.name;
            match self.with(site, interrupt, &repository) {
                Ok(report) => {
                    texts.push_str(&text(name, &report, self.dry_run));
                    documents.push(document(name, &report));
                    worst = if ending(&report) == Ending::Failed { Ending::Failed } else { worst };
                }
                Err(error) if error.kind() == Kind::Stopped && interrupt.was_asked() => break,
                Err(error) => {
                    complain(&format!("{name}: {}", error.chain()));
                    documents.push(json!({"repository": name, "run": null, "result": "error", "error": error.chain(), "resources": []}));
                    worst = Ending::Failed;
                }
            }
        }
        format.print(|| texts, || Value::Array(documents))?;
        Ok(worst)
    }

    fn with(&self, site: &Site, interrupt: &Interrupt, repository: &Repository) -> Result<RunReport> {
        let ask = Ask {
            resources: Some(self.resources.clone()).filter(|names| !names.is_empty()),
            pull: !self.push_only,
            push: !self.pull_only,
            full: self.full,
            dry_run: self.dry_run,
            named: None,
        };
        let line = Line::new();
        let stop = || interrupt.was_asked().then(|| Error::new(Kind::Stopped, "stopped on request; the next run goes on from here"));
        let mut progress = |p: &entente::sync::run::Progress<'_>| {
            line.show(&format!("{} {}", p.direction, p.resource), p.counts.records, p.total.unwrap_or(0))
        };
        let report = run(site, repository, &ask, &mut Control { stop: &stop, progress: &mut progress })?;
        drop(line);
        for warning in &report.warnings {
            warn(warning);
        }
        for part in &report.resources {
            if let Some(error) = &part.error {
                complain(&format!("{} {}: {}", part.direction, part.resource, error.chain()));
            }
        }
        Ok(report)
    }
}

fn ending(report: &RunReport) -> Ending {
    let failed = report.result.failed() || report.resources.iter().any(|part| part.error.is_some());
    if failed { Ending::Failed } else { Ending::Done }
}

fn text(name: &str, report: &RunReport, dry_run: bool) -> String {
    let mut text = rows(&report.resources);
    let would = if dry_run { "Dry run, nothing is changed" } else { report.result.word() };
    text.push_str(&format!("\nRun {} with {name}: {would}. In full: entente log show {}\n", report.run, report.run));
    text
}

/// What travelled, as a table.
pub(super) fn rows(parts: &[ResourceReport]) -> String {
    let heading = ["resource", "way", "records", "bytes", "took", "result"];
    table(
        &heading,
        &["bytes", "took"],
        parts.iter().map(|part| {
            let counts = Some(part.counts.told()).filter(|text| !text.is_empty()).unwrap_or_else(|| "nothing new".into());
            let result = if part.error.is_some() { "failed" } else { "done" };
            [part.resource.clone(), part.direction.to_owned(), counts, size(part.counts.bytes), lasted(part.seconds), result.to_owned()]
        }),
    )
}

/// A run for programs.
pub(super) fn document(name: &str, report: &RunReport) -> Value {
    let parts = report.resources.iter().map(|part| {
        let mut document = json!(part.counts);
        document["resource"] = json!(part.resource);
        document["direction"] = json!(part.direction);
        document["seconds"] = json!(part.seconds);
        document["error"] = json!(part.error.as_ref().map(Error::chain));
        document
    });
    json!({
        "repository": name, "run": report.run, "result": report.result.word(), "resources": parts.collect::<Vec<_>>(), "warnings": report.warnings,
        "verified": report.verified,
    })
}
