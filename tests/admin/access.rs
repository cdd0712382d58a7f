//! Every page for everybody: names, headings, landmarks, keyboard, contrast, in both themes, on a desk and on a phone; and nothing in the console.

use serde_json::Value;
use thirtyfour::Key;

use crate::{
    browser::{Browser, Screen},
    pages::{Parts, inside, templates},
    stage::Stage,
};

const SOUND: &str = include_str!("sound.js");

/// Whether there is nothing to see at an address, which the console tells, too.
fn is_missing(path: &str) -> bool {
    path == "/nothing"
}

/// Everything that is wrong with a page.
fn complaints(browser: &Browser, path: &str, theme: &str) -> Vec<String> {
    browser.go(path);
    seen(browser, path, theme)
}

/// Everything that is wrong with the page that is open.
fn seen(browser: &Browser, path: &str, theme: &str) -> Vec<String> {
    // Focus is shown to those who use keys.
    browser.key(Key::Shift);
    let found = browser.ask(SOUND, Vec::new());
    let mut all: Vec<String> = found.as_array().unwrap().iter().map(|sentence| sentence.as_str().unwrap().to_owned()).collect();
    all.extend(
        browser
            .console()
            .into_iter()
            .filter(|line| !(is_missing(path) && line.contains("status of 404")))
            .map(|line| format!("console: {line}")),
    );
    all.into_iter().map(|sentence| format!("{theme} {path}: {sentence}")).collect()
}

/// The same in both themes and on both screens.
fn in_all_lights(browser: &mut Browser, paths: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (theme, screen) in [("light", Screen::Desk), ("dark", Screen::Desk), ("light", Screen::Phone)] {
        browser.look_on(screen);
        browser.prefer(theme);
        found.extend(paths.iter().flat_map(|path| complaints(browser, path, theme)));
    }
    found
}

#[test]
fn every_page_is_sound_in_both_themes_and_quiet_in_the_console() {
    let stage = Stage::full();
    let mut browser = Browser::new(&stage.home);
    stage.sign_in(&browser, "root");
    let paths = inside(&stage);
    let found = in_all_lights(&mut browser, &paths);
    assert!(found.is_empty(), "{} complaints:\n{}", found.len(), found.join("\n"));
    let mut titles: Vec<(String, String)> = Vec::new();
    // The settings are shown where the line was tested, too.
    for path in paths.iter().filter(|path| !path.contains('?') && !is_missing(path) && !path.ends_with("/test")) {
        browser.go(path);
        let title = browser.title();
        if let Some((other, _)) = titles.iter().find(|(_, known)| *known == title) {
            panic!("{path} and {other} are both called {title:?}");
        }
        titles.push((path.clone(), title));
    }
    assert!(titles.len() + 4 > templates("get").len() - 7, "{titles:?}");
}

#[test]
fn what_a_form_shows_without_leaving_is_sound_too() {
    let stage = Stage::full();
    let browser = Browser::new(&stage.home);
    stage.sign_in(&browser, "root");
    let parts = Parts::of(&stage);
    let mut found = Vec::new();
    for theme in ["light", "dark"] {
        browser.prefer(theme);
        for (path, button) in [
            ("/repositories/{id}/compare", "Compare now"),
            ("/repositories/{id}", "Test the connection"),
            ("/repositories/{id}/schedule/new", "Preview"),
            ("/repositories/{id}/resources/{name}", "Count"),
            ("/pause", "Pause everything"),
            ("/", "Go on"),
        ] {
            browser.go(&parts.fill(path));
            browser.press(button);
            found.extend(seen(&browser, button, theme));
        }
    }
    assert!(found.is_empty(), "{} complaints:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_pages_outside_and_empty_ones_are_sound_too() {
    let stage = Stage::empty();
    let mut browser = Browser::new(&stage.home);
    let outside = in_all_lights(&mut browser, &["/setup".into(), "/login?name=mira".into()]);
    stage.house.ok("north", "user add root --role admin --password-file password");
    browser.look_on(Screen::Desk);
    stage.sign_in(&browser, "root");
    let empty = ["/", "/repositories", "/attach", "/attach/new", "/conflicts", "/quarantine", "/log", "/history", "/repositories/new"];
    let inside = in_all_lights(&mut browser, &empty.map(String::from));
    let found = [outside, inside].concat();
    assert!(found.is_empty(), "{} complaints:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_tab_key_goes_through_a_page_in_the_order_it_is_read() {
    let stage = Stage::full();
    let browser = Browser::new(&stage.home);
    stage.sign_in(&browser, "root");
    for path in ["/", "/log", "/conflicts", "/users/new", "/repositories/new"] {
        browser.go(path);
        let script = "const order = [...document.querySelectorAll('*')]; const at = order.indexOf(document.activeElement); \
                      return [at, document.activeElement.tagName, document.activeElement.type ?? '', document.activeElement.name ?? '']";
        let mut last = -1;
        let mut seen: Vec<Value> = Vec::new();
        for _ in 0..25 {
            browser.key(Key::Tab);
            let now = browser.ask(script, Vec::new());
            let at = now[0].as_i64().unwrap();
            let outside = now[1] == "BODY" || now[1] == "HTML";
            if outside && seen.is_empty() {
                // A page that has just come may not have the keyboard yet.
                continue;
            }
            if outside || at < last && seen.len() > 10 {
                break;
            }
            // A field for a time has several stops.
            assert!(at >= last, "{path}: after {:?} comes {now}", seen.last());
            last = at;
            seen.push(now);
        }
        assert!(seen.len() > 10, "{path}: {seen:?}");
    }
}
