//! What applications do to their tables.

use crate::{dice::Dice, house::House, oracle::Oracle, place::Kind};

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
    /// PostgreSQL alone.
    Truncate,
    /// PostgreSQL alone: a key that nobody refers to becomes another.
    Rekey,
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

/// What PostgreSQL alone can do, and what else there is.
const THERE: [(u64, Deed); 3] = [(3, Deed::Truncate), (4, Deed::Rekey), (93, Deed::Nothing)];

/// Columns that come and go.
pub(crate) const EXTRAS: [&str; 2] = ["x1", "x2"];

/// Does something to a site's tables. Returns the SQL, and how many rows were written.
pub(crate) fn something(house: &House, dice: &mut Dice, oracle: &mut Oracle, seed: u64) -> (String, usize) {
    let deed = draw(house, dice);
    carry_out(deed, house, dice, oracle, seed)
}

fn draw(house: &House, dice: &mut Dice) -> Deed {
    let there = if house.place.kind() == Kind::Postgres { dice.weighted(&THERE) } else { Deed::Nothing };
    if there == Deed::Nothing { dice.weighted(&DEEDS) } else { there }
}

/// Statements that a site's application may run, and that leave no transaction open; they are written before they are run.
pub(crate) fn planned(house: &House, dice: &mut Dice, oracle: &mut Oracle, seed: u64) -> String {
    let deed = draw(house, dice);
    statement(deed, house, dice, oracle, seed)
}

/// Statements of a transaction that takes long.
pub(crate) fn part(house: &House, dice: &mut Dice, oracle: &mut Oracle, seed: u64) -> String {
    let deeds = [Deed::AddOrg, Deed::AddPerson, Deed::Change, Deed::Change, Deed::PutCode, Deed::Delete, Deed::Rename, Deed::Rekey];
    statement(*dice.pick(&deeds), house, dice, oracle, seed)
}

/// Deletes something, where there is anything. As [`something`].
pub(crate) fn removal(house: &House, dice: &mut Dice, oracle: &mut Oracle, seed: u64) -> (String, usize) {
    carry_out(Deed::Delete, house, dice, oracle, seed)
}

fn carry_out(deed: Deed, house: &House, dice: &mut Dice, oracle: &mut Oracle, seed: u64) -> (String, usize) {
    let before = house.rows();
    let sql = statement(deed, house, dice, oracle, seed);
    let done = house.app().run(&sql);
    let after = house.rows();
    let written = oracle.watch(house.id(), &before, &after);
    let refused = done.err().map(|error| format!(" -- refused: {error}")).unwrap_or_default();
    (format!("{sql}{refused}"), written)
}

