//! Local edits, as the triggers noted them, become versions (SYNC.md 2 and 3).
//!
//! First the notes of what committed are taken over: each record that was written gets a new arrival. That is done by one transaction at a time, so
//! arrivals are in the order of commits, and no cursor ever passes what a long transaction still holds. Then, apart, they become versions.

use std::{collections::HashSet, sync::Arc};

use super::{
    Postgres,
    args::{Arg, Columns},
    failure::quoted,
    layout::Layout,
    sql::MARK,
};
use crate::{
    connector::{outline::LET_GO, seen::Seen},
    error::Result,
    model::{Actor, Digest, Page, RecordView, Uid, Version},
};

/// Rows folded in one transaction.
const BATCH: i64 = 1_000;

impl Postgres {
    /// Whether triggers noted anything that is not taken over.
    fn noted(&mut self, layout: &Layout) -> Result<bool> {
        self.link.one(&layout.sql.noted, &[], "read the notes")?.flag(0)
    }

    /// Takes over what triggers noted of these tables. Within a transaction.
    pub(super) fn gather(&mut self, tables: &[Arc<Layout>]) -> Result<()> {
        for layout in tables {
            if self.noted(layout)? {
                self.link.run(&layout.sql.gather, &[], "take over the notes")?;
            }
        }
        Ok(())
    }

    /// Takes over what triggers noted of a table and of those it refers to, in one transaction: whatever has an arrival, what it refers to has one.
    pub(super) fn gather_gently(&mut self, layout: &Layout) -> Result<()> {
        let tables = self.with_parents(layout);
        for table in &tables {
            if self.noted(table)? {
                return self.transaction(|db| db.gather(&tables));
            }
        }
        Ok(())
    }

    /// Whether local edits wait to become versions, notes not among them.
    pub(super) fn edited(&mut self, layout: &Layout) -> Result<bool> {
        // The order makes the index the only way there is, also where the server knows nothing of the table yet.
        let sql = format!("SELECT (SELECT own FROM {} WHERE own IS NOT NULL ORDER BY own LIMIT 1) IS NOT NULL", layout.state());
        self.link.one(&sql, &[], "read the journal")?.flag(0)
    }

    /// Whether local edits of a table wait to be folded.
    pub(super) fn unfolded(&mut self, layout: &Layout) -> Result<bool> {
        Ok(self.noted(layout)? || self.edited(layout)?)
    }

    /// Folds all local edits of a table and, first, of those it refers to. Within a transaction.
    pub(super) fn fold_all(&mut self, layout: &Layout) -> Result<()> {
        let (tables, mut open) = (self.with_parents(layout), Vec::new());
        self.gather(&tables)?;
        for table in tables {
            while self.edited(&table)? {
                open.push((table.clone(), self.fold_batch(&table)?));
            }
        }
        open.iter().try_for_each(|(table, arrivals)| self.complete(table, arrivals))
    }

    /// Folds in short transactions until nothing is left.
    pub(super) fn fold_gently(&mut self, layout: &Layout) -> Result<()> {
        let mut open = Vec::new();
        self.gather_gently(layout)?;
        for table in self.with_parents(layout) {
            while self.edited(&table)? {
                open.push((table.clone(), self.transaction(|db| db.fold_batch(&table))?));
            }
        }
        for (table, arrivals) in open.iter().filter(|(_, arrivals)| !arrivals.is_empty()) {
            self.transaction(|db| db.complete(table, arrivals))?;
        }
        Ok(())
    }

