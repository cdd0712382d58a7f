//! `entente verify`: do both sites hold the same?

use clap::Args;
use entente::{
    error::{Error, Result},
    store::repositories,
    sync::compare::{Difference, Looked, look},
};
use serde_json::{Value, json};

use super::{
    Context, Ending,
    output::{complain, size, table},
    versions::{line, record},
};

/// How many differences of each resource are shown to people.
const SHOWN: usize = 10;

/// Compare what both sites hold: equal, what differs, and what a rule holds apart. Nothing is exchanged
///
/// The exit status is 1 where something differs that no rule explains.
#[derive(Args)]
pub(super) struct Verify {
    /// The repository
    repository: String,
    /// Only this resource; may be said several times [default: all that are shared]
    #[arg(long = "resource", value_name = "RESOURCE")]
    resources: Vec<String>,
}

impl Verify {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let site = context.site()?;
        let repository = site.store.read(|c| repositories::get(c, site.store.key(), &self.repository))?;
        let peer = site.peer(&repository)?;
        let looked = look(&site, &repository, peer.as_ref(), &self.resources, SHOWN);
        site.hang_up();
        let (mut done, mut ending) = (Vec::new(), Ending::Done);
        for (resource, looked) in looked? {
            match looked {
                Ok(looked) => done.push(looked),
                Err(error) => {
                    complain(&format!("{resource}: {}", error.chain()));
                    ending = Ending::Failed;
                }
            }
        }
        if done.iter().any(|looked| looked.explained < looked.differing) {
            ending = Ending::Failed;
        }
        context.format().print(|| text(&self.repository, &done), || done.iter().map(document).collect())?;
        Ok(ending)
    }
}

fn text(name: &str, done: &[Looked]) -> String {
    let heading = ["resource", "equal", "differ", "explained", "round trips", "bytes"];
    let rows = done.iter().map(|looked| {
        let counts = [looked.equal, looked.differing, looked.explained, looked.rounds as u64].map(|count| count.to_string());
        [looked.resource.clone()].into_iter().chain(counts).chain([size(looked.bytes)])
    });
    let mut text = table(&heading, &["equal", "differ", "explained", "round trips", "bytes"], rows);
    text.push('\n');
    for looked in done.iter().filter(|looked| looked.differing > 0) {
        text.push_str(&format!("\n{}\n", looked.resource));
        for (reason, count) in &looked.reasons {
            let reason = if reason.is_empty() { "nothing explains it" } else { reason };
            text.push_str(&format!("  {count}: {reason}\n"));
        }
        for difference in &looked.shown {
            text.push_str(&format!("  {} {}  {}\n", difference.how.word(), difference.uid, label(difference)));
        }
        if looked.differing > looked.shown.len() as u64 {
            text.push_str(&format!("  … {} more\n", looked.differing - looked.shown.len() as u64));
        }
    }
    let unexplained: u64 = done.iter().map(|looked| looked.differing - looked.explained).sum();
    text.push_str(&match (unexplained, done.iter().all(|looked| looked.differing == 0)) {
        (_, true) => format!("{name} and this site hold the same.\n"),
        (0, _) => "Everything that differs is held apart by a rule, waits, or is on its way.\n".to_owned(),
        (1.., _) => format!("Look closer: entente compare {name} RESOURCE. Bring it over: entente transfer {name} RESOURCE UID\n"),
    });
    text
}

/// What a person knows a record by.
fn label(difference: &Difference) -> String {
    let page = difference.ours.as_ref().or(difference.theirs.as_ref());
    page.filter(|page| record(page).is_some()).map(line).unwrap_or_default()
}

/// A resource for programs.
fn document(looked: &Looked) -> Value {
    let reasons = looked.reasons.iter().map(|(reason, count)| json!({"reason": Some(reason).filter(|r| !r.is_empty()), "records": count}));
    let shown =
        looked.shown.iter().map(|difference| json!({"uid": difference.uid, "how": difference.how.word(), "reason": difference.reason}));
    json!({
        "resource": looked.resource, "equal": looked.equal, "differing": looked.differing, "explained": looked.explained,
        "rounds": looked.rounds, "bytes": looked.bytes, "reasons": reasons.collect::<Vec<_>>(), "differences": shown.collect::<Vec<_>>(),
    })
}

/// The only resource of an answer, or why it cannot be looked at.
pub(super) fn single(looked: Vec<(String, Result<Looked>)>) -> Result<Looked> {
    let looked = looked.into_iter().next().map(|(_, looked)| looked);
    looked.unwrap_or_else(|| Err(Error::not_found("nothing was compared")))
}
