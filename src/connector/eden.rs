//! Tables of a Sahana Eden's own database: how they are known, and what of them stays there.

use crate::model::TableSpec;

/// Columns that every synchronized table of Eden's has.
const MARKS: [&str; 5] = ["uuid", "mci", "deleted", "created_on", "modified_on"];

/// Columns that mean something at that site alone.
const OWN: [&str; 8] =
    ["deleted_fk", "deleted_rb", "created_by", "modified_by", "approved_by", "owned_by_user", "owned_by_group", "realm_entity"];

/// What tells whose table it is.
pub(super) struct Looks<'a> {
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
    pub(super) fn complete(&self, spec: &mut TableSpec, attached: &dyn Fn(&str) -> bool) {
        if !self.is_eden() {
            return;
        }
        let foreign = |column: &str| self.foreign.iter().find(|(columns, ..)| columns.iter().any(|own| own == column));
        for (name, declared) in &self.columns {
            let stays = OWN.contains(name)
                || match foreign(name) {
                    Some((columns, parent, to)) => {
                        parent.rsplit('.').next().is_some_and(|parent| parent.starts_with("auth_")) && !attached(parent)
                            || columns == to && !attached(parent)
                    }
                    // A list of keys in a text.
                    None => (name.ends_with("_id") || name.ends_with("_ids")) && is_text(declared),
                };
            if stays && !spec.omit.iter().any(|known| known == name) {
                spec.omit.push((*name).to_owned());
            }
        }
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
        let looks = Looks { columns, foreign };
        let mut spec = TableSpec::default();
        looks.complete(&mut spec, &|table| table == "org_organisation");
        assert_eq!(spec.omit, ["site_id", "contact_user", "created_by", "sector_ids"]);
        assert_eq!(looks.flags(), ["obsolete"]);
        let other = Looks { columns: vec![("uuid", "TEXT"), ("created_by", "INTEGER")], foreign: Vec::new() };
        let mut spec = TableSpec::default();
        other.complete(&mut spec, &|_| false);
        assert!(spec.omit.is_empty() && !other.is_eden());
    }
}