    /// Notes the digests of records that were folded while records which they refer to had no uid yet: rows of one table, or of tables
    /// in a circle, refer to each other. Until then, or where they refer to nothing, the digest is unknown, and no edit is taken for none.
    pub(super) fn complete(&mut self, layout: &Layout, arrivals: &[i64]) -> Result<()> {
        if arrivals.is_empty() {
            return Ok(());
        }
        // What was edited a moment ago is no longer what the version says.
        let sql = format!(
            "{} WHERE s.arrival = ANY($1::bigint[]) AND s.own IS NULL AND NOT EXISTS ({})",
            layout.select(&layout.state_and_row()),
            layout.notes_of_state()
        );
        let mut page = Page::default();
        let seen = self.read_rows(layout, &sql, &[Arg::ints(arrivals)], &mut page)?;
        let known = seen.iter().zip(page.views()).filter(|(noted, _)| noted.whole());
        let known: Vec<(i64, Digest)> = known.map(|(noted, record)| (noted.arrival, record.digest())).collect();
        self.note_digests(layout, &known, "s.own IS NULL")
    }

    /// Of states that were read in this transaction: the arrivals of those whose rows were edited before, and not taken over yet. What such a row
    /// holds is not what its version says.
    pub(super) fn noted_among(&mut self, layout: &Layout, arrivals: Vec<i64>) -> Result<HashSet<i64>> {
        let sql = format!(
            "SELECT s.arrival FROM {} s WHERE s.arrival = ANY($1::bigint[]) AND EXISTS ({})",
            layout.state(),
            layout.notes_of_state()
        );
        let rows = self.link.query(&sql, &[Arg::ints(&arrivals)], "read the journal")?;
        rows.iter().map(|row| row.int(0).map(|arrival| arrival.unwrap_or(0))).collect()
    }

