//! The statements for records with the same fields, made once for all of them.

use crate::{
    connector::sqlite::{failure::quoted, layout::Layout, sql::where_key},
    model::{Cell, RecordView},
};

/// How a record with certain fields is written: made once for all records of a page that have the same.
pub(super) struct Plan {
    pub(super) table: i64,
    /// The fields' names, and whether each is written.
    pub(super) fields: Vec<(String, bool)>,
    pub(super) slots: Vec<Slot>,
    pub(super) columns: Vec<String>,
    pub(super) insert: String,
    pub(super) update: String,
    /// The identity column is filled from the uid.
    pub(super) derive: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Slot {
    Data(usize),
    Link(usize),
    Unknown,
}

impl Plan {
    pub(super) fn make(layout: &Layout, record: RecordView<'_>, wanted: impl Fn(&Cell) -> bool) -> Plan {
        let mut plan = Plan {
            table: layout.table.id,
            fields: Vec::new(),
            slots: Vec::new(),
            columns: Vec::new(),
            insert: String::new(),
            update: String::new(),
            derive: true,
        };
        for cell in record.cells() {
            let name = record.page.name_of(cell.field);
            let taken = wanted(cell);
            plan.fields.push((name.to_owned(), taken));
            let data = layout.data.iter().position(|data| data.field == name).map(Slot::Data);
            let slot = data.or_else(|| layout.references.iter().position(|link| link.field == name).map(Slot::Link));
            let slot = slot.filter(|_| taken).unwrap_or(Slot::Unknown);
            plan.slots.push(slot);
            match slot {
                Slot::Data(at) => {
                    plan.columns.push(layout.data[at].column.clone());
                    plan.derive &= !layout.data[at].is_identity;
                }
                Slot::Link(at) => {
                    for column in &layout.references[at].columns {
                        if !plan.columns.contains(column) {
                            plan.columns.push(column.clone());
                        }
                    }
                }
                Slot::Unknown => {}
            }
        }
        plan.derive &= layout.identity.is_some();
        let table = quoted(&layout.table.name);
        let set: Vec<String> = plan.columns.iter().enumerate().map(|(at, column)| format!("{} = ?{}", quoted(column), at + 1)).collect();
        plan.update = format!("UPDATE OR ABORT {table} SET {} WHERE {}", set.join(", "), where_key(&layout.key, plan.columns.len() + 1));
        let mut columns: Vec<String> = plan.columns.iter().map(|column| quoted(column)).collect();
        if let (true, Some(identity)) = (plan.derive, &layout.identity) {
            columns.push(quoted(&identity.name));
        }
        if layout.own_key {
            columns.push(quoted(&layout.key[0]));
        }
        let marks: Vec<String> = (1..=columns.len()).map(|at| format!("?{at}")).collect();
        // OR ABORT overrides what the table's constraints say of conflicts: nothing is ever replaced to make room.
        plan.insert = match columns.is_empty() {
            true => format!("INSERT OR ABORT INTO {table} DEFAULT VALUES"),
            false => format!("INSERT OR ABORT INTO {table} ({}) VALUES ({})", columns.join(", "), marks.join(", ")),
        };
        plan
    }
}
