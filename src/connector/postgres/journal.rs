//! Rows that are there become records: when a table is attached, and when a sweep finds what no trigger noticed.

use std::collections::HashSet;

use super::{
    Postgres,
    args::{Arg, Columns},
    failure::quoted,
    fold::columns,
    layout::Layout,
};
use crate::{
    connector::{KeyPart, Progress, Swept, attached::parents_first, seen::Seen},
    error::Result,
    model::{Page, Time, Version},
};

/// Rows journalled in one transaction. Applications do not wait for it.
const STEP: i64 = 2_000;

/// What was read of a row that is to be journalled: its state, its key and the uid it would get, where it has none.
type Found = (Seen, Vec<KeyPart>, Option<String>);

impl Postgres {
    /// Journals the rows that are there: new ones, ones that changed while no trigger watched, and those that went.
    pub(super) fn journal_rows(&mut self, now: Time, progress: Progress<'_>) -> Result<()> {
        self.refresh()?;
        let mut order = parents_first(&self.layouts);
        order.retain(|layout| !layout.table.ready);
        for layout in &order {
            let total = self.rows_of(layout)?;
            progress(&layout.table.resource, 0, total);
            let known = self.max_arrival(layout)?;
            let (mut after, mut done) = (None, 0);
            loop {
                let (last, some) = self.transaction(|db| db.journal_some(layout, after.as_deref(), now))?;
                done += some.rows;
                progress(&layout.table.resource, done.min(total), total);
                match last {
                    Some(last) => after = Some(last),
                    None => break,
                }
            }
            if known > 0 {
                self.bury_vanished(layout, known, now)?;
            }
            let sql = "UPDATE entente.tab SET ready = true WHERE id = $1::bigint";
            self.transaction(|db| db.link.run(sql, &[layout.table.id.into()], "write the journal"))?;
            progress(&layout.table.resource, total, total);
        }
        for layout in order.iter().filter(|layout| !layout.references.is_empty()) {
            self.complete_journalled(layout)?;
        }
        self.schema = None;
        self.refresh()
    }

    /// How many rows a table has.
    pub(super) fn rows_of(&mut self, layout: &Layout) -> Result<u64> {
        let count = self.link.one(&format!("SELECT count(*) FROM {}", layout.rel), &[], "count the rows")?.int(0)?;
        Ok(u64::try_from(count.unwrap_or(0)).unwrap_or(0))
    }

    /// Notes the digests of rows that were journalled before what they refer to.
    fn complete_journalled(&mut self, layout: &Layout) -> Result<()> {
        let sql = format!("SELECT arrival FROM {} WHERE digest IS NULL AND own IS NULL AND NOT deleted", layout.state());
        let rows = self.link.query(&sql, &[], "read the journal")?;
        let open: Vec<i64> = rows.iter().map(|row| row.int(0).map(|arrival| arrival.unwrap_or(0))).collect::<Result<_>>()?;
        open.chunks(STEP as usize).try_for_each(|arrivals| self.transaction(|db| db.complete(layout, arrivals)))
    }

    /// Journals some rows after a key. Returns the last key, `None` when the table is through.
    pub(super) fn journal_some(&mut self, layout: &Layout, after: Option<&[KeyPart]>, now: Time) -> Result<(Option<Vec<KeyPart>>, Swept)> {
        // What the triggers have noted needs nothing more.
        self.gather(&self.with_parents(layout))?;
        let me = self.me()?;
        let keys = |prefix: &str| layout.key.iter().map(|key| format!("{prefix}{}", quoted(&key.name))).collect::<Vec<_>>().join(", ");
        let marks: Vec<String> = (1..=after.map_or(0, <[KeyPart]>::len)).map(|at| format!("${at}")).collect();
        let beyond = if marks.is_empty() { String::new() } else { format!("WHERE ({}) > ({})", keys(""), marks.join(", ")) };
        let rows = format!("(SELECT * FROM {} {beyond} ORDER BY {} LIMIT {STEP})", layout.rel, keys(""));
        let from = format!("{rows} t LEFT JOIN {} s ON {}", layout.state(), layout.on_key("t", "s"));
        let sql = format!("{} ORDER BY {}", layout.select(&from), keys("t."));
        let args: Vec<Arg<'_>> = after.unwrap_or(&[]).iter().map(Arg::of_key).collect();
        let (mut page, mut found, mut others, mut last) = (Page::default(), Vec::new(), Vec::new(), None);
        let names = layout.prepare(&mut page)?;
        let rows = self.link.query(&sql, &args, "read the table")?;
        let through = (rows.len() as i64) < STEP;
        for row in &rows {
            let seen = layout.read(row, &names, &self.sites, me.site, &mut page)?;
            let key = layout.key_at(row)?;
            let record = &page.records[page.records.len() - 1];
            let uid = if seen.arrival == 0 { Some(layout.new_uid(page.view(record), row, &self.uuids)?) } else { None };
            others.extend(layout.other_uid(row, &seen, page.view(record).uid())?.map(|uid| (seen.arrival, uid)));
            last = Some(key.clone());
            found.push((seen, key, uid));
        }
        let others = self.without_aliases(layout, others)?;
        let swept = self.journal_found(layout, &found, &others, &page, now)?;
        Ok((last.filter(|_| !through), swept))
    }

