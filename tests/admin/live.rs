//! What moves by itself while a page stands open.

use crate::{browser::Browser, stage::Stage};

/// A mark that goes when the page is loaded again.
fn mark(browser: &Browser) {
    browser.ask("window.sameAsBefore = true; return null", Vec::new());
}

fn is_same(browser: &Browser) -> bool {
    browser.ask("return window.sameAsBefore === true", Vec::new()) == true
}

#[test]
fn a_run_appears_in_an_open_log_and_is_told_in_a_toast() {
    let stage = Stage::full();
    let browser = Browser::new(&stage.home);
    stage.sign_in(&browser, "root");
    browser.go("/log?action=run");
    browser.shows("tbody tr");
    let before = browser.count("tbody tr");
    mark(&browser);
    stage.house.ok("north", "sync south");
    browser.shows(&format!("tbody tr:nth-child({})", before + 1));
    browser.shows("#toasts .toast");
    browser.says("Run with south");
    assert!(is_same(&browser));
}

#[test]
fn progress_of_a_run_is_seen_while_it_goes_on() {
    let stage = Stage::full();
    stage.house.sql(
        "south.db",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) INSERT INTO contact SELECT 'c' || i, 'Name ' || i, 'Town', i FROM n",
    );
    let browser = Browser::new(&stage.home);
    stage.sign_in(&browser, "root");
    browser.go("/");
    mark(&browser);
    let run = crate::house::Staying::start(slow(stage.house.command("north", "sync south")));
    browser.shows("progress");
    assert!(is_same(&browser));
    drop(run);
}

#[test]
fn what_comes_anew_takes_the_keyboard_from_nobody() {
    let stage = Stage::full();
    let browser = Browser::new(&stage.home);
    stage.sign_in(&browser, "root");
    browser.go("/");
    // In the menu, and then in a part that lives: a link that both have.
    for place in [".rail nav", "[data-live]"] {
        let link = browser.ask(
            "const hrefs = (css) => [...document.querySelectorAll(css + ' a[href]')].map((a) => a.getAttribute('href')); \
             const both = hrefs('.rail nav').find((href) => hrefs('[data-live]').includes(href)); \
             document.querySelector(`${arguments[0]} a[href=\"${both}\"]`).focus(); \
             document.querySelectorAll('[data-live]').forEach((part) => { part.dataset.before = 'yes'; }); return both",
            vec![place.into()],
        );
        stage.house.ok("north", "sync south");
        crate::house::until("all parts are new", || browser.count("[data-before]") == 0);
        let focused = "const at = document.activeElement; return [at.getAttribute('href'), at.closest(arguments[0]) !== null]";
        assert_eq!(browser.ask(focused, vec![place.into()]), serde_json::json!([link, true]), "{place}");
    }
}

/// Pages so small that a run of some thousand records takes a while.
fn slow(mut command: std::process::Command) -> std::process::Command {
    command.env("ENTENTE_PAGE_RECORDS", "20");
    command
}

#[test]
fn a_lost_line_is_said_and_heals_by_itself() {
    let mut stage = Stage::full();
    let browser = Browser::new(&stage.home);
    stage.sign_in(&browser, "root");
    browser.go("/log?action=run");
    mark(&browser);
    stage.north = None;
    browser.says("The line to this site is lost");
    let address = stage.home.trim_start_matches("http://").to_owned();
    stage.north = Some(again(&stage, &address));
    browser.shows("#line[hidden]");
    assert!(is_same(&browser) && !browser.text().contains("is lost"));
    let before = browser.count("tbody tr");
    stage.house.ok("north", "sync south");
    browser.shows(&format!("tbody tr:nth-child({})", before + 1));
}

/// The same site at the same address, as soon as the port is free.
fn again(stage: &Stage, address: &str) -> crate::house::Staying {
    crate::house::until("the port is free", || std::net::TcpListener::bind(address).is_ok());
    stage.house.start("north", &format!("up --listen {address}"))
}

#[test]
fn two_tabs_share_one_connection_and_the_second_takes_over() {
    let stage = Stage::full();
    let mut browser = Browser::new(&stage.home);
    stage.sign_in(&browser, "root");
    browser.requests();
    browser.go("/log?action=run");
    browser.open_tab();
    browser.go("/conflicts?all=on");
    browser.go("/log?action=run");
    browser.shows("tbody tr");
    let before = browser.count("tbody tr");
    stage.house.ok("north", "sync south");
    browser.shows(&format!("tbody tr:nth-child({})", before + 1));
    let live = |browser: &Browser| browser.requests().iter().filter(|address| address.ends_with("/live")).count();
    assert_eq!(live(&browser), 1);
    browser.switch_to(0);
    browser.close_tab();
    stage.house.ok("north", "sync south");
    browser.shows(&format!("tbody tr:nth-child({})", before + 2));
    assert_eq!(live(&browser), 1);
}
