//! Columns with lists of keys, `|1|2|`, as an Eden has them: read as references to the records whose keys those are.

use rusqlite::{Connection, functions::FunctionFlags};

use super::{failure::Told, sql::state_of, values::push_uid};
use crate::{connector::outline::Listed, error::Result, model::Page};

/// Makes the functions known that [`read`] calls.
pub(super) fn register(conn: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    conn.create_scalar_function("entente_keys", 1, flags, |call| Ok(call.get_raw(0).as_str_or_null().unwrap_or(None).map(keys)))
        .told("open the database")?;
    let uid = |call: &rusqlite::functions::Context<'_>| {
        let mut page = Page::default();
        let uid = push_uid(call.get_raw(0), &mut page);
        Ok(page.text(uid).to_owned())
    };
    conn.create_scalar_function("entente_uid", 1, flags, uid).told("open the database")
}

/// The keys as a JSON array; what is no key is passed over.
fn keys(text: &str) -> String {
    let keys: Vec<String> = text.split('|').filter_map(|key| key.trim().parse::<i64>().ok()).map(|key| key.to_string()).collect();
    format!("[{}]", keys.join(","))
}

/// What stands in such a column, as several references: those to records that are here.
pub(super) fn read(list: &Listed, column: &str) -> String {
    let resource = serde_json::Value::from(list.resource.as_str()).to_string().replace('\'', "''");
    format!(
        "(SELECT CASE WHEN count(*) > count(l.uid) THEN '!'
             ELSE '{{\"@resource\":{resource},\"@uuid\":[' || group_concat(json_quote(entente_uid(l.uid)), ',') || ']}}' END FROM (
           SELECT p.uid FROM json_each(entente_keys({column})) j CROSS JOIN {} p ON p.k1 = j.value AND p.deleted = 0 ORDER BY j.key) l)",
        state_of(list.id)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_list_are_its_numbers() {
        for (text, want) in [("|1|2|", "[1,2]"), ("", "[]"), ("||", "[]"), ("|x|7", "[7]"), ("[1]", "[]")] {
            assert_eq!(keys(text), want, "{text}");
        }
    }
}
