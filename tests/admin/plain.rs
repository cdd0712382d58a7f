//! The forms in a browser that runs no scripts.

use crate::{
    browser::{Browser, Screen, Scripts},
    journey::{attach, decide, register, run, schedule, set_up, share},
    stage::Stage,
};

#[test]
fn every_form_works_without_scripts() {
    let stage = Stage::empty();
    let browser = Browser::with(&stage.home, Screen::Desk, Scripts::Off);
    browser.go("data:text/html,<body>as written<script>document.body.textContent='changed'</script>");
    browser.says("as written");
    set_up(&stage, &browser);
    attach(&stage, &browser);
    register(&stage, &browser);
    share(&browser);
    schedule(&browser);
    run(&browser);
    stage.holds("north.db", "SELECT code FROM contact ORDER BY code", &["ada", "bob", "eve"]);
    decide(&stage, &browser);
    browser.press("Sign out");
    stage.sign_in(&browser, "mira");
    assert!(browser.requests().iter().all(|address| !address.ends_with("/live")));
}
