//! What both kinds of databases are asked about an Eden's accounts, and what follows.

use std::collections::{BTreeMap, HashMap};

use crate::{connector::Whose, error::Result, model::eden::ACCOUNTS};

/// A table of an Eden's own database, at a glance.
pub(in crate::connector) struct Glance {
    /// As SQL writes it.
    pub(in crate::connector) rel: String,
    pub(in crate::connector) columns: Vec<String>,
    /// The columns that are foreign keys to columns of the same name, and to which tables.
    pub(in crate::connector) foreign: Vec<(String, String)>,
}

impl Glance {
    fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|own| own == column)
    }
}

/// A database that may be an Eden's own.
pub(in crate::connector) trait Ground {
    /// The end of a condition: a value is one of those in the first parameter.
    const AMONG: &'static str;

    /// The table that people call so; `None` where there is none.
    fn glance(&mut self, table: &str) -> Result<Option<Glance>>;

    /// What a query says that answers with one boolean.
    fn is(&mut self, sql: &str) -> Result<bool>;

    /// The answer to a query for names: each with its key.
    fn keys(&mut self, sql: &str, names: &[String]) -> Result<HashMap<String, i64>>;

    /// The answer to a query for uids: each with a name.
    fn names(&mut self, sql: &str, uids: &[String]) -> Result<Vec<(String, String)>>;
}

/// Where the names of accounts and roles are kept: the table, and the column that an Eden tells of them. Nothing else there is ever read.
fn named_in(column: &str) -> (&'static str, &'static str) {
    if column == "owned_by_group" { ("auth_group", "role") } else { ("auth_user", "email") }
}

/// For each of these columns that table, as far as this database has it.
fn places<G: Ground>(ground: &mut G, columns: &[&'static str]) -> Result<Vec<(&'static str, String, &'static str)>> {
    let mut known: HashMap<&'static str, Option<String>> = HashMap::new();
    let mut all = Vec::new();
    for column in columns {
        let (table, called) = named_in(column);
        if !known.contains_key(table) {
            let there = ground.glance(table)?.filter(|there| there.has("id") && there.has(called));
            known.insert(table, there.map(|there| there.rel));
        }
        all.extend(known.get(table).cloned().flatten().map(|rel| (*column, rel, called)));
    }
    Ok(all)
}

/// Which accounts and roles are meant that are here: the column, the key, and the uids of the records whose column names it.
pub(in crate::connector) fn accounts<'w, G: Ground>(
    ground: &mut G,
    table: &str,
    whose: &'w [Whose],
) -> Result<Vec<(&'static str, i64, Vec<&'w str>)>> {
    let Some(own) = ground.glance(table)? else { return Ok(Vec::new()) };
    let mut by_name: BTreeMap<&'static str, BTreeMap<String, Vec<&str>>> = BTreeMap::new();
    for one in whose.iter().filter(|one| own.has(one.column)) {
        by_name.entry(one.column).or_default().entry(one.name.to_lowercase()).or_default().push(&one.uid);
    }
    let columns: Vec<&'static str> = by_name.keys().copied().collect();
    let mut found = Vec::new();
    for (column, rel, called) in places(ground, &columns)? {
        let named = by_name.remove(column).unwrap_or_default();
        let names: Vec<String> = named.keys().cloned().collect();
        let lower = format!("lower(CAST({called} AS text))");
        let sql = format!("SELECT {lower}, CAST(min(id) AS bigint) FROM {rel} WHERE {lower} {} GROUP BY 1", G::AMONG);
        let known = ground.keys(&sql, &names)?;
        found.extend(named.into_iter().filter_map(|(name, uids)| known.get(&name).map(|key| (column, *key, uids))));
    }
    Ok(found)
}

/// Whose the living ones of these records are. `rows` joins the states `s` of a table with its rows `t`.
pub(in crate::connector) fn whose<G: Ground>(ground: &mut G, table: &str, rows: &str, uids: &[String]) -> Result<Vec<Whose>> {
    let Some(own) = ground.glance(table)? else { return Ok(Vec::new()) };
    let columns: Vec<&'static str> = ACCOUNTS.into_iter().filter(|column| own.has(column)).collect();
    let mut all = Vec::new();
    for (column, rel, called) in places(ground, &columns)? {
        let sql = format!(
            "SELECT s.uid, CAST(a.{called} AS text) FROM {rows} JOIN {rel} a ON a.id = t.{column}
             WHERE s.uid {} AND NOT s.deleted AND a.{called} IS NOT NULL",
            G::AMONG
        );
        all.extend(ground.names(&sql, uids)?.into_iter().map(|(uid, name)| Whose { uid, column, name }));
    }
    Ok(all)
}
