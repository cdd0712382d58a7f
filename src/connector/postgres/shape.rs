//! What a table looks like, as PostgreSQL's catalogue tells it.

use std::borrow::Cow;

use super::{
    args::{Arg, Columns},
    failure::quoted,
    form::Form,
    link::Link,
};
use crate::{
    connector::shape::{self, Filled, Lead},
    error::{Error, Result},
    model::Kind as ValueKind,
};

pub(super) type Column = shape::Column<Form, More>;

/// A table of the user's database.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) oid: i64,
    /// How people call it: without its schema where that is the one which is looked in first.
    pub(super) name: String,
    pub(super) nsp: String,
    pub(super) rel: String,
    pub(super) kind: String,
    pub(super) columns: Vec<Column>,
    pub(super) foreign: Vec<Foreign>,
    /// Column sets that are unique for all rows, the primary key among them.
    pub(super) unique: Vec<Vec<String>>,
    /// Those that are unique even before a statement ends.
    pub(super) immediate: Vec<Vec<String>>,
    key: Vec<String>,
    /// Its partitions and theirs, as SQL writes them.
    pub(super) parts: Vec<String>,
}

/// What PostgreSQL knows of a column beside what every database does.
#[derive(Debug, Clone)]
pub(super) struct More {
    /// The type that a copy of the column gets in the journal, so wide that the column may be widened.
    pub(super) wide: String,
    /// The sequence that fills it, as SQL writes it.
    pub(super) sequence: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Foreign {
    pub(super) columns: Vec<String>,
    /// The table it refers to: its number and how people call it.
    pub(super) parent: i64,
    pub(super) parent_name: String,
    pub(super) to: Vec<String>,
    /// It can wait for the commit.
    pub(super) deferrable: bool,
}

const NAME: &str = "CASE WHEN n.nspname = current_schema() THEN c.relname ELSE n.nspname || '.' || c.relname END";

const TABLES: &str = "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('entente', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')";

const COLUMNS: &str = "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity::text,
      a.attgenerated <> '', b.typname, b.typnamespace = 'pg_catalog'::regnamespace, CASE WHEN a.atttypmod >= 0 THEN a.atttypmod ELSE b.typmod END,
      format_type(b.oid, NULL), b.typtype::text,
      CASE WHEN a.attcollation <> 0 AND a.attcollation <> 'pg_catalog.\"default\"'::regcollation THEN a.attcollation::regcollation::text END,
      pg_get_serial_sequence(quote_ident($2) || '.' || quote_ident($3), a.attname)
    FROM pg_catalog.pg_attribute a
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    CROSS JOIN LATERAL (
      WITH RECURSIVE base AS (
        SELECT t.oid, t.typname, t.typnamespace, t.typtype, t.typbasetype, t.typtypmod AS typmod FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid
        UNION ALL
        SELECT t.oid, t.typname, t.typnamespace, t.typtype, t.typbasetype, CASE WHEN base.typmod >= 0 THEN base.typmod ELSE t.typtypmod END
        FROM base JOIN pg_catalog.pg_type t ON t.oid = base.typbasetype WHERE base.typtype = 'd')
      SELECT * FROM base WHERE typtype <> 'd') b
    WHERE a.attrelid = $1::bigint::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

const FOREIGN: &str = "SELECT f.confrelid::bigint,
      CASE WHEN n.nspname = current_schema() THEN c.relname ELSE n.nspname || '.' || c.relname END,
      (SELECT array_to_json(array_agg(a.attname ORDER BY k.at))::text FROM unnest(f.conkey) WITH ORDINALITY k(num, at)
         JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.num),
      (SELECT array_to_json(array_agg(a.attname ORDER BY k.at))::text FROM unnest(f.confkey) WITH ORDINALITY k(num, at)
         JOIN pg_catalog.pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.num),
      f.condeferrable
    FROM pg_catalog.pg_constraint f JOIN pg_catalog.pg_class c ON c.oid = f.confrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE f.conrelid = $1::bigint::oid AND f.contype = 'f' AND NOT c.relispartition ORDER BY f.conname";

const UNIQUE: &str = "SELECT i.indisprimary, i.indimmediate,
      (SELECT array_to_json(array_agg(a.attname ORDER BY k.at))::text FROM unnest(i.indkey::smallint[]) WITH ORDINALITY k(num, at)
         JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num WHERE k.at <= i.indnkeyatts)
    FROM pg_catalog.pg_index i WHERE i.indrelid = $1::bigint::oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
    ORDER BY i.indexrelid";

const READ: &str = "read the schema";

impl Column {
    /// The type of its copy without its collation.
    pub(super) fn bare(&self) -> &str {
        self.more.wide.split(" COLLATE ").next().unwrap_or(&self.more.wide)
    }
}

impl Shape {
    /// The names of the user's tables and views.
    pub(super) fn names(link: &mut Link) -> Result<Vec<String>> {
        let sql = format!("SELECT {NAME} {TABLES} ORDER BY n.nspname <> current_schema(), n.nspname, c.relname");
        link.query(&sql, &[], "list the tables")?.iter().map(|row| row.owned(0)).collect()
    }

