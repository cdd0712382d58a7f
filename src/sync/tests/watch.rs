//! Changes are noticed.

use super::world::TestSite;
use crate::{
    model::TableSpec,
    sync::watch::{Known, look},
};

#[test]
fn what_came_while_a_database_could_not_be_reached_is_told() {
    let home = TestSite::new("home", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)");
    home.attach(&[TableSpec { table: "t".into(), resource: "t".into(), ..TableSpec::default() }]);
    let (mut known, mut told) = (Known::default(), Vec::new());
    look(&home.site, "app", &mut known, &mut |resource| told.push(resource.to_owned())).unwrap();
    assert_eq!(told, [""; 0]);
    known.let_rest();
    home.sql("INSERT INTO t (v) VALUES ('meanwhile')");
    look(&home.site, "app", &mut known, &mut |resource| told.push(resource.to_owned())).unwrap();
    look(&home.site, "app", &mut known, &mut |resource| told.push(resource.to_owned())).unwrap();
    assert_eq!(told, ["t"]);
}
