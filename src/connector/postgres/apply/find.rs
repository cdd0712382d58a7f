//! What is here: records by their uids, where references lead, matches.

use super::{Transaction, states};
use crate::{
    connector::{
        Apply, Key, Locals, Table, Target, Targets,
        aliases::in_order,
        postgres::{
            args::{Arg, Columns},
            failure::quoted,
            layout::Layout,
        },
        seen::{Seen, place},
    },
    error::{Kind as Fault, Result},
    model::{Page, RecordView, SiteId, Time},
};

impl Transaction<'_> {
    /// See [`crate::connector::Apply::locals`].
    pub(super) fn find_locals(&mut self, table: &Table, uids: &[&str], peer: SiteId) -> Result<Locals> {
        let layout = self.layout(table)?;
        self.catch_up(&layout)?;
        let heirs = self.heirs(&layout, uids)?;
        let wanted: Vec<&str> = uids.iter().map(|uid| heirs.last(uid)).collect();
        let mut locals = Locals { found: vec![None; uids.len()], ..Locals::default() };
        let mut seen = self.read_locals(&layout, &wanted, &mut locals.page)?;
        let vanished: Vec<i64> = seen.iter().filter(|seen| seen.vanished).map(|seen| seen.arrival).collect();
        if !vanished.is_empty() {
            self.db.bury(&layout, &vanished, Time(0))?;
            self.db.fold_all(&layout)?;
            locals.page = Page::default();
            seen = self.read_locals(&layout, &wanted, &mut locals.page)?;
        }
        if seen.is_empty() {
            return Ok(locals);
        }
        if layout.table.bases {
            let known: Vec<&str> = locals.page.views().map(RecordView::uid).collect();
            self.db.read_bases(&layout, &known, &mut locals.bases)?;
        }
        place(&mut locals, &seen, &wanted, self.db.sites.known(peer));
        Ok(locals)
    }

    /// See [`crate::connector::Apply::resolve`].
    pub(super) fn find_targets(&mut self, wanted: &[(&str, &str)]) -> Result<Targets> {
        self.flush()?;
        let mut targets = Targets::default();
        self.last_arrival = None;
        for (resource, uids) in in_order(wanted) {
            let Some(layout) = self.db.layouts.iter().find(|layout| layout.table.resource == resource).cloned() else { continue };
            self.db.fold_all(&layout)?;
            self.find_target(&layout, &uids.into_iter().collect::<Vec<_>>(), &mut targets)?;
        }
        Ok(targets)
    }

    /// See [`crate::connector::Apply::twin`].
    pub(super) fn find_twin(&mut self, table: &Table, record: RecordView<'_>, targets: &Targets) -> Result<Option<String>> {
        self.flush()?;
        let layout = self.layout(table)?;
        let (mut conditions, mut args) = (Vec::new(), Vec::new());
        for field in &table.matching {
            if let Some(data) = layout.data.iter().find(|data| data.field == *field) {
                conditions.push(format!("t.{} = ${}", quoted(&data.column), conditions.len() + 1));
                // What is no value of this column's type matches nothing.
                args.push(record.get(field).and_then(|value| data.form.take(value).ok()).map_or(Arg::Null, |(arg, _)| arg));
            } else if let Some(link) = layout.references.iter().find(|link| link.field == *field) {
                let set = self.link_values(link, record, targets).unwrap_or(None).unwrap_or_default();
                for (column, part) in link.columns.iter().zip(set) {
                    conditions.push(format!("t.{} = ${}", quoted(column), conditions.len() + 1));
                    args.push(states::owned(&part));
                }
            }
        }
        if conditions.is_empty() || args.contains(&Arg::Null) {
            return Ok(None);
        }
        let (state, on) = (layout.state(), layout.on_key("t", "s"));
        let sql = format!("SELECT s.uid FROM {} t JOIN {state} s ON {on} WHERE NOT s.deleted AND {}", layout.rel, conditions.join(" AND "));
        // A value that a column of this type cannot hold matches nothing.
        let found = self.within_savepoint(|tx| tx.db.link.query(&sql, &args, "look for a match"));
        match found {
            Err(error) if error.kind() == Fault::Constraint && !Apply::broken(self) => Ok(None),
            found => found?.first().map(|row| row.owned(0)).transpose(),
        }
    }

    /// Reads records, and remembers the keys of their rows.
    fn read_locals(&mut self, layout: &Layout, uids: &[&str], page: &mut Page) -> Result<Vec<Seen>> {
        let names = layout.prepare(page)?;
        let (me, mut all) = (self.me.site, Vec::with_capacity(uids.len()));
        for row in self.db.link.query(&layout.sql.named, &[Arg::texts(uids)], "read the records")? {
            let seen = layout.read(&row, &names, &self.db.sites, me, page)?;
            if seen.present {
                self.keys.insert((layout.table.id, seen.arrival), Key(layout.key_at(&row)?));
            }
            all.push(seen);
        }
        Ok(all)
    }

    fn find_target(&mut self, layout: &Layout, uids: &[&str], targets: &mut Targets) -> Result<()> {
        let heirs = self.heirs(layout, uids)?;
        let followers = heirs.followers(uids);
        let asked: Vec<&str> = followers.keys().copied().collect();
        let sql =
            format!("SELECT s.uid, s.deleted, {} FROM {} s WHERE s.uid = ANY($1::text[])", layout.state_key().join(", "), layout.state());
        for row in self.db.link.query(&sql, &[Arg::texts(&asked)], "follow references")? {
            let found = row.text(0)?.unwrap_or_default();
            let target = if row.flag(1)? { Target::Deleted } else { Target::Here(Key(layout.key_from(&row, 2)?)) };
            targets.set_all(&layout.table.resource, followers.get(found).map_or(&[], Vec::as_slice), found, &target);
        }
        Ok(())
    }
}