    /// The table that people call so.
    pub(super) fn named(link: &mut Link, table: &str) -> Result<Shape> {
        let sql =
            format!("SELECT c.oid::bigint {TABLES} AND ({NAME} = $1 OR n.nspname || '.' || c.relname = $1) ORDER BY {NAME} <> $1 LIMIT 1");
        match link.maybe(&sql, &[Arg::text(table)], READ)?.map(|row| row.int(0)).transpose()?.flatten() {
            Some(oid) => Shape::read(link, oid),
            None => Err(Error::not_found(format!("there is no table {table:?} in this database"))
                .hint("Run `entente attach NAME URL` without --table to list its tables.")),
        }
    }

    /// The table with a schema and a name; `None` where it is gone.
    pub(super) fn find(link: &mut Link, nsp: &str, rel: &str) -> Result<Option<Shape>> {
        let sql = format!("SELECT c.oid::bigint {TABLES} AND n.nspname = $1 AND c.relname = $2");
        let found = link.maybe(&sql, &[Arg::text(nsp), Arg::text(rel)], READ)?;
        found.map(|row| row.int(0)).transpose()?.flatten().map(|oid| Shape::read(link, oid)).transpose()
    }

    fn read(link: &mut Link, oid: i64) -> Result<Shape> {
        let sql = format!(
            "SELECT {NAME}, n.nspname, c.relname,
               CASE WHEN c.relkind = 'r' AND EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid) THEN 'inherited'
               WHEN c.relpersistence = 'u' THEN 'unlogged' WHEN row_security_active(c.oid) THEN 'hidden' ELSE c.relkind::text END
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::bigint::oid"
        );
        let row = link.one(&sql, &[oid.into()], READ)?;
        let (name, nsp, rel, kind) = (row.owned(0)?, row.owned(1)?, row.owned(2)?, row.owned(3)?);
        let rows = link.query(COLUMNS, &[oid.into(), Arg::text(&nsp), Arg::text(&rel)], READ)?;
        let columns = rows.iter().map(column).collect::<Result<_>>()?;
        let mut foreign = Vec::new();
        for row in link.query(FOREIGN, &[oid.into()], READ)? {
            foreign.push(Foreign {
                parent: row.int(0)?.unwrap_or(0),
                parent_name: row.owned(1)?,
                columns: names(row.text(2)?),
                to: names(row.text(3)?),
                deferrable: row.flag(4)?,
            });
        }
        let (mut unique, mut immediate, mut key) = (Vec::new(), Vec::new(), Vec::new());
        for row in link.query(UNIQUE, &[oid.into()], READ)? {
            let columns = names(row.text(2)?);
            if row.flag(0)? {
                key.clone_from(&columns);
            }
            if row.flag(1)? {
                immediate.push(columns.clone());
            }
            unique.push(columns);
        }
        let parts =
            "WITH RECURSIVE part AS (SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
                       WHERE i.inhparent = $1::bigint::oid AND c.relispartition
                     UNION ALL SELECT i.inhrelid FROM part JOIN pg_catalog.pg_inherits i ON i.inhparent = part.inhrelid)
                     SELECT n.nspname, c.relname FROM part JOIN pg_catalog.pg_class c ON c.oid = part.inhrelid
                     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') ORDER BY 1, 2";
        let rows = link.query(parts, &[oid.into()], READ)?;
        let parts = rows.iter().map(|row| Ok(format!("{}.{}", quoted(&row.owned(0)?), quoted(&row.owned(1)?)))).collect::<Result<_>>()?;
        Ok(Shape { oid, name, nsp, rel, kind, columns, foreign, unique, immediate, key, parts })
    }
}

