//! What applications do to their tables.

use crate::{dice::Dice, house::House, oracle::Oracle};

/// A kind of deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    AddOrg,
    AddPerson,
    PutCode,
    Change,
    Delete,
    Replace,
    ChangeMany,
    Rename,
    Several,
    Undone,
    Nothing,
    Clear,
}

const DEEDS: [(u64, Deed); 12] = [
    (16, Deed::AddOrg),
    (18, Deed::AddPerson),
    (14, Deed::PutCode),
    (26, Deed::Change),
    (12, Deed::Delete),
    (5, Deed::Replace),
    (4, Deed::ChangeMany),
    (2, Deed::Rename),
    (4, Deed::Several),
    (2, Deed::Undone),
    (2, Deed::Nothing),
    (1, Deed::Clear),
];

/// Columns that come and go.
pub(crate) const EXTRAS: [&str; 2] = ["x1", "x2"];

/// Does something to a site's tables. Returns the SQL, and how many rows were written.
pub(crate) fn something(house: &House, dice: &mut Dice, oracle: &mut Oracle, seed: u64) -> (String, usize) {
    let deed = dice.weighted(&DEEDS);
    carry_out(deed, house, dice, oracle, seed)
}

/// Deletes something, where there is anything. As [`something`].
pub(crate) fn removal(house: &House, dice: &mut Dice, oracle: &mut Oracle, seed: u64) -> (String, usize) {
    carry_out(Deed::Delete, house, dice, oracle, seed)
}

fn carry_out(deed: Deed, house: &House, dice: &mut Dice, oracle: &mut Oracle, seed: u64) -> (String, usize) {
    let before = house.rows();
    let sql = statement(deed, house, dice, oracle, seed);
    let done = house.app().execute_batch(&sql);
    if done.is_err() && !house.app().is_autocommit() {
        house.app().execute_batch("ROLLBACK").unwrap();
    }
    let after = house.rows();
    let written = oracle.watch(house.id(), &before, &after);
    let refused = done.err().map(|error| format!(" -- refused: {error}")).unwrap_or_default();
    (format!("{sql}{refused}"), written)
}

fn statement(deed: Deed, house: &House, dice: &mut Dice, oracle: &mut Oracle, seed: u64) -> String {
    let (note, shape) = (oracle.note(), house.shape);
    let has = |table| shape.tables.contains(&table);
    let pick = |dice: &mut Dice, table: &'static str| {
        let keys = if has(table) { house.keys(table) } else { Vec::new() };
        (!keys.is_empty()).then(|| format!("'{}'", dice.pick(&keys)))
    };
    let table = *dice.pick(shape.tables);
    match deed {
        Deed::AddPerson if !has("person") => statement(Deed::AddOrg, house, dice, oracle, seed),
        Deed::PutCode | Deed::Rename if !has("code") => statement(Deed::Change, house, dice, oracle, seed),
        Deed::AddOrg => {
            let key = if shape.column { format!("'{}'", crate::dice::uuid(seed, dice.next())) } else { "NULL".into() };
            format!("INSERT INTO org ({}, born, name, note) VALUES ({key}, 'b-{note}', 'n{}', '{note}');", shape.key("org"), dice.below(5))
        }
        Deed::AddPerson => {
            let Some(org) = pick(dice, "org") else { return statement(Deed::AddOrg, house, dice, oracle, seed) };
            let chief = pick(dice, "person").filter(|_| dice.percent(40)).unwrap_or("NULL".into());
            format!("INSERT INTO person (born, org, chief, note) VALUES ('b-{note}', {org}, {chief}, '{note}');")
        }
        Deed::PutCode => {
            let or = *dice.pick(&["OR REPLACE", "OR IGNORE", ""]);
            format!("INSERT {or} INTO code (code, label, note) VALUES ('c{}', 'l{}', '{note}');", dice.below(3), dice.below(3))
        }
        Deed::Change => {
            let (key, other) = (pick(dice, table), pick(dice, if table == "person" { "org" } else { "person" }));
            let extra =
                house.extras(table).first().filter(|_| dice.percent(60)).map_or(String::new(), |column| format!(", {column} = '{note}'"));
            change(&note, &extra, table, key, other, house, dice)
        }
        Deed::Delete => pick(dice, table).map_or(String::new(), |key| format!("DELETE FROM {table} WHERE {} = {key};", shape.key(table))),
        Deed::Replace => {
            let key = pick(dice, "org").unwrap_or("NULL".into());
            let key = if shape.column && key == "NULL" { format!("'{}'", crate::dice::uuid(seed, dice.next())) } else { key };
            format!(
                "INSERT OR REPLACE INTO org ({}, born, name, note) VALUES ({key}, 'b-{note}', 'n{}', '{note}');",
                shape.key("org"),
                dice.below(5)
            )
        }
        Deed::ChangeMany => format!("UPDATE {table} SET note = '{note}.' || {};", shape.key(table)),
        Deed::Rename => pick(dice, "code")
            .map_or(String::new(), |key| format!("UPDATE code SET code = 'c{}', note = '{note}' WHERE code = {key};", dice.below(4))),
        Deed::Several => {
            let deeds = [Deed::AddOrg, Deed::Change, Deed::PutCode, Deed::Delete, Deed::AddPerson];
            let parts: Vec<String> = (0..3).map(|_| statement(*dice.pick(&deeds), house, dice, oracle, seed)).collect();
            format!("BEGIN; {} COMMIT;", parts.join(" "))
        }
        Deed::Undone => {
            let deeds = [Deed::AddOrg, Deed::Change, Deed::Replace, Deed::Delete];
            format!("BEGIN; {} ROLLBACK;", statement(*dice.pick(&deeds), house, dice, oracle, seed))
        }
        Deed::Nothing => format!("UPDATE {table} SET note = note;"),
        Deed::Clear => format!("DELETE FROM {};", shape.tables[1]),
    }
}

fn change(note: &str, extra: &str, table: &str, key: Option<String>, other: Option<String>, house: &House, dice: &mut Dice) -> String {
    let Some(key) = key else { return String::new() };
    let more = match table {
        "org" if dice.percent(40) => format!(", name = 'n{}'", dice.below(5)),
        "code" if dice.percent(50) => format!(", label = 'l{}'", dice.below(3)),
        "person" if dice.percent(50) => match other {
            Some(other) if dice.percent(60) => format!(", org = {other}"),
            _ if dice.percent(50) => ", chief = NULL".into(),
            _ => format!(", chief = (SELECT {} FROM person)", dice.pick(&["min(id)", "max(id)"])),
        },
        _ => String::new(),
    };
    format!("UPDATE {table} SET note = '{note}'{more}{extra} WHERE {} = {key};", house.shape.key(table))
}

/// An application's new version changes a table: columns come, go and change their names.
pub(crate) fn columns(house: &House, dice: &mut Dice) -> String {
    let table = *dice.pick(house.shape.tables);
    let (there, new) = (house.extras(table), *dice.pick(&EXTRAS));
    let sql = match there.first() {
        None => format!("ALTER TABLE {table} ADD COLUMN {new} TEXT;"),
        Some(old) if dice.percent(35) => format!("ALTER TABLE {table} DROP COLUMN {old};"),
        Some(old) if dice.percent(50) => format!("ALTER TABLE {table} RENAME COLUMN {old} TO {new};"),
        Some(_) => format!("ALTER TABLE {table} ADD COLUMN {new} TEXT;"),
    };
    let done = house.app().execute_batch(&sql);
    done.err().map_or(sql.clone(), |error| format!("{sql} -- refused: {error}"))
}
