//! The tables that are attached: which one is meant, and which come before which.

use std::{
    collections::{HashMap, HashSet},
    ops::Deref,
    sync::Arc,
};

use super::{Table, outline::Outline, shape::Shape};
use crate::error::{Error, Kind, Result};

/// The layout of a table.
pub(super) fn layout_of<S: Shape, L: Deref<Target = Outline<S>>>(all: &[Arc<L>], table: &Table) -> Result<Arc<L>> {
    all.iter().find(|layout| layout.table.id == table.id).cloned().ok_or_else(|| {
        Error::not_found(format!("table {:?} is gone, or was changed so that it cannot be shared", table.name))
            .hint("See `entente attach NAME URL`, which lists what can be attached, and attach it again.")
    })
}

/// The layout of a table that was attached when a transaction began.
pub(super) fn layout_within<S: Shape, L: Deref<Target = Outline<S>>>(all: &[Arc<L>], table: &Table) -> Result<Arc<L>> {
    let found = all.iter().find(|layout| layout.table.id == table.id);
    found.cloned().ok_or_else(|| Error::not_found(format!("table {:?} is no longer attached", table.name)))
}

/// Refuses a table that could not be settled since its schema changed; `unsettled` says why.
pub(super) fn refuse_unsettled(unsettled: &HashMap<i64, String>, table: &Table) -> Result<()> {
    unsettled.get(&table.id).map_or(Ok(()), |why| {
        Err(Error::new(Kind::Constraint, format!("{} is stopped: {why}", table.resource))
            .hint("Give the new column the type and constraints it has at the other site, or leave it out with --omit."))
    })
}

/// A table and, before it, all that it refers to, directly or not.
pub(super) fn with_parents<S: Shape, L: Deref<Target = Outline<S>>>(all: &[Arc<L>], id: i64) -> Vec<Arc<L>> {
    let mut order = Vec::new();
    visit(all, id, &mut HashSet::new(), &mut order);
    order
}

/// All tables, each after those that it refers to.
pub(super) fn parents_first<S: Shape, L: Deref<Target = Outline<S>>>(all: &[Arc<L>]) -> Vec<Arc<L>> {
    let (mut seen, mut order) = (HashSet::new(), Vec::new());
    all.iter().for_each(|layout| visit(all, layout.table.id, &mut seen, &mut order));
    order
}

fn visit<S: Shape, L: Deref<Target = Outline<S>>>(all: &[Arc<L>], id: i64, seen: &mut HashSet<i64>, order: &mut Vec<Arc<L>>) {
    let Some(layout) = all.iter().find(|layout| layout.table.id == id).filter(|_| seen.insert(id)) else { return };
    layout.parents().for_each(|parent| visit(all, parent, seen, order));
    order.push(layout.clone());
}
