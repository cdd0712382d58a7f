//! The one-time code by which the first administrator makes an account in the browser.

use diesel::prelude::*;
use subtle::ConstantTimeEq;

use super::{Conn, opaque, schema::setup_code};
use crate::{error::Result, model::Time};

const ROW: i64 = 1;

/// Makes a code, four groups of four characters, in place of the one there was. It is shown now or never: the store keeps its hash alone.
pub fn make(conn: &mut Conn, now: Time) -> Result<String> {
    let code = opaque::code();
    diesel::delete(setup_code::table).execute(conn)?;
    let values = (setup_code::id.eq(ROW), setup_code::digest.eq(opaque::digest(&opaque::plain(&code))), setup_code::created_on.eq(now.0));
    diesel::insert_into(setup_code::table).values(values).execute(conn)?;
    Ok(code)
}

/// Whether there is a code that was not used yet.
pub fn exists(conn: &mut Conn) -> Result<bool> {
    Ok(setup_code::table.count().get_result::<i64>(conn)? > 0)
}

/// Uses the code up: `true` once, for the right one. Capitals, hyphens and spaces do not matter.
pub fn spend(conn: &mut Conn, typed: &str) -> Result<bool> {
    let Some(kept) = setup_code::table.select(setup_code::digest).first::<Vec<u8>>(conn).optional()? else { return Ok(false) };
    let right = bool::from(opaque::digest(&opaque::plain(typed)).ct_eq(&kept));
    if right {
        diesel::delete(setup_code::table).execute(conn)?;
    }
    Ok(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::test_store::TestStore;

    #[test]
    fn a_code_works_once_and_only_the_last_one_made() {
        TestStore::each(|new| {
            let store = new();
            assert!(!store.read(exists).unwrap() && !store.write(|c| spend(c, "")).unwrap());
            let old = store.write(|c| make(c, Time(0))).unwrap();
            let code = store.write(|c| make(c, Time(1))).unwrap();
            let spend = |typed: &str| store.write(|c| spend(c, typed)).unwrap();
            assert!(!spend(&old) && !spend("") && store.read(exists).unwrap());
            assert!(spend(&code.to_lowercase()));
            assert!(!spend(&code) && !store.read(exists).unwrap());
        });
    }
}
