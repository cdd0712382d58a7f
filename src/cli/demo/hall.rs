//! The scouting hall's own application: a database with teams, matches and scores. This is the user's side of the story, so it speaks to SQLite
//! directly, as any application would, and knows nothing of Entente.

use std::path::Path;

use entente::error::{Error, Result};
use rusqlite::{Connection, params};

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE teams (id INTEGER PRIMARY KEY, number INTEGER NOT NULL UNIQUE, name TEXT NOT NULL, town TEXT NOT NULL);
    CREATE TABLE matches (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, field TEXT NOT NULL, starts_at TEXT NOT NULL);
    CREATE TABLE scores (
        id INTEGER PRIMARY KEY,
        match_id INTEGER NOT NULL REFERENCES matches (id),
        team_id INTEGER NOT NULL REFERENCES teams (id),
        points INTEGER NOT NULL,
        remark TEXT,
        UNIQUE (match_id, team_id)
    );";

const TEAMS: [(u32, &str, &str); 12] = [
    (118, "Iron Herons", "Lindhaven"),
    (254, "Copper Foxes", "Eastmere"),
    (431, "Night Lanterns", "Oakbridge"),
    (607, "Static Owls", "Fenwick"),
    (846, "Gearwrights", "Millbrook"),
    (971, "Salt Marsh Robotics", "Saltby"),
    (1114, "Quiet Thunder", "Norvale"),
    (1538, "Paper Cranes", "Westley"),
    (2056, "Tin Whistlers", "Harrow Green"),
    (2910, "Blue Anvil", "Anvilton"),
    (3476, "Kestrel Works", "Highmoor"),
    (4613, "Second Draft", "Port Alder"),
];

const REMARKS: [Option<&str>; 5] = [None, Some("climbed in the last second"), None, Some("arm jammed"), Some("fast, clean cycles")];

/// Which of two desks in the hall writes into a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Desk {
    /// It scouts the first twelve matches.
    Hall,
    /// It scouts the other eight, and typed the teams in another order, so that its ids are others.
    Stand,
}

impl Desk {
    fn scouts(self, number: u32) -> bool {
        (self == Desk::Hall) == (number <= 12)
    }
}

/// What a desk did to its own database.
pub(super) struct Edit {
    pub(super) desk: Desk,
    /// In words.
    pub(super) what: &'static str,
    sql: &'static str,
}

/// What the desks do while they do not hear of each other, in this order.
pub(super) const EDITS: [Edit; 6] = [
    Edit {
        desk: Desk::Hall,
        what: "counts Q3 again: 55 points for 2910",
        sql: "UPDATE scores SET points = 55
              WHERE match_id = (SELECT id FROM matches WHERE code = 'Q3') AND team_id = (SELECT id FROM teams WHERE number = 2910)",
    },
    Edit {
        desk: Desk::Hall,
        what: "deletes the score of 971 in Q7: it did not play",
        sql: "DELETE FROM scores
              WHERE match_id = (SELECT id FROM matches WHERE code = 'Q7') AND team_id = (SELECT id FROM teams WHERE number = 971)",
    },
    Edit {
        desk: Desk::Hall,
        what: "corrects Q16: 45 points for 3476",
        sql: "UPDATE scores SET points = 45
              WHERE match_id = (SELECT id FROM matches WHERE code = 'Q16') AND team_id = (SELECT id FROM teams WHERE number = 3476)",
    },
    Edit {
        desk: Desk::Stand,
        what: "corrects Q16 too: 47 points for 3476",
        sql: "UPDATE scores SET points = 47
              WHERE match_id = (SELECT id FROM matches WHERE code = 'Q16') AND team_id = (SELECT id FROM teams WHERE number = 3476)",
    },
    Edit {
        desk: Desk::Stand,
        what: "corrects the town of 1538: Westleigh",
        sql: "UPDATE teams SET town = 'Westleigh' WHERE number = 1538",
    },
    Edit {
        desk: Desk::Stand,
        what: "adds the match F1 and in it 61 points for 846",
        sql: "INSERT INTO matches (code, field, starts_at) VALUES ('F1', 'Red', '2026-03-14 16:00');
              INSERT INTO scores (match_id, team_id, points, remark)
              SELECT matches.id, teams.id, 61, 'the final' FROM matches, teams WHERE code = 'F1' AND number = 846;",
    },
];

/// What each edit came to, as questions that both databases answer.
const ANSWERS: [(&str, &str); 5] = [
    ("2910 in Q3", "SELECT points FROM scored WHERE code = 'Q3' AND number = 2910"),
    ("971 in Q7", "SELECT points FROM scored WHERE code = 'Q7' AND number = 971"),
    ("3476 in Q16, corrected by both", "SELECT points FROM scored WHERE code = 'Q16' AND number = 3476"),
    ("town of 1538", "SELECT town FROM teams WHERE number = 1538"),
    ("846 in F1", "SELECT points FROM scored WHERE code = 'F1' AND number = 846"),
];

