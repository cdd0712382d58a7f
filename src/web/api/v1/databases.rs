//! `/databases` and `/tables`: what is attached here.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::operation::{Call, In, Method, Nothing, Operation};
use crate::{
    error::{Error, Result},
    model::{AttachedTable, Component, Identity, Scope, TableSpec},
    store::{Conn, attached, databases as stored},
    sync::{
        attach::{self, Journal},
        housekeeping,
    },
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new(Method::Get, "/databases", ("listDatabases", "List the attached databases"), list),
        Operation::new(
            Method::Post,
            "/databases",
            ("attach", "Attach tables of a database; again under the same name adds tables"),
            attach,
        )
        .status(201),
        Operation::new(Method::Post, "/survey", ("survey", "List the tables of a database and the identity each would get"), survey),
        Operation::new(Method::Get, "/databases/{database}", ("showDatabase", "Show an attached database with its tables"), show),
        Operation::new(Method::Delete, "/databases/{database}", ("detach", "Detach a database; its tables stay as they are"), detach),
        Operation::new(
            Method::Post,
            "/databases/{database}/sweep",
            ("sweep", "Find what programs wrote to a database without its triggers noticing; it travels at the next run"),
            sweep,
        )
        .needs(Scope::Write),
        Operation::new(Method::Get, "/tables", ("listTables", "List the attached tables"), tables),
    ]
}

/// An attached database.
#[derive(Serialize, JsonSchema)]
pub(super) struct Database {
    /// What it is called here.
    name: String,
    /// Where it is, without a password.
    url: String,
    /// Its attached tables.
    tables: Vec<AttachedName>,
}

/// An attached table.
#[derive(Serialize, JsonSchema)]
struct AttachedName {
    /// The table.
    table: String,
    /// What it is called at all sites.
    resource: String,
}

/// The attached databases, by name.
pub(super) fn databases(c: &mut Conn) -> Result<Vec<Database>> {
    let attached = attached::list(c)?;
    let tables = |name: &str| {
        let own = attached.iter().filter(|table| table.database == name);
        own.map(|table| AttachedName { table: table.table.clone(), resource: table.resource.clone() }).collect()
    };
    Ok(stored::list(c)?
        .into_iter()
        .map(|database| Database { tables: tables(&database.name), name: database.name, url: database.url })
        .collect())
}

fn list(call: &Call<'_>, _: In) -> Result<Vec<Database>> {
    call.site.store.read(databases)
}

/// A database by its name.
#[derive(Deserialize, JsonSchema)]
struct DatabasePath {
    /// The database's name.
    database: String,
}

/// An attached database in full.
#[derive(Serialize, JsonSchema)]
struct DatabaseDetail {
    /// What it is called here.
    name: String,
    /// Where it is, without a password.
    url: String,
    /// Its attached tables.
    tables: Vec<TableDetail>,
}

/// An attached table in full.
#[derive(Serialize, JsonSchema)]
struct TableDetail {
    /// The table.
    table: String,
    /// What it is called at all sites.
    resource: String,
    /// Where its records' uids come from: `column:C`, `key:C,…` or `assigned`.
    identity: String,
    /// Columns by which an unknown record is recognized as one that is here.
    r#match: Vec<String>,
    /// The fields that travel, references not among them.
    fields: Vec<String>,
    /// The foreign keys that travel.
    references: Vec<ReferenceTo>,
    /// How many living records it has.
    records: u64,
    /// Whether all rows that were there before are journalled.
    ready: bool,
}

/// A foreign key that travels.
#[derive(Serialize, JsonSchema)]
struct ReferenceTo {
    /// Its name.
    field: String,
    /// The resource it points to.
    resource: String,
}

fn show(call: &Call<'_>, asked: In<DatabasePath>) -> Result<DatabaseDetail> {
    detail(call, &asked.path.database)
}

fn detail(call: &Call<'_>, name: &str) -> Result<DatabaseDetail> {
    let database = call.site.store.read(|c| stored::get(c, name))?;
    let mut door = call.site.door(name)?;
    let mut tables = Vec::new();
    for table in door.tables()? {
        let records = door.count(&table)?;
        let references = table.references.into_iter().map(|r| ReferenceTo { field: r.field, resource: r.resource }).collect();
        tables.push(TableDetail {
            table: table.name,
            resource: table.resource,
            identity: table.identity.to_string(),
            r#match: table.matching,
            fields: table.fields,
            references,
            records,
            ready: table.ready,
        });
    }
    Ok(DatabaseDetail { name: database.name, url: database.url, tables })
}

/// A database to attach.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Attach {
    /// What to call it here.
    name: String,
    /// Where it is: `sqlite:PATH`, a path on the machine of this site, or `postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE`. A password is kept sealed
    /// and never shown.
    url: String,
    /// The tables to attach, one at least.
    #[schemars(length(min = 1))]
    tables: Vec<TableWanted>,
}

