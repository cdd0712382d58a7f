//! Tables of a Sahana Eden's own database: how they are known, and what of them stays there.

use super::{KeyPart, Target, Targets};
use crate::{
    error::{Error, Kind, Result},
    model::{Kind as ValueKind, TableSpec, Value, eden::several},
};

/// Columns that every synchronized table of Eden's has.
const MARKS: [&str; 5] = ["uuid", "mci", "deleted", "created_on", "modified_on"];

/// Columns that mean something at that site alone.
const OWN: [&str; 8] =
    ["deleted_fk", "deleted_rb", "created_by", "modified_by", "approved_by", "owned_by_user", "owned_by_group", "realm_entity"];

/// What tells whose table it is.
pub(super) struct Looks<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// The columns and their declared types.
    pub(super) columns: Vec<(&'a str, &'a str)>,
    /// The foreign keys: their columns, the table, and the columns there.
    pub(super) foreign: Vec<(&'a [String], &'a str, &'a [String])>,
}

impl Looks<'_> {
    /// Whether it is Eden's.
    pub(super) fn is_eden(&self) -> bool {
        MARKS.iter().all(|mark| self.columns.iter().any(|(name, _)| name == mark))
    }

    /// Adds to `spec` the columns that stay there: whose accounts they name, whose other records they name by keys of this site, and the keys of
    /// super-entities (which have the same name on both sides) that are not attached.
    pub(super) fn complete(&self, spec: &mut TableSpec, attached: &dyn Fn(&str) -> bool, tables: &[String]) {
        if !self.is_eden() {
            return;
        }
        let foreign = |column: &str| self.foreign.iter().find(|(columns, ..)| columns.iter().any(|own| own == column));
        for (name, declared) in &self.columns {
            let stays = OWN.contains(name)
                || match foreign(name) {
                    Some((columns, parent, to)) => {
                        parent.rsplit('.').next().is_some_and(|parent| parent.starts_with("auth_")) && !attached(parent)
                            || columns == to && (!attached(parent) || is_instance(self.name, name))
                    }
                    None => is_text(declared) && is_list(name) && self.listed(name, declared, tables).is_none(),
                };
            if stays && !spec.omit.iter().any(|known| known == name) {
                spec.omit.push((*name).to_owned());
            }
        }
    }

    /// Of a column with a list of keys, `|1|2|`: which of these tables' keys they are. Nothing in the database says so but its name: `sector_ids`.
    pub(super) fn listed<'t>(&self, column: &str, declared: &str, tables: &'t [String]) -> Option<&'t String> {
        let free = !self.foreign.iter().any(|(columns, ..)| columns.iter().any(|own| own == column));
        if !(self.is_eden() && free && declared.eq_ignore_ascii_case("text") && is_list(column)) {
            return None;
        }
        let mut stem = column.strip_suffix("_ids").or_else(|| column.strip_suffix("_id")).unwrap_or_default();
        let first = self.name.split_once('_').map_or("", |(first, _)| first);
        loop {
            let near = format!("{first}_{stem}");
            let mut far = tables.iter().filter(|table| table.split_once('_').is_some_and(|(_, rest)| rest == stem));
            let found =
                tables.iter().find(|table| **table == stem || **table == near).or_else(|| far.next().filter(|_| far.next().is_none()));
            // One that lists records of its own table would need them all first.
            match (found, stem.split_once('_')) {
                (Some(table), _) => return Some(table).filter(|table| *table != self.name),
                (None, Some((_, rest))) => stem = rest,
                (None, None) => return None,
            }
        }
    }

    /// Whether a column has a list of keys that are nobody's here.
    pub(super) fn stays(&self, column: &str, declared: &str, tables: &[String]) -> bool {
        let free = !self.foreign.iter().any(|(columns, ..)| columns.iter().any(|own| own == column));
        self.is_eden() && free && is_text(declared) && is_list(column) && self.listed(column, declared, tables).is_none()
    }

    /// The columns that say `T` or `F`.
    pub(super) fn flags(&self) -> Vec<&str> {
        let flag = |declared: &str| {
            let declared = declared.to_lowercase().replace(' ', "");
            matches!(declared.as_str(), "char(1)" | "character(1)")
        };
        if self.is_eden() {
            self.columns.iter().filter(|(_, declared)| flag(declared)).map(|(name, _)| *name).collect()
        } else {
            Vec::new()
        }
    }
}

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
pub(super) struct Super {
    /// As SQL writes it.
    pub(super) rel: String,
    /// Its key, which has the same name in the records' tables.
    pub(super) key: String,
    /// The columns that entries share with their records.
    shared: Vec<String>,
}

/// What a foreign key of Eden's tells.
pub(super) struct Foreign<'a> {
    /// Its column.
    pub(super) column: &'a str,
    /// The other table, as SQL writes it.
    pub(super) rel: String,
    /// The columns there.
    pub(super) columns: Vec<&'a str>,
}

impl Super {
    /// The super-entity that a foreign key of a table with these columns leads to; `None` where it leads elsewhere.
    pub(super) fn of(foreign: Foreign<'_>, own: &[&str]) -> Option<Super> {
        let there = |name: &str| foreign.columns.contains(&name);
        if !(there("uuid") && there("instance_type") && there(foreign.column) && own.contains(&"uuid")) {
            return None;
        }
        let kept = ["id", "uuid", "instance_type", foreign.column];
        let shared = foreign.columns.iter().filter(|name| own.contains(name) && !kept.contains(name)).map(|name| (*name).to_owned());
        Some(Super { shared: shared.collect(), rel: foreign.rel, key: foreign.column.to_owned() })
    }

