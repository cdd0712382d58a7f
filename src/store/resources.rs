//! What is shared with each repository, where an administrator said so.

use diesel::prelude::*;

use super::{
    Conn,
    schema::{repository, resource},
    stored,
};
use crate::{
    error::{Error, Kind, Result},
    model::{Mode, RepositoryId, Resource, ResourceId, SiteId},
};

#[derive(Queryable)]
struct Row {
    id: i64,
    repository: i64,
    name: String,
    mode: String,
    strategy: String,
    update_policy: String,
    conflict_policy: String,
    merge_fields: bool,
    accept_twins: bool,
    filters: String,
}

#[derive(Insertable, AsChangeset)]
#[diesel(table_name = resource)]
struct Values<'a> {
    repository: i64,
    name: &'a str,
    mode: &'a str,
    strategy: String,
    update_policy: &'a str,
    conflict_policy: &'a str,
    merge_fields: bool,
    accept_twins: bool,
    filters: String,
}

impl TryFrom<Row> for Resource {
    type Error = Error;

    fn try_from(row: Row) -> Result<Resource> {
        Ok(Resource {
            id: row.id,
            repository: row.repository,
            name: row.name,
            mode: stored::read(&row.mode)?,
            strategy: stored::read(&row.strategy)?,
            update: stored::read(&row.update_policy)?,
            conflict: stored::read(&row.conflict_policy)?,
            merge_fields: row.merge_fields,
            accept_twins: row.accept_twins,
            filters: serde_json::from_str(&row.filters).map_err(|e| Error::internal("the control store is damaged").because(e))?,
        })
    }
}

impl<'a> From<&'a Resource> for Values<'a> {
    fn from(from: &'a Resource) -> Values<'a> {
        Values {
            repository: from.repository,
            name: &from.name,
            mode: from.mode.word(),
            strategy: from.strategy.to_string(),
            update_policy: from.update.word(),
            conflict_policy: from.conflict.word(),
            merge_fields: from.merge_fields,
            accept_twins: from.accept_twins,
            filters: serde_json::Value::from(from.filters.clone()).to_string(),
        }
    }
}

/// What is shared with all repositories, by name.
pub fn all(conn: &mut Conn) -> Result<Vec<Resource>> {
    let rows = resource::table.order((resource::repository, resource::name)).load::<Row>(conn)?;
    rows.into_iter().map(Resource::try_from).collect()
}

/// The resources with numbers after `after`, of all repositories, `limit` at most.
pub fn page(conn: &mut Conn, after: ResourceId, limit: i64) -> Result<Vec<Resource>> {
    let rows = resource::table.filter(resource::id.gt(after)).order(resource::id).limit(limit).load::<Row>(conn)?;
    rows.into_iter().map(Resource::try_from).collect()
}

/// The resources of a repository with names after `after`, `limit` at most.
pub fn page_of(conn: &mut Conn, repository: RepositoryId, after: &str, limit: i64) -> Result<Vec<Resource>> {
    let wanted = resource::table.filter(resource::repository.eq(repository)).filter(resource::name.gt(after));
    wanted.order(resource::name).limit(limit).load::<Row>(conn)?.into_iter().map(Resource::try_from).collect()
}

/// The resources of a repository, by name.
pub fn list(conn: &mut Conn, repository: RepositoryId) -> Result<Vec<Resource>> {
    let rows = resource::table.filter(resource::repository.eq(repository)).order(resource::name).load::<Row>(conn)?;
    rows.into_iter().map(Resource::try_from).collect()
}

/// A resource of a repository; `None` where nobody configured it here, which does not mean that it is not shared: the other side may have.
pub fn get(conn: &mut Conn, repository: RepositoryId, name: &str) -> Result<Option<Resource>> {
    let row =
        resource::table.filter(resource::repository.eq(repository)).filter(resource::name.eq(name)).get_result::<Row>(conn).optional()?;
    row.map(Resource::try_from).transpose()
}

