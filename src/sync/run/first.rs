//! Before the first page: did one of the journals go back, and do both sides already hold rows that nobody compared?

use super::{FETCH, Leg, Run};
use crate::{
    connector::Part,
    error::{Error, Kind, Result},
    model::{Hello, HelloResource, Identity, PullRequest, Want},
    peer::Peer,
    sync::{
        clones::{self, Seen},
        epoch, keep_bases,
        run::filters,
    },
};

impl<'r> Run<'r, '_> {
    /// Whether one of the two journals went back, or what was agreed is too long ago: then both sides have to compare.
    pub(super) fn prepare(&mut self, part: &mut Leg<'r>, hello: &Hello, peer: &dyn Peer) -> Result<()> {
        part.share = part.door.share(&part.table, hello.uuid, Part::Active)?;
        if part.share.lives.is_former(&part.there.epoch) {
            self.judge_them(part, hello, peer)?;
        }
        if part.there.heard > part.share.told {
            self.ask_for_verdict(part, peer)?;
            // Another table of this database may have shown it already.
            if part.door.journal()?.epoch == part.life {
                epoch::renew(self.site, &mut part.door, 0)?;
            }
            part.share = part.door.share(&part.table, hello.uuid, Part::Active)?;
            part.share.told = part.there.heard;
            (part.share.compare.due, part.share.compare.we_went_back) = (true, true);
        }
        if part.share.heard > part.there.told && part.share.epoch.as_ref() == Some(&part.there.epoch) {
            self.tell_it_went_back(part, peer)?;
        }
        if part.share.heard > part.there.told || part.share.epoch.as_ref().is_some_and(|epoch| *epoch != part.there.epoch) {
            (part.share.compare.due, part.share.compare.they_went_back) = (true, true);
            part.share.heard = part.share.heard.min(part.there.told);
        }
        part.share.compare.due |= part.there.compare;
        keep_bases(&mut *part.door, &mut part.table, part.resource.merge_fields)?;
        let table = part.table.clone();
        part.door.recheck(&table)
    }

    /// The last before the first page: from where on, of what.
    pub(super) fn ready(&mut self, part: &mut Leg<'r>, hello: &Hello, peer: &dyn Peer) -> Result<()> {
        if self.ask.full {
            part.share.start_over();
        }
        self.refuse_twins(part, peer)?;
        filters::ready(part, hello)
    }

    /// The journal of the peer shows a life that it had left. What it says now counts, not what it said before another run of ours.
    fn judge_them(&mut self, part: &mut Leg<'r>, hello: &Hello, peer: &dyn Peer) -> Result<()> {
        part.there = self.again(part, peer)?;
        if !part.share.lives.is_former(&part.there.epoch) {
            return Ok(());
        }
        let seen =
            Seen { peer: hello.uuid, part: Part::Active, life: &part.there.epoch, number: part.there.told, told: Some(part.share.told) };
        clones::judge(self.site, self.repository, &mut part.door, &part.table, &seen)?;
        part.share = part.door.share(&part.table, hello.uuid, Part::Active)?;
        Ok(())
    }

    /// Our journal stands before what the peer heard in our name: it was restored, unless the peer knows of another machine that does the same.
    fn ask_for_verdict(&self, part: &mut Leg<'r>, peer: &dyn Peer) -> Result<()> {
        let request = PullRequest { want: Want::Verdict, ..self.question(part) };
        match peer.pull(&request) {
            // A peer of another make, or one that grants us nothing, has no verdict.
            Err(error) if matches!(error.kind(), Kind::Epoch | Kind::Fence | Kind::Forbidden) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }

    fn question(&self, part: &Leg<'r>) -> PullRequest {
        PullRequest {
            resource: part.table.resource.clone(),
            cursor: String::new(),
            records: 1,
            bytes: 1,
            run: part.share.told,
            heard: part.share.heard,
            filters: part.asks(),
            life: part.life.clone(),
            want: Want::Page,
        }
    }

    fn again(&self, part: &Leg<'r>, peer: &dyn Peer) -> Result<HelloResource> {
        let again = peer.hello()?.hello.resources.into_iter().find(|there| there.name == part.table.resource);
        again.ok_or_else(|| Error::forbidden(format!("{} no longer offers {}", self.repository.name, part.table.resource)))
    }

    /// A peer that told us a greater run number than it remembers does not know that it was restored: any request of ours shows it.
    pub(super) fn tell_it_went_back(&mut self, part: &mut Leg<'r>, peer: &dyn Peer) -> Result<()> {
        match peer.pull(&self.question(part)) {
            Err(error) if error.kind() != Kind::Epoch => return Err(error),
            _ => {}
        }
        part.there = self.again(part, peer)?;
        Ok(())
    }

    pub(super) fn refuse_twins(&self, part: &mut Leg<'r>, peer: &dyn Peer) -> Result<()> {
        let first = part.share.pull.is_empty() && part.share.push == 0 && part.share.told == 0;
        let assigned = part.table.identity == Identity::Assigned && part.there.assigned && part.table.matching.is_empty();
        let theirs = part.there.records.unwrap_or(0);
        if !first || !assigned || part.resource.accept_twins || theirs == 0 || !part.resource.mode.pulls() && !part.resource.mode.pushes() {
            return Ok(());
        }
        let ours = part.door.count(&part.table)?;
        let sample = part.door.sample(&part.table, FETCH)?;
        // Sites that got the same records by way of a third one know the same uids.
        if ours == 0 || !peer.fetch(&part.table.resource, &sample)?.records.is_empty() {
            return Ok(());
        }
        let (name, repository) = (&part.table.resource, &self.repository.name);
        Err(Error::new(
            Kind::Undecided,
            format!(
                "both sites already hold {name}: {ours} records here, {theirs} at {repository}, and nothing says which of them are the same"
            ),
        )
        .hint(format!(
            "Name unique columns that tell (entente attach DATABASE URL --table {name} --match C,…), or say that they are all different: \
             entente resource set {repository} {name} --accept-twins"
        )))
    }
}
