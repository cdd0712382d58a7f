//! Which table of which database is which resource.

use diesel::prelude::*;

use super::{Conn, schema::attached};
use crate::{
    error::{Error, Kind, Result},
    model::AttachedTable,
};

#[derive(Queryable, Insertable)]
#[diesel(table_name = attached)]
struct Row {
    resource: String,
    database: String,
    table_name: String,
}

impl From<Row> for AttachedTable {
    fn from(row: Row) -> AttachedTable {
        AttachedTable { resource: row.resource, database: row.database, table: row.table_name }
    }
}

/// All attached tables, by resource.
pub fn list(conn: &mut Conn) -> Result<Vec<AttachedTable>> {
    let rows = attached::table.order(attached::resource).load::<Row>(conn)?;
    Ok(rows.into_iter().map(AttachedTable::from).collect())
}

/// The table behind a resource.
pub fn of(conn: &mut Conn, resource: &str) -> Result<Option<AttachedTable>> {
    Ok(attached::table.find(resource).get_result::<Row>(conn).optional()?.map(AttachedTable::from))
}

/// Attaches a table; again, nothing changes. [`Kind::Exists`] if the resource is another table already, or the table another resource.
pub fn put(conn: &mut Conn, new: &AttachedTable) -> Result<()> {
    if let Some(there) = of(conn, &new.resource)? {
        return if there == *new { Ok(()) } else { Err(taken(&there)) };
    }
    let same_table = attached::table.filter(attached::database.eq(&new.database)).filter(attached::table_name.eq(&new.table));
    if let Some(there) = same_table.get_result::<Row>(conn).optional()? {
        return Err(taken(&there.into()));
    }
    let row = Row { resource: new.resource.clone(), database: new.database.clone(), table_name: new.table.clone() };
    diesel::insert_into(attached::table).values(row).execute(conn)?;
    Ok(())
}

fn taken(there: &AttachedTable) -> Error {
    let AttachedTable { resource, database, table } = there;
    Error::new(Kind::Exists, format!("The table {table:?} of the database {database:?} is attached as the resource {resource:?} already"))
        .hint("Choose another resource name with --table TABLE=RESOURCE.")
}

/// Detaches a table. What is not attached stays so.
pub fn remove(conn: &mut Conn, resource: &str) -> Result<()> {
    diesel::delete(attached::table.find(resource)).execute(conn)?;
    Ok(())
}

/// Detaches all tables of a database.
pub fn remove_database(conn: &mut Conn, database: &str) -> Result<()> {
    diesel::delete(attached::table.filter(attached::database.eq(database))).execute(conn)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Database,
        store::{databases, test_store::TestStore},
    };

    fn table(resource: &str, database: &str, table: &str) -> AttachedTable {
        AttachedTable { resource: resource.into(), database: database.into(), table: table.into() }
    }

    fn store() -> TestStore {
        let store = TestStore::new();
        for name in ["a", "b"] {
            store.write(|c| databases::put(c, &Database { name: name.into(), url: "sqlite:x".into() })).unwrap();
        }
        store
    }

    #[test]
    fn a_resource_is_one_table_and_a_table_one_resource() {
        let store = store();
        store
            .write(|c| {
                put(c, &table("r", "a", "t"))?;
                put(c, &table("r", "a", "t"))
            })
            .unwrap();
        for other in [table("r", "b", "t"), table("r", "a", "u"), table("s", "a", "t")] {
            let error = store.write(|c| put(c, &other)).unwrap_err();
            assert_eq!(error.kind(), Kind::Exists);
            assert!(error.to_string().contains("\"t\" of the database \"a\" is attached as the resource \"r\""), "{error}");
        }
        assert_eq!(store.read(list).unwrap(), [table("r", "a", "t")]);
        assert_eq!(store.read(|c| of(c, "s")).unwrap(), None);
    }

    #[test]
    fn tables_go_one_by_one_or_with_their_database() {
        let store = store();
        store.write(|c| ["r", "s", "t"].iter().try_for_each(|name| put(c, &table(name, "a", name)))).unwrap();
        store.write(|c| put(c, &table("z", "b", "z"))).unwrap();
        store.write(|c| remove(c, "s")).unwrap();
        assert_eq!(store.read(list).unwrap().len(), 3);
        store.write(|c| remove_database(c, "a")).unwrap();
        assert_eq!(store.read(list).unwrap(), [table("z", "b", "z")]);
        store.write(|c| databases::remove(c, "b")).unwrap();
        assert_eq!(store.read(list).unwrap(), []);
        assert_eq!(store.write(|c| put(c, &table("z", "b", "z"))).unwrap_err().kind(), Kind::NotFound);
    }
}