/// The enabled repositories beside one, with the mode in which they share the resource; `None` = nobody configured it here.
pub fn sharers(conn: &mut Conn, name: &str, beside: Option<RepositoryId>) -> Result<Vec<(Option<SiteId>, Option<Mode>)>> {
    let on = resource::repository.eq(repository::id).and(resource::name.eq(name));
    let rows = repository::table
        .left_join(resource::table.on(on))
        // Numbers begin at 1.
        .filter(repository::id.ne(beside.unwrap_or_default()))
        .filter(repository::enabled.eq(true))
        .select((repository::uuid, resource::mode.nullable()))
        .load::<(Option<String>, Option<String>)>(conn)?;
    let read = |(uuid, mode): (Option<String>, Option<String>)| {
        Ok((uuid.as_deref().map(stored::read).transpose()?, mode.as_deref().map(stored::read).transpose()?))
    };
    rows.into_iter().map(read).collect()
}

/// Adds a resource and returns it with its number. [`Kind::Exists`] if the repository has one of that name.
pub fn add(conn: &mut Conn, new: &Resource) -> Result<Resource> {
    new.validate()?;
    refuse_taken(conn, new)?;
    let id = diesel::insert_into(resource::table).values(Values::from(new)).returning(resource::id).get_result(conn)?;
    Ok(Resource { id, ..new.clone() })
}

/// Changes a resource to what is given.
pub fn update(conn: &mut Conn, changed: &Resource) -> Result<()> {
    changed.validate()?;
    refuse_taken(conn, changed)?;
    let count = diesel::update(resource::table.find(changed.id)).set(Values::from(changed)).execute(conn)?;
    there(count, &changed.name)
}

fn refuse_taken(conn: &mut Conn, wanted: &Resource) -> Result<()> {
    match get(conn, wanted.repository, &wanted.name)? {
        Some(other) if other.id != wanted.id => {
            Err(Error::new(Kind::Exists, format!("The repository has a resource {:?} already", wanted.name))
                .hint("Change it with `entente resource set`."))
        }
        _ => Ok(()),
    }
}

/// Removes a resource of a repository.
pub fn remove(conn: &mut Conn, repository: RepositoryId, name: &str) -> Result<()> {
    let count =
        diesel::delete(resource::table.filter(resource::repository.eq(repository)).filter(resource::name.eq(name))).execute(conn)?;
    there(count, name)
}

fn there(count: usize, name: &str) -> Result<()> {
    if count == 0 { Err(Error::not_found(format!("The repository has no resource {name:?} here"))) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Mode, Policy},
        store::test_store::TestStore,
    };

    #[test]
    fn a_resource_is_read_as_it_was_written_and_changed() {
        TestStore::each(|new| {
            let store = new();
            let repository = store.repository("a");
            let mut some = Resource {
                mode: Mode::Pull,
                strategy: "create,delete".parse().unwrap(),
                update: Policy::This,
                conflict: Policy::Manual,
                merge_fields: true,
                accept_twins: true,
                filters: vec!["~.a=\"b\"".into(), "~.c__like=d*".into()],
                ..Resource::new(repository, "t")
            };
            some = store.write(|c| add(c, &some)).unwrap();
            assert_eq!(store.read(|c| get(c, repository, "t")).unwrap(), Some(some.clone()));
            let plain = Resource { id: some.id, ..Resource::new(repository, "u") };
            store.write(|c| update(c, &plain)).unwrap();
            assert_eq!(store.read(|c| list(c, repository)).unwrap(), [plain]);
            store.write(|c| remove(c, repository, "u")).unwrap();
            assert_eq!(store.read(|c| get(c, repository, "u")).unwrap(), None);
            assert_eq!(store.write(|c| remove(c, repository, "u")).unwrap_err().kind(), Kind::NotFound);
        });
    }

    #[test]
    fn a_name_is_unique_within_a_repository_only() {
        TestStore::each(|new| {
            let store = new();
            let (a, b) = (store.repository("a"), store.repository("b"));
            let first = store
                .write(|c| {
                    add(c, &Resource::new(b, "t"))?;
                    add(c, &Resource::new(a, "u"))?;
                    add(c, &Resource::new(a, "t"))
                })
                .unwrap();
            assert_eq!(store.write(|c| add(c, &Resource::new(a, "t"))).unwrap_err().kind(), Kind::Exists);
            assert_eq!(store.write(|c| update(c, &Resource { name: "u".into(), ..first })).unwrap_err().kind(), Kind::Exists);
            assert_eq!(store.write(|c| add(c, &Resource::new(99, "t"))).unwrap_err().kind(), Kind::NotFound);
        });
    }
}