    fn journal_found(&mut self, layout: &Layout, found: &[Found], others: &[i64], page: &Page, now: Time) -> Result<Swept> {
        let claimed: Vec<&str> = found.iter().filter_map(|(_, _, uid)| uid.as_deref()).collect();
        let sql = format!("SELECT uid FROM {} WHERE uid = ANY($1::text[])", layout.state());
        let taken = self.link.query(&sql, &[Arg::texts(&claimed)], "read the journal")?;
        let mut taken: HashSet<String> = taken.iter().map(|row| row.owned(0)).collect::<Result<_>>()?;
        let me = self.me()?;
        let (mut arrival, mut added, mut changed) = (self.max_arrival(layout)?, Vec::new(), Vec::new());
        let mut swept = Swept { rows: found.len() as u64, ..Swept::default() };
        for ((seen, key, uid), record) in found.iter().zip(page.views()).filter(|((seen, ..), _)| seen.own.is_none()) {
            // A row stands where the journal has a tombstone: it was put back. One whose digest is unknown still refers to nothing.
            let put_back = record.record.deleted;
            let differs = put_back || others.contains(&seen.arrival) || seen.digest != seen.whole().then(|| record.digest());
            swept.added += u64::from(uid.is_some() || put_back);
            swept.changed += u64::from(uid.is_none() && differs && !put_back);
            if uid.is_none() && !differs {
                continue;
            }
            arrival += 1;
            let Some(uid) = uid else {
                changed.push(vec![Arg::Int(seen.arrival), Arg::Int(arrival)]);
                continue;
            };
            let mut state = vec![Arg::Int(arrival)];
            if taken.insert(uid.clone()) {
                let version = self.sites.write_version(&mut self.link, &Version::of(me, u64::try_from(arrival).unwrap_or(1)))?;
                let digest = seen.whole().then(|| Arg::Bytes(record.digest().0.to_vec().into()));
                state.extend([uid.clone().into(), version.into(), digest.unwrap_or(Arg::Null), Arg::Null, now.0.into()]);
            } else {
                // A tombstone, or another row under the same uid: folding decides, with both in view.
                state.extend([Arg::Null, Arg::Null, Arg::Null, now.0.into(), Arg::Int(0)]);
            }
            state.extend(key.iter().map(Arg::of_key));
            added.push(state);
        }
        self.add_states(layout, added)?;
        if !changed.is_empty() {
            let sql = format!(
                "UPDATE {} s SET arrival = w.next, own = $3::bigint, deleted = false FROM unnest($1::bigint[], $2::bigint[]) w(arrival, next)
                 WHERE s.arrival = w.arrival",
                layout.state()
            );
            let mut args = columns(changed);
            args.push(now.0.into());
            self.link.run(&sql, &args, "write the journal")?;
        }
        Ok(swept)
    }

    fn add_states(&mut self, layout: &Layout, added: Vec<Vec<Arg<'_>>>) -> Result<()> {
        if added.is_empty() {
            return Ok(());
        }
        let me = self.me()?.site;
        let site = self.sites.id(&mut self.link, me)?;
        let ks = layout.ks("");
        let arrays: String = layout.key.iter().enumerate().map(|(at, key)| format!(", ${}::{}[]", at + 7, key.bare())).collect();
        let sql = format!(
            "INSERT INTO {} (arrival, uid, version, digest, own, modified_on, {ks}, origin, author)
             SELECT arrival, uid, version, digest, own, modified_on, {ks}, CASE WHEN uid IS NOT NULL THEN {site} END, CASE WHEN uid IS NOT NULL THEN {site} END
             FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[], $5::bigint[], $6::bigint[]{arrays})
               w(arrival, uid, version, digest, own, modified_on, {ks})
             RETURNING NULL::text, NULL::text, NULL::bytea, uid, version, digest",
            layout.state()
        );
        self.change(layout, &sql, &columns(added))
    }

    /// Records up to an arrival whose rows went while no trigger watched become local deletions.
    pub(super) fn bury_vanished(&mut self, layout: &Layout, upto: i64, now: Time) -> Result<u64> {
        const WINDOW: i64 = 50_000;
        let sql = format!(
            "SELECT s.arrival FROM {} WHERE NOT s.deleted AND t.{} IS NULL AND s.arrival BETWEEN $1::bigint AND $2::bigint",
            layout.state_and_row(),
            quoted(&layout.key[0].name)
        );
        let mut buried = 0;
        for first in (0..=upto).step_by(WINDOW as usize) {
            let rows = self.link.query(&sql, &[first.into(), (first + WINDOW - 1).into()], "read the journal")?;
            let gone: Vec<i64> = rows.iter().map(|row| row.int(0).map(|arrival| arrival.unwrap_or(0))).collect::<Result<_>>()?;
            if !gone.is_empty() {
                buried += self.transaction(|db| db.bury(layout, &gone, now))?;
            }
        }
        Ok(buried)
    }

    /// Notes local deletions of the records with these arrivals. Returns how many there were.
    pub(super) fn bury(&mut self, layout: &Layout, arrivals: &[i64], now: Time) -> Result<u64> {
        let state = layout.state();
        let sql = format!(
            "UPDATE {state} s SET arrival = w.next, own = GREATEST($2::bigint, COALESCE(s.own, 0)), deleted = true
             FROM (SELECT arrival, (SELECT MAX(arrival) FROM {state}) + row_number() OVER (ORDER BY arrival) AS next FROM {state}
                   WHERE arrival = ANY($1::bigint[]) AND NOT deleted) w WHERE s.arrival = w.arrival"
        );
        self.link.run(&sql, &[Arg::ints(arrivals), now.0.into()], "write the journal")
    }
}
