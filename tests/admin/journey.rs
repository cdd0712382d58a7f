//! From a code in a terminal to two sites that agree, as a new administrator goes there.

use crate::{
    browser::{Browser, Screen, Scripts},
    house::PASSWORD,
    stage::Stage,
};

/// Makes the first account.
pub(crate) fn set_up(stage: &Stage, browser: &Browser) {
    browser.go("/");
    browser.says("Welcome to north");
    browser.fill("code", "AAAA-BBBB-CCCC-DDDD");
    account(browser, PASSWORD);
    browser.says("That code is not right");
    browser.fill("code", &stage.code);
    account(browser, PASSWORD);
    browser.says("Three steps until your data flows");
}

fn account(browser: &Browser, password: &str) {
    browser.fill("name", "mira");
    browser.fill("password", password);
    browser.fill("again", password);
    browser.press("Make the account");
}

/// Attaches the table of contacts.
pub(crate) fn attach(stage: &Stage, browser: &Browser) {
    browser.press("Attach a database");
    browser.fill("name", "app");
    browser.fill("url", &format!("sqlite:{}", stage.house.path("nothing.db").display()));
    browser.press("Show its tables");
    browser.shows("#problem");
    browser.fill("url", &format!("sqlite:{}", stage.house.path("north.db").display()));
    browser.press("Show its tables");
    browser.says("Its tables");
    browser.tick("input[name=table][value=visit]");
    browser.press("Attach the chosen tables");
    browser.says("1 table of app attached");
    assert_eq!(browser.at(), "/attach");
}

/// Adds an account by which another site may log in here.
pub(crate) fn add_account(browser: &Browser) {
    browser.press("Users");
    browser.press("Add an account for a site");
    browser.fill("name", "south");
    browser.fill("password", PASSWORD);
    browser.fill("again", PASSWORD);
    browser.press("Add");
    browser.says("south");
    assert_eq!(browser.at(), "/users");
}

/// Registers `south`.
pub(crate) fn register(stage: &Stage, browser: &Browser) {
    browser.press("Repositories");
    browser.press("Register a site");
    browser.fill("name", "south");
    browser.fill("url", &stage.south.url());
    browser.fill("user", "north");
    browser.fill("password", PASSWORD);
    browser.press("Register");
    browser.says("south is added, and this site is registered there");
}

/// Shares the contacts; what both sites change waits for a person.
pub(crate) fn share(browser: &Browser) {
    browser.press("contact");
    browser.tick("input[name=conflict][value=MANUAL]");
    browser.fill("filters", "~.name__like=*");
    browser.press("Count");
    browser.says("0 records");
    browser.fill("filters", "");
    browser.follow("main form.sheet > p.acts > button.main");
    browser.says("MANUAL");
}

/// Makes a schedule whose first run is far enough away.
pub(crate) fn schedule(browser: &Browser) {
    browser.press("Schedule");
    browser.press("Make a schedule");
    browser.fill("every", "2h");
    browser.press("Preview");
    browser.says("The next five runs");
    assert_eq!(browser.count(".chip"), 5);
    browser.press("Save");
    browser.says("Every 2 hours");
}

/// Waits for a run to be in the log, and looks at it.
fn log_of_a_run(browser: &Browser) {
    browser.go("/log?action=pull&result=success");
    browser.says("Pulled contact from south");
    browser.follow("tbody tr:last-child a");
    browser.says("Took 3 records");
    browser.follow("dd a[href^='/log/']");
    browser.says("Run with south");
    browser.says("Its parts");
}

/// Runs with `south` until its answer is in the database.
pub(crate) fn run(browser: &Browser) {
    browser.press("Repositories");
    browser.press("south");
    browser.press("Sync now");
    browser.says("A run was asked for");
}

/// Decides about Ada: the town from here, the phone from there.
pub(crate) fn decide(stage: &Stage, browser: &Browser) {
    stage.disagree();
    run(browser);
    conflict_is_here(stage);
    browser.go("/conflicts");
    browser.follow("td a[href^='/conflicts/']");
    browser.says("Aachen");
    browser.says("Berlin");
    browser.tick("input[name=field-town][value=ours]");
    browser.tick("input[name=field-phone][value=theirs]");
    browser.press("Merge as marked");
    stage.holds("north.db", "SELECT town, phone FROM contact WHERE code = 'ada'", &["Aachen|125"]);
    run(browser);
    stage.holds("south.db", "SELECT town, phone FROM contact WHERE code = 'ada'", &["Aachen|125"]);
    browser.go("/conflicts");
    browser.says("Nothing to decide");
}

fn conflict_is_here(stage: &Stage) {
    crate::house::until("a conflict waits", || {
        stage.house.ok("north", "--format json conflicts --open").json().as_array().is_some_and(|open| open.len() == 1)
    });
}

/// A town that is too long here is made shorter by hand.
pub(crate) fn mend(stage: &Stage, browser: &Browser) {
    stage.house.sql("south.db", "INSERT INTO contact VALUES ('kim', 'Kim', 'Llanfairpwllgwyngyllgogerychwyrndrobwll', '400')");
    run(browser);
    crate::house::until("a record waits", || {
        stage.house.ok("north", "--format json quarantine").json().as_array().is_some_and(|waiting| waiting.len() == 1)
    });
    browser.go("/quarantine");
    browser.follow("td a[href^='/quarantine/']");
    browser.says("CHECK");
    browser.fill("field-town", "Llanfair");
    browser.press("Save my values and try");
    stage.holds("north.db", "SELECT name, town FROM contact WHERE code = 'kim'", &["Kim|Llanfair"]);
    browser.go("/quarantine");
    browser.says("Nothing waits");
}

#[test]
fn a_new_administrator_gets_from_the_code_to_two_sites_that_agree() {
    let stage = Stage::empty();
    let browser = Browser::new(&stage.home);
    set_up(&stage, &browser);
    attach(&stage, &browser);
    add_account(&browser);
    register(&stage, &browser);
    share(&browser);
    schedule(&browser);
    browser.press("Run now");
    stage.holds("north.db", "SELECT code FROM contact ORDER BY code", &["ada", "bob", "eve"]);
    log_of_a_run(&browser);
    stage.house.sql("north.db", "INSERT INTO contact VALUES ('dan', 'Dan', 'Essen', '500')");
    run(&browser);
    stage.holds("south.db", "SELECT name FROM contact WHERE code = 'dan'", &["Dan"]);
    decide(&stage, &browser);
    mend(&stage, &browser);
    browser.press("Sign out");
    assert_eq!(browser.at(), "/login");
    browser.go("/");
    browser.says("Sign in to north");
    let errors: Vec<String> = browser.console().into_iter().filter(|line| !line.contains("status of 422")).collect();
    assert_eq!(errors, [""; 0]);
}

#[test]
fn the_same_is_done_on_a_phone_and_no_page_is_wider_than_its_screen() {
    let stage = Stage::empty();
    let browser = Browser::with(&stage.home, Screen::Phone, Scripts::On);
    set_up(&stage, &browser);
    attach(&stage, &browser);
    register(&stage, &browser);
    share(&browser);
    schedule(&browser);
    browser.press("Run now");
    stage.holds("north.db", "SELECT code FROM contact ORDER BY code", &["ada", "bob", "eve"]);
    log_of_a_run(&browser);
    decide(&stage, &browser);
}
