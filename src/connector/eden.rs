//! Tables of a Sahana Eden's own database: how they are known, and what of them stays there.

mod ground;
mod supers;

pub(super) use ground::{Glance, Ground, accounts, whose};
use supers::is_instance;
pub(super) use supers::{Super, supers};

use super::{KeyPart, Target, Targets};
use crate::{
    error::{Error, Kind, Result},
    model::{Kind as ValueKind, TableSpec, Value, eden::several},
};

/// Columns that every synchronized table of Eden's has.
const MARKS: [&str; 5] = ["uuid", "mci", "deleted", "created_on", "modified_on"];

/// The column with the key of the record that took the place of one that is gone.
const HEIR: &str = "deleted_rb";

/// Columns that mean something at that site alone.
const OWN: [&str; 8] =
    ["deleted_fk", "deleted_rb", "created_by", "modified_by", "approved_by", "owned_by_user", "owned_by_group", "realm_entity"];

/// What tells whose table it is.
pub(super) struct Looks<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// The columns of its key.
    pub(super) key: Vec<String>,
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
            let stays = OWN.contains(name) && self.heirs() != Some(name)
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

    /// The column by which a record that is gone tells the one that took its place. No foreign key says so.
    pub(super) fn heirs(&self) -> Option<&str> {
        let free = !self.foreign.iter().any(|(columns, ..)| columns.iter().any(|own| own == HEIR));
        let number = |declared: &str| declared.to_lowercase().contains("int");
        let there = self.columns.iter().any(|(name, declared)| *name == HEIR && number(declared));
        (self.is_eden() && free && there && self.key == ["id"]).then_some(HEIR)
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
            match (found, stem.split_once('_')) {
                (Some(table), _) => return Some(table),
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
        columns.extend([("deleted_rb", "INTEGER"), ("deleted_fk", "TEXT")]);
        let looks = Looks { name: "org_facility_type", key: vec!["id".to_owned()], columns, foreign };
        let mut spec = TableSpec::default();
        looks.complete(&mut spec, &|table| table == "org_organisation", &["org_organisation".to_owned()]);
        assert_eq!(spec.omit, ["site_id", "contact_user", "created_by", "sector_ids", "deleted_fk"]);
        assert_eq!(looks.heirs(), Some("deleted_rb"));
        assert_eq!(looks.flags(), ["obsolete"]);
        for (column, tables, want) in [
            ("sector_ids", vec!["org_sector"], Some("org_sector")),
            ("multi_sector_id", vec!["org_sector", "dc_sector"], Some("org_sector")),
            ("sector_ids", vec!["dc_sector"], Some("dc_sector")),
            ("sector_ids", vec!["dc_sector", "pr_sector"], None),
            ("sector_ids", vec!["org_sector_note"], None),
            ("facility_type_ids", vec!["org_facility_type"], Some("org_facility_type")),
            ("organisation_id", vec!["org_organisation"], None),
        ] {
            let tables: Vec<String> = tables.into_iter().map(str::to_owned).collect();
            assert_eq!(looks.listed(column, "TEXT", &tables).map(String::as_str), want, "{column} among {tables:?}");
        }
        let columns = vec![("uuid", "TEXT"), ("created_by", "INTEGER"), ("deleted_rb", "INTEGER")];
        let other = Looks { name: "other", key: vec!["id".to_owned()], columns, foreign: Vec::new() };
        let mut spec = TableSpec::default();
        other.complete(&mut spec, &|_| false, &[]);
        assert!(spec.omit.is_empty() && !other.is_eden() && other.heirs().is_none());
    }
}
