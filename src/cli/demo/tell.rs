//! What the demo prints.

use entente::{error::Result, model::LogEntry};
use serde_json::{Value, json};

use super::{
    desk::{House, VISITOR},
    hall::{self, Desk, EDITS, TABLES},
};
use crate::cli::{
    log::document,
    output::{Format, size, table, write},
};

/// What happens when all is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Ends,
    Stays,
}

/// Tells people as it happens, and programs at the end.
pub(super) struct Story {
    format: Format,
    document: Value,
}

impl Story {
    pub(super) fn begin(format: Format) -> Story {
        Story { format, document: json!({}) }
    }

    fn say(&self, text: impl FnOnce() -> String) -> Result<()> {
        if self.format == Format::Text { write(&text()) } else { Ok(()) }
    }

    pub(super) fn two_sites(&mut self, hall: &House, stand: &House) -> Result<()> {
        let mut rows = Vec::new();
        for house in [hall, stand] {
            let held = TABLES
                .iter()
                .map(|table| hall::count(&house.database, table).map(|count| count.to_string()))
                .collect::<Result<Vec<_>>>()?;
            rows.push([vec![house.site.name.clone()], held, vec![house.url.clone()]].concat());
        }
        self.document["sites"] = [hall, stand].map(site).into_iter().collect();
        self.say(|| {
            let heading = ["site", TABLES[0], TABLES[1], TABLES[2], "address"];
            let held = table(&heading, &TABLES, rows);
            format!(
                "Two desks of a scouting hall, each with a database of its own. Both know the teams and the matches;\n\
                 each has scored other matches, and numbers its rows as it likes.\n\n{held}\n\n"
            )
        })
    }

    pub(super) fn first_run(&mut self, parts: &[LogEntry]) -> Result<()> {
        self.document["first_run"] = parts.iter().map(document).collect();
        self.say(|| {
            format!(
                "Stand gets an account at Hall, registers itself there, and runs with it for the first time:\n\n{}\n\n",
                travelled(parts)
            )
        })
    }

    pub(super) fn edits(&mut self) -> Result<()> {
        let edits = EDITS.iter().map(|edit| [name(edit.desk).to_owned(), edit.what.to_owned()]);
        self.document["edits"] = edits.clone().map(|[site, edit]| json!({"site": site, "edit": edit})).collect();
        self.say(|| {
            format!("Then both go on working, with their own program and plain SQL:\n\n{}\n\n", table(&["site", "edit"], &[], edits))
        })
    }

    pub(super) fn second_run(&mut self, parts: &[LogEntry]) -> Result<()> {
        self.document["scheduled_run"] = parts.iter().map(document).collect();
        self.say(|| format!("The worker at Stand runs its job: it pulls, then it pushes.\n\n{}\n\n", travelled(parts)))
    }

    pub(super) fn agreement(&mut self, hall: &House, stand: &House, agreed: bool) -> Result<()> {
        self.document["agreed"] = json!(agreed);
        let mut rows = Vec::new();
        for name in TABLES {
            rows.push([
                format!("{name} in all"),
                hall::count(&hall.database, name)?.to_string(),
                hall::count(&stand.database, name)?.to_string(),
            ]);
        }
        for ((question, here), (_, there)) in hall::answers(&hall.database)?.into_iter().zip(hall::answers(&stand.database)?) {
            rows.push([question.to_owned(), here, there]);
        }
        self.document["answers"] =
            rows.iter().map(|[question, hall, stand]| json!({"question": question, "hall": hall, "stand": stand})).collect();
        self.say(|| {
            let verdict = if agreed {
                "Both databases say the same now. Q16 was corrected at both desks: the later correction won (policy NEWER)."
            } else {
                "The databases differ, which must not be. Please report it with the output above."
            };
            format!("{}\n{verdict}\n\n", table(&["", "Hall", "Stand"], &["Hall", "Stand"], rows))
        })
    }

    pub(super) fn end(&mut self, hall: &House, stand: &House, after: After) -> Result<()> {
        if self.format == Format::Json {
            return write(&format!("{:#}\n", self.document));
        }
        match after {
            After::Ends => write("That was all; the folder is removed. Without --once the demo stays up, for you to look and try.\n"),
            After::Stays => write(&further(hall, stand)),
        }
    }
}

fn name(desk: Desk) -> &'static str {
    match desk {
        Desk::Hall => "Hall",
        Desk::Stand => "Stand",
    }
}

fn site(house: &House) -> Value {
    json!({"name": house.site.name, "uuid": house.site.id, "url": house.url, "data": house.site.config.data, "database": house.database})
}

fn travelled(parts: &[LogEntry]) -> String {
    let rows = parts.iter().filter(|part| part.counts.records > 0).map(|part| {
        let way = if part.action.word() == "pull" { "Hall → Stand" } else { "Stand → Hall" };
        let resource = part.resource.clone().unwrap_or_default();
        [way.to_owned(), resource, part.counts.told(), size(part.counts.bytes)]
    });
    table(&["way", "resource", "records", "bytes"], &["bytes"], rows)
}

fn further(hall: &House, stand: &House) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "entente".into());
    let data = |house: &House| house.site.config.data.display().to_string();
    let (here, there) = (data(hall), data(stand));
    format!(
        "Look around in a browser, and sign in as {VISITOR}:\n\
         \x20 {} (Hall), password {}\n\
         \x20 {} (Stand), password {}\n\
         Look further, in another terminal:\n\
         \x20 {program} --data {there} log\n\
         \x20 {program} --data {there} repository show Hall\n\
         \x20 {program} --data {here} site\n\
         Change something, here or there, and see it at the other site within a second:\n\
         \x20 sqlite3 {} \"UPDATE teams SET town = 'Sometown' WHERE number = 118\"\n\
         \x20 sqlite3 {} \"SELECT * FROM teams\"\n\
         Ctrl-C ends the demo and removes its folder.\n",
        hall.url,
        hall.password,
        stand.url,
        stand.password,
        hall.database.display(),
        stand.database.display(),
    )
}
