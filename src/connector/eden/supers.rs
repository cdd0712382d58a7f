//! Super-entities: tables in which records of several others have entries.

use super::{Glance, Ground};
use crate::error::Result;

/// The kinds of records that have entries in super-entities, by the key of those: what else has such a key refers to one of them.
const INSTANCES: [(&str, &[&str]); 4] = [
    (
        "pe_id",
        &[
            "cr_shelter",
            "dvi_body",
            "dvi_morgue",
            "edu_school",
            "fire_station",
            "hms_hospital",
            "hrm_training_event",
            "inv_warehouse",
            "med_hospital",
            "org_facility",
            "org_group",
            "org_office",
            "org_organisation",
            "police_station",
            "pr_forum",
            "pr_group",
            "pr_person",
            "transport_airport",
            "transport_heliport",
            "transport_seaport",
        ],
    ),
    (
        "site_id",
        &[
            "cr_shelter",
            "edu_school",
            "fire_station",
            "hms_hospital",
            "inv_warehouse",
            "med_hospital",
            "org_facility",
            "org_office",
            "police_station",
            "transport_airport",
            "transport_heliport",
            "transport_seaport",
        ],
    ),
    (
        "doc_id",
        &[
            "asset_asset",
            "cr_shelter",
            "event_event",
            "event_incident",
            "hms_hospital",
            "hrm_human_resource",
            "org_office",
            "org_organisation",
        ],
    ),
    ("track_id", &["asset_asset", "hrm_human_resource", "pr_person", "vehicle_vehicle"]),
];

/// Whether records of a table are known to have entries in the super-entity with this key.
pub(super) fn is_instance(table: &str, key: &str) -> bool {
    let table = table.rsplit('.').next().unwrap_or(table);
    INSTANCES.iter().any(|(known, tables)| *known == key && tables.contains(&table))
}

/// A super-entity: a table in which each record of some others has an entry of the same uuid, whose key it holds.
pub(in crate::connector) struct Super {
    /// As SQL writes it.
    pub(in crate::connector) rel: String,
    /// Its key, which has the same name in the records' tables.
    key: String,
    /// The columns that entries share with their records.
    shared: Vec<String>,
}

/// The super-entities that rows of a table have entries in; of columns that travel none is looked at.
pub(in crate::connector) fn supers<G: Ground>(ground: &mut G, table: &str, travels: &dyn Fn(&str) -> bool) -> Result<Vec<Super>> {
    let Some(own) = ground.glance(table)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (column, parent) in own.foreign.iter().filter(|(column, _)| !travels(column)) {
        let Some(there) = ground.glance(parent)? else { continue };
        let Some(entity) = Super::of(column, there, &own.columns) else { continue };
        if is_instance(table, column) || ground.is(&entity.is_used(table.rsplit('.').next().unwrap_or(table)))? {
            found.push(entity);
        }
    }
    Ok(found)
}

impl Super {
    /// The super-entity that a foreign key of a table with these columns leads to; `None` where it leads elsewhere.
    fn of(column: &str, there: Glance, own: &[String]) -> Option<Super> {
        let has = |columns: &[String], name: &str| columns.iter().any(|known| known == name);
        if !(["uuid", "instance_type", column].iter().all(|name| has(&there.columns, name)) && has(own, "uuid")) {
            return None;
        }
        let kept = ["id", "uuid", "instance_type", column];
        let shared = there.columns.into_iter().filter(|name| has(own, name) && !kept.contains(&name.as_str())).collect();
        Some(Super { shared, rel: there.rel, key: column.to_owned() })
    }

    /// Whether any entry is of this table.
    fn is_used(&self, table: &str) -> String {
        format!("SELECT EXISTS (SELECT 1 FROM {} WHERE instance_type = '{}')", self.rel, table.replace('\'', "''"))
    }

    /// Makes the entries of new rows; `keys` is the end of a condition on the rows' key `id`.
    pub(in crate::connector) fn enter(&self, rel: &str, table: &str, id: &str, keys: &str) -> String {
        let quoted = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
        let (into, key, table) = (&self.rel, quoted(&self.key), table.replace('\'', "''"));
        let names: String = self.shared.iter().map(|name| format!(", {}", quoted(name))).collect();
        let values: String = self.shared.iter().map(|name| format!(", t.{}", quoted(name))).collect();
        format!(
            "INSERT INTO {into} (instance_type, uuid{names}) SELECT '{table}', t.uuid{values} FROM {rel} t WHERE t.{id} {keys} AND t.{key} IS NULL
               AND t.uuid IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {into} s WHERE s.uuid = t.uuid)"
        )
    }

    /// Lets new rows hold the keys of their entries.
    pub(in crate::connector) fn hold(&self, rel: &str, table: &str, id: &str, keys: &str) -> String {
        let key = format!("\"{}\"", self.key.replace('"', "\"\""));
        format!(
            "UPDATE {rel} AS t SET {key} = s.{key} FROM {} s WHERE s.uuid = t.uuid AND s.instance_type = '{}' AND t.{id} {keys} AND t.{key} IS NULL",
            self.rel,
            table.replace('\'', "''")
        )
    }

    /// Brings entries up to date with their rows; `None` where they share nothing.
    pub(in crate::connector) fn follow(&self, rel: &str, table: &str, id: &str, keys: &str) -> Option<String> {
        let quoted = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
        let key = quoted(&self.key);
        let set: Vec<String> = self.shared.iter().map(|name| format!("{0} = t.{0}", quoted(name))).collect();
        let other: Vec<String> = self.shared.iter().map(|name| format!("s.{0} IS DISTINCT FROM t.{0}", quoted(name))).collect();
        (!set.is_empty()).then(|| {
            format!(
                "UPDATE {} AS s SET {} FROM {rel} t WHERE t.{id} {keys} AND s.{key} = t.{key} AND s.instance_type = '{}' AND ({})",
                self.rel,
                set.join(", "),
                table.replace('\'', "''"),
                other.join(" OR ")
            )
        })
    }
}
