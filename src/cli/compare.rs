//! `entente compare` and `entente transfer`: what differs, side by side, and what of it is to move.

use clap::Args;
use entente::{
    error::{Error, Result},
    store::repositories,
    sync::{
        compare::{Difference, Looked, look},
        run::{Ask, Control, RunReport, run},
    },
};
use serde_json::{Value, json};

use super::{
    Context, Ending,
    output::{complain, table, warn},
    verify::single,
    versions::{Names, compare, document as version, shown, written},
};

/// How many differences are shown where nobody says.
const SHOWN: usize = 100;

/// Show the records of a resource that differ from those of another site, field by field. Nothing is exchanged
#[derive(Args)]
pub(super) struct Compare {
    /// The repository
    repository: String,
    /// The resource
    resource: String,
    /// How many differences are shown
    #[arg(long, value_name = "N", default_value_t = SHOWN)]
    limit: usize,
}

impl Compare {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let site = context.site()?;
        let repository = site.store.read(|c| repositories::get(c, site.store.key(), &self.repository))?;
        let peer = site.peer(&repository)?;
        let looked = look(&site, &repository, peer.as_ref(), std::slice::from_ref(&self.resource), self.limit);
        site.hang_up();
        let (looked, names) = (single(looked?)?, Names::of(&site)?);
        context.format().print(|| text(&self.repository, &looked, &names), || document(&looked))?;
        Ok(Ending::Done)
    }
}

fn text(name: &str, looked: &Looked, names: &Names) -> String {
    let mut text = String::new();
    for difference in &looked.shown {
        text.push_str(&format!("{} {} {}\n", difference.how.word(), looked.resource, difference.uid));
        if let Some(reason) = &difference.reason {
            text.push_str(&format!("  why: {reason}\n"));
        }
        text.push_str(&fields(difference, names));
        text.push('\n');
    }
    text.push_str(&format!("{} identical, {} differ", looked.equal, looked.differing));
    match looked.differing - looked.shown.len() as u64 {
        0 => text.push_str(".\n"),
        more => text.push_str(&format!("; {more} of them are not shown. See more: --limit {}\n", looked.differing)),
    }
    if looked.differing > 0 {
        text.push_str(&format!("Bring some over: entente transfer {name} {} UID…\n", looked.resource));
    }
    text
}

fn fields(difference: &Difference, names: &Names) -> String {
    match (&difference.ours, &difference.theirs) {
        (Some(ours), Some(theirs)) => {
            let rows = compare(ours, theirs).into_iter().map(|field| {
                let mark = if field.differs() { "≠" } else { "" };
                [field.field.to_owned(), shown(field.ours), shown(field.theirs), mark.to_owned()]
            });
            let text = format!("  here {}; there {}\n", written(ours, names), written(theirs, names));
            text + &table(&["field", "here", "there", ""], &[], rows) + "\n"
        }
        (Some(only), None) | (None, Some(only)) => format!("  {}\n  {}\n", written(only, names), super::versions::line(only)),
        (None, None) => String::new(),
    }
}

fn document(looked: &Looked) -> Value {
    let shown = looked.shown.iter().map(|difference| {
        let (ours, theirs) = (difference.ours.as_ref(), difference.theirs.as_ref());
        let fields = match (ours, theirs) {
            (Some(ours), Some(theirs)) => compare(ours, theirs).iter().map(super::versions::field_document).collect(),
            _ => Value::Null,
        };
        json!({
            "uid": difference.uid, "how": difference.how.word(), "reason": difference.reason, "ours": ours.map(version),
            "theirs": theirs.map(version), "fields": fields,
        })
    });
    json!({
        "resource": looked.resource, "identical": looked.equal, "differing": looked.differing, "differences": shown.collect::<Vec<_>>(),
    })
}

/// Take and give just these records, and what they refer to, by the rules of the resource
#[derive(Args)]
pub(super) struct Transfer {
    /// The repository
    repository: String,
    /// The resource
    resource: String,
    /// The records, by their uids
    #[arg(required = true, value_name = "UID")]
    uids: Vec<String>,
    /// Only take from them
    #[arg(long, conflicts_with = "push_only")]
    pull_only: bool,
    /// Only give to them
    #[arg(long)]
    push_only: bool,
}

impl Transfer {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let site = context.site()?;
        let repository = site.store.read(|c| repositories::get(c, site.store.key(), &self.repository))?;
        let ask = Ask {
            resources: Some(vec![self.resource.clone()]),
            pull: !self.push_only,
            push: !self.pull_only,
            named: Some(self.uids.clone()),
            ..Ask::default()
        };
        let report = run(&site, &repository, &ask, &mut Control { stop: &|| None, progress: &mut |_| {} });
        site.hang_up();
        let report = report?;
        report.warnings.iter().for_each(|warning| warn(warning));
        for part in &report.resources {
            if let Some(error) = &part.error {
                complain(&format!("{} {}: {}", part.direction, part.resource, error.chain()));
            }
        }
        context.format().print(|| moved_text(&report), || moved_document(&report))?;
        let failed = report.resources.iter().any(|part| part.error.is_some()) || report.moved.iter().any(|moved| !moved.equal);
        Ok(if failed { Ending::Failed } else { Ending::Done })
    }
}

fn moved_text(report: &RunReport) -> String {
    let yes = |equal: bool| if equal { "yes" } else { "no" }.to_owned();
    let rows = report.moved.iter().map(|moved| [moved.uid.clone(), moved.what.clone(), yes(moved.equal)]);
    format!("{}\nIn full: entente log show {}\n", table(&["uid", "what became of it", "equal now"], &[], rows), report.run)
}

fn moved_document(report: &RunReport) -> Value {
    let moved = report.moved.iter().map(|moved| json!({"uid": moved.uid, "what": moved.what, "equal": moved.equal}));
    let errors = report.resources.iter().filter_map(|part| part.error.as_ref().map(Error::chain));
    json!({
        "run": report.run, "result": report.result.word(), "records": moved.collect::<Vec<_>>(), "errors": errors.collect::<Vec<_>>(),
        "warnings": report.warnings,
    })
}
