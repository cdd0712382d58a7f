//! Records that refer to records which are not here: they are parked, and applied together with what they wait for, whatever the circle.

use std::collections::HashSet;

use super::{BATCH, Import, Item, Step, references_of};
use crate::{
    connector::{Table, Target, Waiter, Which},
    error::{Kind, Result},
};

/// A record whose references are not all here.
struct Open<'a> {
    table: Table,
    item: Item<'a>,
    missing: Vec<(String, String)>,
}

impl Import<'_> {
    /// Takes out what other rules have to decide: of what waits of another table, or came from another site, only a record that is new is the
    /// same under all of them.
    fn for_these_rules(&mut self, table: &Table, waiters: Vec<Waiter>) -> Result<Vec<Waiter>> {
        let mut kept = Vec::new();
        for waiter in waiters {
            let ours = self.is_under_our_rules(table, &waiter);
            let new = ours || {
                let Some(other) = self.tx.table(&waiter.resource)? else { continue };
                let uid = waiter.page.view(&waiter.page.records[0]).uid();
                self.tx.locals(&other, &[uid], waiter.site)?.found.iter().all(Option::is_none)
            };
            if new {
                kept.push(waiter);
            }
        }
        Ok(kept)
    }

    /// Records whose references were not here: again while that helps, then together with what waits for them and they for it.
    pub(super) fn settle(
        &mut self,
        table: &Table,
        items: &[Item<'_>],
        missing: Vec<(usize, Vec<(String, String)>)>,
        arrived: Vec<(String, String)>,
    ) -> Result<()> {
        let mut open: Vec<Open<'_>> =
            missing.into_iter().map(|(place, _)| Open { table: table.clone(), item: items[place], missing: Vec::new() }).collect();
        let mut arrived = arrived;
        let mut pool: Vec<Waiter> = Vec::new();
        if self.waiting {
            let mut asked: Vec<(String, String)> = arrived.clone();
            asked.extend(open.iter().map(|open| (open.table.resource.clone(), open.item.view.uid().to_owned())));
            while !asked.is_empty() {
                let more = self.tx.waiters(Which::For(&asked), BATCH)?;
                let fresh: Vec<Waiter> = more
                    .into_iter()
                    .filter(|waiter| pool.iter().all(|known| known.id != waiter.id))
                    .filter(|waiter| items.iter().all(|item| item.waited.is_none_or(|known| known.id != waiter.id)))
                    .collect();
                let fresh = self.for_these_rules(table, fresh)?;
                asked = fresh
                    .iter()
                    .map(|waiter| (waiter.resource.clone(), waiter.page.view(&waiter.page.records[0]).uid().to_owned()))
                    .collect();
                pool.extend(fresh);
            }
        }
        for waiter in &pool {
            if let Some(table) = self.tx.table(&waiter.resource)? {
                let item = Item { view: waiter.page.view(&waiter.page.records[0]), waited: Some(waiter), at: 0 };
                open.push(Open { table, item, missing: Vec::new() });
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        loop {
            let tried: Vec<Item<'_>> = open.iter().map(|open| open.item).collect();
            self.look_up(&tried)?;
            let ready = self.closed(&mut open);
            if ready.is_empty() {
                break;
            }
            self.together(ready, &mut arrived)?;
        }
        for open in open.iter().filter(|open| open.item.waited.is_none()) {
            self.park(&open.table, &open.item, &open.missing)?;
        }
        Ok(())
    }

    /// Takes out of `open` the records whose references are all here or among themselves.
    fn closed<'a>(&self, open: &mut Vec<Open<'a>>) -> Vec<Open<'a>> {
        let mut ready: Vec<bool> = vec![true; open.len()];
        loop {
            let among: HashSet<(&str, &str)> = open
                .iter()
                .zip(&ready)
                .filter(|(open, ready)| **ready && !open.item.view.record.deleted)
                .map(|(open, _)| (open.table.resource.as_str(), open.item.view.uid()))
                .collect();
            let lacking: Vec<Vec<(String, String)>> = open
                .iter()
                .map(|open| {
                    let lacks = |(resource, uid): &(&str, &str)| {
                        !among.contains(&(*resource, *uid)) && !matches!(self.targets.get(resource, uid), Target::Here(_))
                    };
                    references_of(&open.table, open.item.view)
                        .filter(lacks)
                        .map(|(resource, uid)| (resource.to_owned(), uid.to_owned()))
                        .collect()
                })
                .collect();
            let next: Vec<bool> = lacking.iter().map(Vec::is_empty).collect();
            let stable = next.iter().zip(&ready).all(|(next, ready)| !*ready || *next);
            for (open, lacking) in open.iter_mut().zip(lacking) {
                open.missing = lacking;
            }
            ready = next;
            if stable {
                break;
            }
        }
        let mut flags = ready.into_iter();
        let (taken, left) = open.drain(..).partition(|_| flags.next().unwrap_or(false));
        *open = left;
        taken
    }

    /// Records that may refer to each other: all get their keys first, and constraints wait for the commit.
    fn together(&mut self, ready: Vec<Open<'_>>, arrived: &mut Vec<(String, String)>) -> Result<()> {
        self.tx.defer()?;
        let mut locals = Vec::with_capacity(ready.len());
        for open in &ready {
            locals.push(self.tx.locals(&open.table, &[open.item.view.uid()], self.terms.peer)?);
        }
        // A key that is made of a reference can be reserved once what it refers to has one.
        let mut unreserved = Vec::new();
        for at in 0..ready.len() {
            let (table, view) = (&ready[at].table, ready[at].item.view);
            let comes = !view.record.deleted && !locals[at].found[0].is_some_and(|found| found.living);
            // One that matches a local record waits for the peer's answer or adopts that: nothing may refer to a key of its own.
            if comes && (table.matching.is_empty() || self.tx.twin(table, view, &self.targets)?.is_none()) {
                unreserved.push(at);
            }
        }
        loop {
            let before = unreserved.len();
            let mut rest = Vec::new();
            for at in unreserved {
                let open = &ready[at];
                match self.tx.reserve(&open.table, open.item.view, &self.targets) {
                    Ok(key) => self.targets.set(&open.table.resource, open.item.view.uid(), Target::Here(key)),
                    Err(error) if error.kind() == Kind::Constraint => rest.push(at),
                    Err(error) => return Err(error),
                }
            }
            if rest.is_empty() || rest.len() == before {
                break;
            }
            unreserved = rest;
        }
        for (open, locals) in ready.iter().zip(&locals) {
            match self.one(&open.table, &open.item, locals, 0)? {
                Step::Done => arrived.push((open.table.resource.clone(), open.item.view.uid().to_owned())),
                Step::Missing(wanted) => {
                    self.targets.set(&open.table.resource, open.item.view.uid(), Target::Missing);
                    self.park(&open.table, &open.item, &wanted)?;
                }
                Step::Failed(error) => {
                    self.targets.set(&open.table.resource, open.item.view.uid(), Target::Missing);
                    self.quarantine(&open.table, &open.item, &error.chain())?;
                }
            }
        }
        Ok(())
    }
}