/// A table to attach.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TableWanted {
    /// The table.
    table: String,
    /// What it is called at all sites [default: the table's name].
    resource: Option<String>,
    /// How its records are known everywhere: `column:C`, `key:C,…` or `assigned` [default: what the survey proposes].
    identity: Option<String>,
    /// Unique columns that tell that an unknown record from elsewhere is one that is here.
    #[serde(default)]
    r#match: Vec<String>,
    /// Columns that stay here.
    #[serde(default)]
    omit: Vec<String>,
    /// Columns that are called otherwise at other sites: name here, name there.
    #[serde(default)]
    map: BTreeMap<String, String>,
    /// Resources whose records belong to those of this table: a Sahana Eden gets them inside.
    #[serde(default)]
    components: Vec<ComponentOf>,
}

/// A resource whose records belong to those of another.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ComponentOf {
    /// The resource.
    resource: String,
    /// Its field that refers to the record that they belong to.
    field: String,
}

impl TableWanted {
    fn spec(self) -> Result<TableSpec> {
        Ok(TableSpec {
            resource: self.resource.unwrap_or_else(|| self.table.clone()),
            table: self.table,
            identity: self.identity.as_deref().map(Identity::parse).transpose()?,
            matching: self.r#match,
            omit: self.omit,
            map: self.map,
            components: self.components.into_iter().map(|one| Component { resource: one.resource, field: one.field }).collect(),
        })
    }
}

fn attach(call: &Call<'_>, asked: In<Nothing, Nothing, Attach>) -> Result<DatabaseDetail> {
    let Attach { name, url, tables } = asked.body;
    if tables.is_empty() {
        return Err(Error::usage("no table is named").hint("POST /api/v1/survey lists those there are."));
    }
    let specs = tables.into_iter().map(TableWanted::spec).collect::<Result<Vec<_>>>()?;
    attach::attach(call.site, &name, &url, &specs, &mut |_, _, _| {})?;
    detail(call, &name)
}

/// A database to look at: exactly one of the two.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Look {
    /// Where it is, as for attaching.
    url: Option<String>,
    /// The name of one that is attached.
    database: Option<String>,
}

/// A table of a database.
#[derive(Serialize, JsonSchema)]
struct SurveyedTable {
    /// The table.
    table: String,
    /// The identity it would get.
    identity: Option<String>,
    /// Why it cannot be attached.
    refused: Option<String>,
    /// The tables it refers to.
    references: Vec<String>,
    /// The resource it already is.
    attached: Option<String>,
}

fn survey(call: &Call<'_>, asked: In<Nothing, Nothing, Look>) -> Result<Vec<SurveyedTable>> {
    let found = match (asked.body.url, asked.body.database) {
        (Some(url), None) => attach::survey(call.site, &url)?,
        (None, Some(name)) => call.site.connect(&call.site.store.read(|c| stored::get(c, &name))?)?.survey()?,
        _ => return Err(Error::usage("name either `url` or `database`")),
    };
    let one = found.into_iter().map(|survey| SurveyedTable {
        table: survey.table,
        identity: survey.identity.as_ref().ok().map(ToString::to_string),
        refused: survey.identity.err(),
        references: survey.references,
        attached: survey.attached,
    });
    Ok(one.collect())
}

/// How to detach.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Detach {
    /// Remove the journal too; attached again, its records count as new ones [default: false].
    #[serde(default)]
    drop_journal: bool,
}

fn detach(call: &Call<'_>, asked: In<DatabasePath, Detach>) -> Result<Nothing> {
    let journal = if asked.query.drop_journal { Journal::Drop } else { Journal::Keep };
    attach::detach(call.site, &asked.path.database, journal).map(|()| Nothing {})
}

/// An attached table and its database.
#[derive(Serialize, JsonSchema)]
struct Table {
    /// What it is called at all sites.
    resource: String,
    /// The database.
    database: String,
    /// The table there.
    table: String,
}

fn tables(call: &Call<'_>, _: In) -> Result<Vec<Table>> {
    let attached = call.site.store.read(attached::list)?;
    Ok(attached.into_iter().map(|AttachedTable { resource, database, table }| Table { resource, database, table }).collect())
}

/// A table that was swept.
#[derive(Serialize, JsonSchema)]
struct SweptTable {
    /// The resource.
    resource: String,
    /// Rows that were looked at.
    rows: u64,
    /// Rows that nobody had noticed before.
    added: u64,
    /// Rows that had changed unnoticed.
    changed: u64,
    /// Rows that had gone unnoticed.
    removed: u64,
    /// Whether the running sum was put right.
    sum_mended: bool,
}

fn sweep(call: &Call<'_>, asked: In<DatabasePath>) -> Result<Vec<SweptTable>> {
    let database = call.site.store.read(|c| stored::get(c, &asked.path.database))?;
    let swept = housekeeping::sweep(call.site, &database, &mut |_, _, _| {})?;
    let one = |table: housekeeping::SweptTable| SweptTable {
        resource: table.resource,
        rows: table.swept.rows,
        added: table.swept.added,
        changed: table.swept.changed,
        removed: table.swept.removed,
        sum_mended: table.swept.mended,
    };
    Ok(swept.into_iter().map(one).collect())
}