    /// Whether any entry is of this table.
    pub(super) fn is_used(&self, table: &str) -> String {
        format!("SELECT EXISTS (SELECT 1 FROM {} WHERE instance_type = '{}')", self.rel, table.replace('\'', "''"))
    }

    /// Makes the entries of new rows; `keys` is the end of a condition on the rows' key `id`.
    pub(super) fn enter(&self, rel: &str, table: &str, id: &str, keys: &str) -> String {
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
    pub(super) fn hold(&self, rel: &str, table: &str, id: &str, keys: &str) -> String {
        let key = format!("\"{}\"", self.key.replace('"', "\"\""));
        format!(
            "UPDATE {rel} AS t SET {key} = s.{key} FROM {} s WHERE s.uuid = t.uuid AND s.instance_type = '{}' AND t.{id} {keys} AND t.{key} IS NULL",
            self.rel,
            table.replace('\'', "''")
        )
    }

    /// Brings entries up to date with their rows; `None` where they share nothing.
    pub(super) fn follow(&self, rel: &str, table: &str, id: &str, keys: &str) -> Option<String> {
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

/// Where the names of accounts and roles are kept: the table, and the column that an Eden tells of them.
pub(super) fn named_in(column: &str) -> Option<(&'static str, &'static str)> {
    match column {
        "created_by" | "modified_by" | "owned_by_user" | "approved_by" => Some(("auth_user", "email")),
        "owned_by_group" => Some(("auth_group", "role")),
        _ => None,
    }
}

/// What a column with a list of keys holds for several references to `resource`.
pub(super) fn list_value(field: &str, resource: &str, value: Value<'_>, targets: &Targets) -> Result<Option<String>> {
    if value.kind == ValueKind::Null {
        return Ok(None);
    }
    let refuse = |why: &str| Error::new(Kind::Constraint, format!("its field {field:?} {why}"));
    let (of, uids) = several(value).ok_or_else(|| refuse("is no list of references"))?;
    if of != resource {
        return Err(refuse(&format!("lists records of {of}, not of {resource}")));
    }
    let mut text = String::from("|");
    for uid in uids {
        let Target::Here(key) = targets.get(of, uid) else { return Err(refuse("refers to a record that is not here")) };
        let [KeyPart::Integer(key)] = key.0.as_slice() else { return Err(refuse("refers to a record whose key is no number")) };
        text.push_str(&format!("{key}|"));
    }
    Ok(Some(text))
}

fn is_list(column: &str) -> bool {
    column.ends_with("_id") || column.ends_with("_ids")
}

fn is_text(declared: &str) -> bool {
    let declared = declared.to_lowercase();
    ["text", "char", "clob"].iter().any(|word| declared.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_edens_is_known_and_what_is_its_own_stays() {
        let (one, key, super_key) = (vec!["organisation_id".to_owned()], vec!["id".to_owned()], vec!["site_id".to_owned()]);
        let user = vec!["contact_user".to_owned()];
        let mut columns = MARKS.map(|name| (name, "CHAR(128)")).to_vec();
        columns.extend([("organisation_id", "INTEGER"), ("site_id", "INTEGER"), ("contact_user", "INTEGER"), ("created_by", "INTEGER")]);
        columns.extend([("sector_ids", "TEXT"), ("obsolete", "CHAR(1)"), ("name", "CHAR(64)")]);
        let foreign =
            vec![(one.as_slice(), "org_organisation", key.as_slice()), (&super_key, "org_site", &super_key), (&user, "auth_user", &key)];
        let looks = Looks { name: "org_facility_type", columns, foreign };
        let mut spec = TableSpec::default();
        looks.complete(&mut spec, &|table| table == "org_organisation", &["org_organisation".to_owned()]);
        assert_eq!(spec.omit, ["site_id", "contact_user", "created_by", "sector_ids"]);
        assert_eq!(looks.flags(), ["obsolete"]);
        for (column, tables, want) in [
            ("sector_ids", vec!["org_sector"], Some("org_sector")),
            ("multi_sector_id", vec!["org_sector", "dc_sector"], Some("org_sector")),
            ("sector_ids", vec!["dc_sector"], Some("dc_sector")),
            ("sector_ids", vec!["dc_sector", "pr_sector"], None),
            ("sector_ids", vec!["org_sector_note"], None),
            ("facility_type_ids", vec!["org_facility_type"], None),
            ("organisation_id", vec!["org_organisation"], None),
        ] {
            let tables: Vec<String> = tables.into_iter().map(str::to_owned).collect();
            assert_eq!(looks.listed(column, "TEXT", &tables).map(String::as_str), want, "{column} among {tables:?}");
        }
        let other = Looks { name: "other", columns: vec![("uuid", "TEXT"), ("created_by", "INTEGER")], foreign: Vec::new() };
        let mut spec = TableSpec::default();
        other.complete(&mut spec, &|_| false, &[]);
        assert!(spec.omit.is_empty() && !other.is_eden());
    }
}
