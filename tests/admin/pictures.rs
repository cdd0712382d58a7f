//! The four pictures of the README. Written to the folder that ENTENTE_SCREENSHOTS names; nowhere without it.

use std::{fs, path::PathBuf};

use crate::{
    browser::{Browser, Screen},
    pages::Parts,
    stage::Stage,
};

/// A picture in the README is no longer than this.
const LARGEST: usize = 150_000;

/// Further sites: one that answers no more, one that calls by itself, one under way.
fn neighbours(stage: &Stage) {
    let house = &stage.house;
    house.run("north", "repository add coast --url http://127.0.0.1:9 --user north --password-file password");
    house.ok("north", "repository add hills");
    house.run("north", "sync coast");
    house.sql(
        "north.db",
        "INSERT INTO visit VALUES (1, 'bob', 'Pump repaired'), (2, 'bob', 'Seeds delivered'), (3, 'eve', 'School visited')",
    );
    house.run("north", "sync south");
}

fn keep(name: &str, picture: &[u8]) {
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 10_000 && picture.len() < LARGEST, "{name} has {} bytes", picture.len());
    if let Some(folder) = std::env::var_os("ENTENTE_SCREENSHOTS").map(PathBuf::from) {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), picture).unwrap();
    }
}

#[test]
fn the_pictures_of_the_readme_are_taken_from_the_pages_as_they_are() {
    let stage = Stage::full();
    let parts = Parts::of(&stage);
    neighbours(&stage);
    let mut browser = Browser::new(&stage.home);
    stage.sign_in(&browser, "root");
    let mut take = |name: &str, path: &str, says: &str, theme: &str, screen: Screen| {
        browser.look_on(screen);
        browser.devtools("Emulation.setScrollbarsHidden", serde_json::json!({"hidden": true}));
        browser.prefer(theme);
        browser.go(&parts.fill(path));
        browser.says(says);
        keep(name, &browser.picture());
    };
    take("home-light.png", "/", "south", "light", Screen::Desk);
    take("home-dark.png", "/", "south", "dark", Screen::Desk);
    take("conflict-light.png", "/conflicts/{number}", "Merge as marked", "light", Screen::Desk);
    take("resources-phone.png", "/repositories/{id}/resources", "MANUAL", "light", Screen::Phone);
}