    /// Notes the digests of versions that `still` fit: what their rows held in a snapshot in which no edit of them was noted.
    pub(super) fn note_digests(&mut self, layout: &Layout, known: &[(i64, Digest)], still: &str) -> Result<()> {
        let (arrivals, digests): (Vec<i64>, Vec<Arg<'_>>) =
            known.iter().map(|(arrival, digest)| (*arrival, Arg::Bytes(digest.0.to_vec().into()))).unzip();
        let from = format!(
            "SELECT n.* FROM unnest($1::bigint[], $2::bytea[]) n(arrival, digest) JOIN {} s ON s.arrival = n.arrival AND {still}",
            layout.state()
        );
        self.change(layout, &layout.change("digest = w.digest", &from), &[Arg::ints(&arrivals), Arg::List(digests)])
    }

    /// Folds some edits. Returns the arrivals of records that refer to something without a uid.
    fn fold_batch(&mut self, layout: &Layout) -> Result<Vec<i64>> {
        let me = self.me()?;
        let state = layout.state();
        let edited = format!("(SELECT * FROM {state} WHERE own IS NOT NULL ORDER BY own, arrival LIMIT {BATCH})");
        let sql = format!("{} ORDER BY s.arrival", layout.select(&layout.states_and_rows(&edited)));
        let (mut page, mut seen, mut uids, mut others) = (Page::default(), Vec::new(), Vec::new(), Vec::new());
        let names = layout.prepare(&mut page)?;
        for row in self.link.query(&sql, &[], "read the journal")? {
            let noted = layout.read(&row, &names, &self.sites, me.site, &mut page)?;
            let record = &page.records[page.records.len() - 1];
            others.extend(layout.other_uid(&row, &noted, page.view(record).uid())?.map(|uid| (noted.arrival, uid)));
            uids.push(if noted.uid_known { None } else { Some(layout.new_uid(page.view(record), &row, &self.uuids)?) });
            seen.push(noted);
        }
        let others = self.without_aliases(layout, others)?;
        if !others.is_empty() {
            self.part(layout, &others)?;
            return Ok(Vec::new());
        }
        let claimed: Vec<&str> = uids.iter().flatten().map(String::as_str).collect();
        let taken = self.formers(layout, &claimed)?;
        let (mut given, mut same, mut folded) = (HashSet::new(), Vec::new(), Vec::new());
        for ((noted, uid), record) in seen.iter().zip(uids).zip(page.views()) {
            let digest = noted.whole().then(|| record.digest());
            if noted.uid_known && digest.is_some() && noted.digest == digest && !record.record.version.is_empty() {
                // The edit changed nothing. A version of it could beat a real edit made elsewhere.
                same.push((noted.arrival, record.record.deleted));
                continue;
            }
            let mut version = record.record.version.clone();
            let mut uid = uid;
            if let Some(claims) = uid.clone() {
                match taken.iter().find(|former| former.uid == claims && former.arrival != noted.arrival) {
                    _ if given.contains(&claims) => uid = Some(Uid::of(self.uuids.next()).to_string()),
                    Some(former) if former.lives => uid = Some(Uid::of(self.uuids.next()).to_string()),
                    Some(former) => {
                        version = version.join(&former.version);
                        self.inherit(layout, noted.arrival, former.arrival)?;
                    }
                    None => {}
                }
                given.insert(claims);
            }
            folded.push(self.folded(noted, uid, version, record, me)?);
        }
        self.store_same(layout, &same)?;
        self.store_folded(layout, me, folded)?;
        Ok(seen.iter().filter(|noted| noted.dangling.is_some()).map(|noted| noted.arrival).collect())
    }

    /// Of rows with other uids than their records those whose uid is no alias: an adopted record keeps in its row the uid that it had.
    pub(super) fn without_aliases(&mut self, layout: &Layout, others: Vec<(i64, String)>) -> Result<Vec<i64>> {
        if others.is_empty() {
            return Ok(Vec::new());
        }
        let uids: Vec<&str> = others.iter().map(|(_, uid)| uid.as_str()).collect();
        let sql = format!("SELECT uid FROM {} WHERE uid = ANY($1::text[]) AND heir IS NOT NULL", layout.state());
        let rows = self.link.query(&sql, &[Arg::texts(&uids)], "read the journal")?;
        let aliases: HashSet<String> = rows.iter().map(|row| row.owned(0)).collect::<Result<_>>()?;
        Ok(others.into_iter().filter(|(_, uid)| !aliases.contains(uid)).map(|(arrival, _)| arrival).collect())
    }

    /// Rows that have become those of other records get states of their own; what was known under their keys is gone.
    fn part(&mut self, layout: &Layout, arrivals: &[i64]) -> Result<()> {
        let (state, ks, old) = (layout.state(), layout.ks(""), layout.ks("old."));
        let none: Vec<String> = (1..=layout.key.len()).map(|at| format!("k{at} = NULL")).collect();
        let sql = format!(
            "WITH old AS (SELECT arrival, {ks} FROM {state} WHERE arrival = ANY($1::bigint[])),
               freed AS (UPDATE {state} s SET deleted = true, {} FROM old WHERE s.arrival = old.arrival RETURNING {old}, s.arrival, s.own)
             INSERT INTO {state} (arrival, {ks}, own)
             SELECT (SELECT MAX(arrival) FROM {state}) + row_number() OVER (ORDER BY arrival), {ks}, own FROM freed",
            none.join(", ")
        );
        self.link.run(&sql, &[Arg::ints(arrivals)], "write the journal").map(drop)
    }

    fn folded(
        &mut self,
        noted: &Seen,
        uid: Option<String>,
        mut version: Version,
        record: RecordView<'_>,
        me: Actor,
    ) -> Result<Vec<Arg<'static>>> {
        let created = version.is_empty();
        version.set(me, u64::try_from(noted.arrival).unwrap_or(0));
        let version = self.sites.write_version(&mut self.link, &version)?;
        let digest = noted.whole().then(|| Arg::Bytes(record.digest().0.to_vec().into()));
        let edited = noted.own.unwrap_or(0);
        Ok(vec![
            noted.arrival.into(),
            uid.into(),
            version.into(),
            created.into(),
            edited.into(),
            record.record.deleted.into(),
            digest.unwrap_or(Arg::Null),
        ])
    }

