//! When the resources shared with repositories were last found equal at both sites.

use std::collections::HashMap;

use diesel::prelude::*;

use super::{Conn, schema::verified};
use crate::{
    error::Result,
    model::{ResourceId, Time},
};

/// Notes that a resource was equal at both sites at this time.
pub fn set(conn: &mut Conn, resource: ResourceId, at: Time) -> Result<()> {
    if diesel::update(verified::table.find(resource)).set(verified::at.eq(at.0)).execute(conn)? == 0 {
        diesel::insert_into(verified::table).values((verified::resource.eq(resource), verified::at.eq(at.0))).execute(conn)?;
    }
    Ok(())
}

/// When each resource was last equal; one that never was is left out.
pub fn all(conn: &mut Conn) -> Result<HashMap<ResourceId, Time>> {
    let rows = verified::table.load::<(i64, i64)>(conn)?;
    Ok(rows.into_iter().map(|(resource, at)| (resource, Time(at))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Resource,
        store::{resources, test_store::TestStore},
    };

    #[test]
    fn the_last_time_is_kept_for_as_long_as_the_resource_is_shared() {
        TestStore::each(|new| {
            let store = new();
            let repository = store.repository("a");
            let resource = store.write(|c| resources::add(c, &Resource::new(repository, "t"))).unwrap();
            assert!(store.read(all).unwrap().is_empty());
            for at in [5, 9] {
                store.write(|c| set(c, resource.id, Time(at))).unwrap();
            }
            assert_eq!(store.read(all).unwrap(), HashMap::from([(resource.id, Time(9))]));
            store.write(|c| resources::remove(c, repository, "t")).unwrap();
            assert!(store.read(all).unwrap().is_empty());
        });
    }
}