const SCORED: &str = "WITH scored AS (
    SELECT code, number, points, remark FROM scores JOIN matches ON matches.id = match_id JOIN teams ON teams.id = team_id) ";

/// The tables, parents first.
pub(super) const TABLES: [&str; 3] = ["teams", "matches", "scores"];

/// A new database with what a desk wrote before the two ever met.
pub(super) fn create(path: &Path, desk: Desk) -> Result<()> {
    fill(&mut open(path)?, desk).map_err(off)
}

fn fill(database: &mut Connection, desk: Desk) -> rusqlite::Result<()> {
    database.execute_batch(SCHEMA)?;
    let tx = database.transaction()?;
    let mut teams = TEAMS;
    if desk == Desk::Stand {
        teams.sort_by_key(|(_, name, _)| *name);
    }
    for (number, name, town) in teams {
        tx.execute("INSERT INTO teams (number, name, town) VALUES (?, ?, ?)", params![number, name, town])?;
    }
    for number in 1..=20 {
        let (hour, minute) = (9 + number / 6, number % 6 * 10);
        let field = if number % 2 == 0 { "Blue" } else { "Red" };
        let values = params![format!("Q{number}"), field, format!("2026-03-14 {hour:02}:{minute:02}")];
        tx.execute("INSERT INTO matches (code, field, starts_at) VALUES (?, ?, ?)", values)?;
    }
    for number in (1..=20).filter(|number| desk.scouts(*number)) {
        for place in [0, 2, 6] {
            let team = (5 * number + place) % 12;
            let points = 20 + (7 * number + 5 * team) % 35;
            let remark = REMARKS[(number + place) as usize % REMARKS.len()];
            tx.execute(
                "INSERT INTO scores (match_id, team_id, points, remark)
                 SELECT matches.id, teams.id, ?, ? FROM matches, teams WHERE code = ? AND number = ?",
                params![points, remark, format!("Q{number}"), TEAMS[team as usize].0],
            )?;
        }
    }
    tx.commit()
}

/// Does what a desk did.
pub(super) fn edit(path: &Path, edit: &Edit) -> Result<()> {
    open(path)?.execute_batch(edit.sql).map_err(off)
}

/// How many rows a table has.
pub(super) fn count(path: &Path, table: &str) -> Result<i64> {
    open(path)?.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).map_err(off)
}

/// What became of the edits: the question, and this database's answer.
pub(super) fn answers(path: &Path) -> Result<Vec<(&'static str, String)>> {
    let database = open(path)?;
    let answer = |sql: &str| {
        let mut statement = database.prepare(&format!("{SCORED}{sql}"))?;
        let mut rows = statement.query([])?;
        rows.next()?.map_or_else(|| Ok("gone".to_owned()), |row| row.get_ref(0).map(in_text))
    };
    ANSWERS.iter().map(|(question, sql)| Ok((*question, answer(sql).map_err(off)?))).collect()
}

/// Everything in a database as a person means it: without the numbers that rows happen to have there.
pub(super) fn meaning(path: &Path) -> Result<Vec<String>> {
    let database = open(path)?;
    let all = format!(
        "{SCORED}SELECT 'team', number, name, town, '' FROM teams UNION ALL SELECT 'match', code, field, starts_at, '' FROM matches
         UNION ALL SELECT 'score', code, number, points, remark FROM scored ORDER BY 1, 2, 3"
    );
    let read = || -> rusqlite::Result<Vec<String>> {
        let mut statement = database.prepare(&all)?;
        let rows = statement.query_map([], |row| (0..5).map(|at| row.get_ref(at).map(in_text)).collect::<rusqlite::Result<Vec<_>>>())?;
        rows.map(|row| row.map(|row| row.join("|"))).collect()
    };
    read().map_err(off)
}

fn in_text(value: rusqlite::types::ValueRef<'_>) -> String {
    use rusqlite::types::ValueRef;
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn open(path: &Path) -> Result<Connection> {
    let database = Connection::open(path).map_err(off)?;
    database.busy_timeout(std::time::Duration::from_secs(5)).map_err(off)?;
    database.pragma_update(None, "foreign_keys", true).map_err(off)?;
    Ok(database)
}

fn off(error: rusqlite::Error) -> Error {
    Error::internal("The example database failed").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edit_changes_something_and_every_question_has_an_answer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scouting.db");
        create(&path, Desk::Hall).unwrap();
        let stand = dir.path().join("stand.db");
        create(&stand, Desk::Stand).unwrap();
        assert_eq!((count(&path, "scores").unwrap(), count(&stand, "scores").unwrap()), (36, 24));
        for done in &EDITS {
            let path = if done.desk == Desk::Hall && !done.what.contains("Q16") { &path } else { &stand };
            let before = meaning(path).unwrap();
            edit(path, done).unwrap();
            assert_ne!(meaning(path).unwrap(), before, "{}", done.what);
        }
        let told: Vec<String> = answers(&stand).unwrap().into_iter().map(|(_, answer)| answer).collect();
        assert_eq!(told, ["gone", "gone", "47", "Westleigh", "61"]);
    }
}