fn statement(deed: Deed, house: &House, dice: &mut Dice, oracle: &mut Oracle, seed: u64) -> String {
    let (note, shape) = (oracle.note(), house.shape);
    let postgres = house.place.kind() == Kind::Postgres;
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
            let key = if shape.column { format!("'{}'", crate::dice::uuid(seed, dice.next())) } else { next_key(postgres) };
            format!("INSERT INTO org ({}, born, name, note) VALUES ({key}, 'b-{note}', 'n{}', '{note}');", shape.key("org"), dice.below(5))
        }
        Deed::AddPerson => {
            let Some(org) = pick(dice, "org") else { return statement(Deed::AddOrg, house, dice, oracle, seed) };
            let chief = pick(dice, "person").filter(|_| dice.percent(40)).unwrap_or("NULL".into());
            format!("INSERT INTO person (born, org, chief, note) VALUES ('b-{note}', {org}, {chief}, '{note}');")
        }
        Deed::PutCode => {
            let or = *dice.pick(&["OR REPLACE", "OR IGNORE", ""]);
            let values = format!("INTO code (code, label, note) VALUES ('c{}', 'l{}', '{note}')", dice.below(3), dice.below(3));
            match or {
                "OR REPLACE" if postgres => {
                    format!("INSERT {values} ON CONFLICT (code) DO UPDATE SET label = excluded.label, note = excluded.note;")
                }
                "OR IGNORE" if postgres => format!("INSERT {values} ON CONFLICT DO NOTHING;"),
                _ => format!("INSERT {or} {values};"),
            }
        }
        Deed::Change => {
            let (key, other) = (pick(dice, table), pick(dice, if table == "person" { "org" } else { "person" }));
            let extra = house
                .app()
                .extras(table)
                .first()
                .filter(|_| dice.percent(60))
                .map_or(String::new(), |column| format!(", {column} = '{note}'"));
            change(&note, &extra, table, key, other, house, dice)
        }
        Deed::Delete => pick(dice, table).map_or(String::new(), |key| format!("DELETE FROM {table} WHERE {} = {key};", shape.key(table))),
        Deed::Replace => {
            let known = pick(dice, "org");
            let new = known.is_none() && shape.column;
            let key = if new { format!("'{}'", crate::dice::uuid(seed, dice.next())) } else { known.unwrap_or(next_key(postgres)) };
            let (column, name) = (shape.key("org"), dice.below(5));
            let values = format!("INTO org ({column}, born, name, note) VALUES ({key}, 'b-{note}', 'n{name}', '{note}')");
            match (postgres, key == "DEFAULT") {
                (false, _) => format!("INSERT OR REPLACE {values};"),
                (true, true) => format!("INSERT {values};"),
                // As one that a person may wish for, and one that replaces the row.
                (true, false) if dice.percent(50) => {
                    let set = "born = excluded.born, name = excluded.name, note = excluded.note";
                    format!("INSERT {values} ON CONFLICT ({column}) DO UPDATE SET {set};")
                }
                (true, false) => format!("BEGIN; DELETE FROM org WHERE {column} = {key}; INSERT {values}; COMMIT;"),
            }
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
            let deeds = [Deed::AddOrg, Deed::Change, if postgres { Deed::Rekey } else { Deed::Replace }, Deed::Delete];
            format!("BEGIN; {} ROLLBACK;", statement(*dice.pick(&deeds), house, dice, oracle, seed))
        }
        Deed::Nothing => format!("UPDATE {table} SET note = note;"),
        Deed::Clear => format!("DELETE FROM {};", shape.tables[1]),
        Deed::Truncate if dice.percent(20) => "TRUNCATE org CASCADE;".into(),
        Deed::Truncate => format!("TRUNCATE {};", shape.tables[1]),
        Deed::Rekey => {
            let Some(key) = pick(dice, table) else { return String::new() };
            let (column, more) = (shape.key(table), dice.below(50) + 100);
            let new = match table {
                "code" => format!("'c{}'", dice.below(4)),
                "org" if shape.column => format!("'{}'", crate::dice::uuid(seed, dice.next())),
                _ => format!("{column} + {more}"),
            };
            format!("UPDATE {table} SET {column} = {new}, note = '{note}' WHERE {column} = {key};")
        }
    }
}

/// What stands for the next key that the database gives.
fn next_key(postgres: bool) -> String {
    if postgres { "DEFAULT".into() } else { "NULL".into() }
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
    let (there, new) = (house.app().extras(table), *dice.pick(&EXTRAS));
    let sql = match there.first() {
        None => format!("ALTER TABLE {table} ADD COLUMN {new} TEXT;"),
        Some(old) if dice.percent(35) => format!("ALTER TABLE {table} DROP COLUMN {old};"),
        Some(old) if dice.percent(50) => format!("ALTER TABLE {table} RENAME COLUMN {old} TO {new};"),
        Some(_) => format!("ALTER TABLE {table} ADD COLUMN {new} TEXT;"),
    };
    let done = house.app().run(&sql);
    done.err().map_or(sql.clone(), |error| format!("{sql} -- refused: {error}"))
}