impl shape::Shape for Shape {
    type Form = Form;
    type More = More;

    fn name(&self) -> &str {
        &self.name
    }

    fn sql(&self) -> String {
        format!("{}.{}", quoted(&self.nsp), quoted(&self.rel))
    }

    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn key(&self) -> Vec<String> {
        self.key.clone()
    }

    fn unique(&self) -> &[Vec<String>] {
        &self.unique
    }

    fn foreign(&self) -> Vec<(&[String], &str, &[String])> {
        self.foreign.iter().map(|key| (key.columns.as_slice(), key.parent_name.as_str(), key.to.as_slice())).collect()
    }

    fn unfit(&self) -> Option<String> {
        match self.kind.as_str() {
            "r" | "p" => None,
            "v" | "m" => Some("it is a view; attach the tables behind it".into()),
            "f" => Some("it is a foreign table; attach it where it is".into()),
            "unlogged" => Some("it is unlogged: a crash of the server empties it, which would be taken for deletions".into()),
            "hidden" => {
                Some("row level security hides rows of it from this role; let the role act as the owner, or give it BYPASSRLS".into())
            }
            _ => Some("other tables inherit from it, so that no key is unique".into()),
        }
    }

    fn is_for_uids(&self, column: &Column) -> bool {
        let named = matches!(column.name.to_lowercase().as_str(), "uuid" | "guid" | "urn");
        (named || column.form == Form::Uuid) && !self.refers(&column.name)
    }

    fn lead(&self, at: usize, parent: &Shape) -> Option<Lead> {
        let foreign = self.foreign.get(at).filter(|foreign| foreign.parent == parent.oid)?;
        // The server compares by what both types mean.
        Some(Lead { to: foreign.to.clone(), alike: true, deferrable: foreign.deferrable })
    }

    fn plain(name: &str) -> Cow<'_, str> {
        name.into()
    }

    fn is_integer(form: &Form) -> bool {
        *form == Form::Integer
    }

    fn kind(form: &Form, _: &str) -> ValueKind {
        form.kind()
    }

    fn line(field: &str, form: &Form) -> String {
        format!("{field} : {}", form.word())
    }
}

fn column(row: &postgres::Row) -> Result<Column> {
    let own = row.flag(7)?.then(|| row.owned(6)).transpose()?.filter(|_| row.text(10).is_ok_and(|kind| kind == Some("b")));
    let filled = match row.text(4)? {
        Some("a") => Filled::Always,
        Some("d") => Filled::ByDefault,
        _ => Filled::Never,
    };
    let wide = match own.as_deref() {
        Some("int2" | "int4" | "int8") => "bigint".to_owned(),
        Some("varchar") => "text".to_owned(),
        Some("bpchar") => "bpchar".to_owned(),
        _ => row.owned(9)?,
    };
    Ok(Column {
        name: row.owned(0)?,
        declared: row.owned(1)?,
        form: Form::of(own.as_deref(), row.int(8)?.and_then(|modifier| i32::try_from(modifier).ok()).unwrap_or(-1)),
        not_null: row.flag(2)?,
        default: row.text(3)?.map(str::to_owned),
        generated: row.flag(5)?,
        filled,
        more: More {
            wide: row.text(11)?.map_or(wide.clone(), |collation| format!("{wide} COLLATE {collation}")),
            sequence: row.text(12)?.map(str::to_owned),
        },
    })
}

fn names(json: Option<&str>) -> Vec<String> {
    json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}
