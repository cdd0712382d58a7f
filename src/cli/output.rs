//! What is printed, for people and for programs.

use std::io::{self, IsTerminal, Write};

use chrono::Local;
use clap::ValueEnum;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, presets};
use entente::{
    error::{Error, Result},
    model::Time,
};
use serde_json::Value;

/// For whom it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

impl Format {
    /// Prints one answer: the text, or the document.
    pub(super) fn print(self, text: impl FnOnce() -> String, document: impl FnOnce() -> Value) -> Result<()> {
        let mut answer = match self {
            Format::Text => text(),
            Format::Json => format!("{:#}", document()),
        };
        if !answer.ends_with('\n') {
            answer.push('\n');
        }
        write(&answer)
    }
}

/// Writes to stdout at once. Who stopped reading has read enough.
pub(super) fn write(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::internal("The answer could not be written").because(error)),
        _ => Ok(()),
    }
}

/// Says on stderr why nothing came of it.
pub(super) fn complain(sentence: &str) {
    tell("error", sentence);
}

/// Says on stderr what somebody should know.
pub(super) fn warn(sentence: &str) {
    tell("warning", sentence);
}

/// Says on stderr what to do next.
pub(super) fn say(sentence: &str) {
    // Nowhere to complain about a stderr that is gone.
    let _ = writeln!(io::stderr().lock(), "{sentence}");
}

fn tell(what: &str, sentence: &str) {
    // Nowhere to complain about a stderr that is gone.
    let _ = writeln!(io::stderr().lock(), "{what}: {sentence}");
}

/// A table for people: a heading, a row each. Columns named in `numbers` are aligned to the right.
pub(super) fn table<R: IntoIterator<Item = String>>(heading: &[&str], numbers: &[&str], rows: impl IntoIterator<Item = R>) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.style_mut().row_separator = LineStyle::none();
    table.set_content_arrangement(ContentArrangement::Dynamic).set_header(heading.to_vec());
    for row in rows {
        table.add_row(row.into_iter().map(|cell| shown(&cell)).collect::<Vec<_>>());
    }
    for (at, name) in heading.iter().enumerate() {
        if let Some(column) = table.column_mut(at).filter(|_| numbers.contains(name)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// Names and values under each other.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    facts.iter().map(|(name, value)| format!("{name:width$}  {}\n", shown(value))).collect()
}

/// What others wrote must not move the cursor or colour the screen.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{FFFD}' } else { c }).collect()
}

/// The beginning of a long sentence, for a cell of a table.
pub(super) fn short(sentence: &str) -> String {
    const MOST: usize = 90;
    match sentence.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", sentence[..end].trim_end()),
        None => sentence.to_owned(),
    }
}

/// A time as a person reads it, in the zone of this machine.
pub(super) fn when(time: Time) -> String {
    time.utc().with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// The same, where there may be none.
pub(super) fn when_or(time: Option<Time>, none: &str) -> String {
    time.map_or_else(|| none.to_owned(), when)
}

/// `yes` or `no`.
pub(super) fn yes(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

/// Bytes, rounded.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in UNITS {
        if value < 999.5 {
            break;
        }
        (value, unit) = (value / 1000.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// A time that something took.
pub(super) fn lasted(seconds: f64) -> String {
    match seconds {
        s if s < 0.9995 => format!("{:.0} ms", s * 1000.0),
        s if s < 120.0 => format!("{s:.1} s"),
        s => format!("{:.0} min", s / 60.0),
    }
}

/// Whether somebody looks at stderr, so that progress makes sense.
pub(super) fn somebody_looks() -> bool {
    io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_rounded_and_never_longer_than_a_person_reads() {
        for (bytes, want) in
            [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_499, "999.5 kB"), (1_500_000, "1.5 MB"), (u64::MAX, "18446744.1 TB")]
        {
            assert_eq!(size(bytes), want);
        }
        for (seconds, want) in [(0.0, "0 ms"), (0.25, "250 ms"), (0.9996, "1.0 s"), (61.0, "61.0 s"), (180.0, "3 min")] {
            assert_eq!(lasted(seconds), want);
        }
    }

    #[test]
    fn a_long_sentence_is_cut_between_characters() {
        assert_eq!(short("short"), "short");
        assert_eq!(short(&"ä".repeat(91)), format!("{}…", "ä".repeat(90)));
    }

    #[test]
    fn a_table_cannot_be_broken_by_what_others_wrote() {
        let text = table(&["name", "n"], &["n"], [["a\u{1b}[31mred".to_owned(), "1".to_owned()]]);
        assert!(!text.contains('\u{1b}') && text.contains("red"), "{text}");
    }
}