    fn store_same(&mut self, layout: &Layout, same: &[(i64, bool)]) -> Result<()> {
        if same.is_empty() {
            return Ok(());
        }
        let arrivals: Vec<i64> = same.iter().map(|(arrival, _)| *arrival).collect();
        let deleted = Arg::List(same.iter().map(|(_, deleted)| Arg::Flag(*deleted)).collect());
        let sql = format!(
            "UPDATE {} s SET own = NULL, deleted = w.deleted FROM unnest($1::bigint[], $2::boolean[]) w(arrival, deleted) WHERE s.arrival = w.arrival",
            layout.state()
        );
        self.link.run(&sql, &[Arg::ints(&arrivals), deleted], "write the journal").map(drop)
    }

    fn store_folded(&mut self, layout: &Layout, me: Actor, folded: Vec<Vec<Arg<'static>>>) -> Result<()> {
        if folded.is_empty() {
            return Ok(());
        }
        let site = self.sites.id(&mut self.link, me.site)?;
        let mut args = columns(folded);
        args.push(site.into());
        let from = "SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::bigint[], $6::boolean[], $7::bytea[])
                    n(arrival, uid, version, created, edited, deleted, digest)";
        let set = "uid = COALESCE(w.uid, s.uid), version = w.version, author = $8::bigint,
                   origin = CASE WHEN w.created OR s.origin IS NULL THEN $8::bigint ELSE s.origin END,
                   modified_on = GREATEST(w.edited, s.modified_on + 1), settled = NULL, received_from = NULL, own = NULL, deleted = w.deleted,
                   heir = NULL, digest = w.digest, run = NULL, extra = CASE WHEN w.deleted THEN NULL ELSE s.extra END";
        self.change(layout, &layout.change(set, from), &args)
    }

    /// What the journal knows under uids that new local rows claim.
    fn formers(&mut self, layout: &Layout, uids: &[&str]) -> Result<Vec<Former>> {
        if uids.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT s.uid, s.arrival, s.version, t.{} IS NOT NULL FROM {} WHERE s.uid = ANY($1::text[])",
            quoted(&layout.key[0].name),
            layout.state_and_row()
        );
        let rows = self.link.query(&sql, &[Arg::texts(uids)], "read the journal")?;
        let former = |row: &postgres::Row| {
            Ok(Former {
                uid: row.owned(0)?,
                arrival: row.int(1)?.unwrap_or(0),
                version: self.sites.read_version(row.text(2)?.unwrap_or_default())?,
                lives: row.flag(3)?,
            })
        };
        rows.iter().map(former).collect()
    }

    /// A new row goes on with a record that is gone, or went unnoticed.
    fn inherit(&mut self, layout: &Layout, arrival: i64, former: i64) -> Result<()> {
        let state = layout.state();
        let sql = format!(
            "UPDATE {state} SET (modified_on, origin, held) =
             (SELECT modified_on, origin, NULLIF(held, {LET_GO}) FROM {state} WHERE arrival = $2::bigint) WHERE arrival = $1::bigint"
        );
        self.link.run(&sql, &[arrival.into(), former.into()], "write the journal")?;
        self.drop_states(layout, "arrival = $1::bigint", &[former.into()])
    }

    /// Removes states, and what they add to the sum.
    pub(super) fn drop_states(&mut self, layout: &Layout, condition: &str, args: &[Arg<'_>]) -> Result<()> {
        let none = "NULL::text, NULL::text, NULL::bytea";
        let sql = format!("DELETE FROM {} WHERE {condition} RETURNING {}, {none}", layout.state(), MARK.join(", "));
        self.change(layout, &sql, args)
    }
}

/// Rows of values as an array a column.
pub(super) fn columns(rows: Vec<Vec<Arg<'_>>>) -> Vec<Arg<'_>> {
    let mut columns: Vec<Vec<Arg<'_>>> = Vec::new();
    for row in rows {
        columns.resize_with(row.len(), Vec::new);
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    columns.into_iter().map(Arg::List).collect()
}

/// What stands under a uid: a tombstone, or a record whose row went unnoticed, unless it lives.
struct Former {
    uid: String,
    arrival: i64,
    version: Version,
    lives: bool,
}
