//! The README's tour, command by command as it stands there.

use std::process::Command;

use crate::house::{House, Staying, until};

/// The commands of the tour, a line each.
fn commands() -> Vec<String> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let tour = readme.split("\n## ").find(|part| part.starts_with("Five minutes")).unwrap().to_owned();
    let blocks = tour.split("```sh\n").skip(1).map(|block| block.split("\n```").next().unwrap());
    blocks.flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn the_tour_of_the_readme_brings_two_databases_into_agreement_and_keeps_them_so() {
    let house = House::new();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let mut staying: Vec<Staying> = Vec::new();
    let mut url = String::new();
    let all = commands();
    assert!(all.len() > 20, "{all:#?}");
    for line in all {
        if let Some(rest) = line.strip_prefix("sqlite3 ") {
            sqlite(&house, examples, rest);
        } else if line.ends_with(" up") {
            let mut command = entente(&house, &line);
            command.args(["--listen", "127.0.0.1:0"]);
            staying.push(Staying::start(command).waits_for("listening on "));
            url = staying[0].url();
        } else if line.ends_with(" worker") {
            staying.push(Staying::start(entente(&house, &line)));
        } else if line.starts_with("entente ") {
            let ran = crate::house::Ran::from(entente(&house, &line.replace("http://127.0.0.1:8080", &url)).output().unwrap());
            assert_eq!(ran.code, Some(0), "{line}\n{ran:#?}");
        } else {
            let status = Command::new("sh").args(["-c", &line]).current_dir(house.dir.path()).status().unwrap();
            assert!(status.success(), "{line}");
        }
    }
    let orders = "SELECT number, email, item, pieces FROM orders JOIN customers ON customers.id = customer_id ORDER BY number";
    until("the order of the tour arrives", || house.rows("office.db", orders).len() == 6);
    until("the town of the tour arrives", || {
        house.rows("field.db", "SELECT town FROM customers WHERE email = 'cleo@example.org'") == ["Norvale"]
    });
    assert_eq!(house.rows("office.db", orders), house.rows("field.db", orders));
    let keys = "SELECT id FROM customers WHERE email = 'dora@example.org'";
    assert_ne!(house.rows("office.db", keys), house.rows("field.db", keys), "each numbers its rows as it likes");
    for one in staying {
        one.signal("TERM");
        let (status, said) = one.ends();
        assert_eq!(status.code(), Some(0), "{said}");
    }
}

fn entente(house: &House, line: &str) -> Command {
    let mut words = line.strip_prefix("entente --data ").unwrap().splitn(2, ' ');
    house.command(words.next().unwrap(), words.next().unwrap())
}

/// `FILE < SCRIPT`, or `FILE "SQL"`.
fn sqlite(house: &House, examples: &str, rest: &str) {
    if let Some((file, script)) = rest.split_once(" < examples/") {
        return house.sql(file, &std::fs::read_to_string(format!("{examples}/{script}")).unwrap());
    }
    let (file, sql) = rest.split_once(' ').unwrap();
    let sql = sql.trim_matches('"');
    if sql.starts_with("SELECT") {
        assert_eq!(house.rows(file, sql).len(), 5, "{sql}");
    } else {
        house.sql(file, sql);
    }
}
