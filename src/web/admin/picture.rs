//! The topology and the day's traffic as pictures.

use std::f64::consts::TAU;

use super::words::{counted, figure};
use crate::model::{RepositoryId, Traffic};

/// So many sites fit round this one.
const FIT: usize = 12;

/// A site round this one.
#[derive(Debug)]
pub(super) struct Spoke {
    pub(super) id: RepositoryId,
    pub(super) name: String,
    pub(super) short: String,
    pub(super) class: &'static str,
    pub(super) reason: String,
    pub(super) x: i32,
    pub(super) y: i32,
    /// Where its name stands.
    pub(super) label: i32,
}

/// This site and those round it.
#[derive(Debug, Default)]
pub(super) struct Picture {
    pub(super) label: String,
    pub(super) height: i32,
    pub(super) middle: i32,
    pub(super) spokes: Vec<Spoke>,
    /// How many did not fit.
    pub(super) more: usize,
}

impl Picture {
    /// The first of these sites: number, name, class of its state, reason.
    pub(super) fn of<'a>(sites: impl ExactSizeIterator<Item = (RepositoryId, &'a str, &'static str, &'a str)>) -> Picture {
        let all = sites.len();
        let shown = all.min(FIT);
        let flat = shown < 3;
        let height = if flat { 120 } else { 290 };
        let spokes: Vec<Spoke> = sites
            .take(FIT)
            .enumerate()
            .map(|(at, (id, name, class, reason))| {
                let turn = TAU * at as f64 / shown.max(1) as f64 - if flat { 0.0 } else { TAU / 4.0 };
                let middle = f64::from(height) / 2.0;
                let (x, y) = ((210.0 + 150.0 * turn.cos()).round() as i32, (middle + 92.0 * turn.sin()).round() as i32);
                let label = if y < height / 2 { y - 26 } else { y + 36 };
                Spoke { id, name: name.to_owned(), short: short(name), class, reason: reason.to_owned(), x, y, label }
            })
            .collect();
        let names: Vec<&str> = spokes.iter().map(|spoke| spoke.name.as_str()).collect();
        let label = format!("{} round this one: {}", counted(all as u64, "site"), names.join(", "));
        Picture { label, height, middle: height / 2, more: all - spokes.len(), spokes }
    }
}

fn short(name: &str) -> String {
    if name.chars().count() <= 14 { name.to_owned() } else { name.chars().take(13).chain(['…']).collect() }
}

/// An hour's records.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) x: usize,
    pub(super) y: u64,
    pub(super) height: u64,
    pub(super) title: String,
}

/// The hours of a day as bars, the last one now.
pub(super) fn bars(hours: &[Traffic]) -> Vec<Bar> {
    let sum = |hour: &Traffic| hour.received + hour.sent;
    let most = hours.iter().map(sum).max().unwrap_or(0).max(1);
    let bar = |(at, hour): (usize, &Traffic)| {
        let height = if sum(hour) == 0 { 0 } else { (sum(hour) * 66 / most).max(2) };
        let ago = hours.len() - 1 - at;
        let title = format!(
            "{} received, {} sent, {}",
            figure(hour.received),
            figure(hour.sent),
            if ago == 0 { "this hour".into() } else { format!("{ago} h ago") }
        );
        Bar { x: at * 420 / hours.len().max(1), y: 70 - height, height, title }
    };
    hours.iter().enumerate().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_stand_round_this_one_and_inside_the_picture() {
        let names: Vec<String> = (0..20).map(|n| format!("site number {n} of many")).collect();
        let picture = Picture::of(names.iter().map(|name| (1, name.as_str(), "good", "Healthy")));
        assert_eq!((picture.spokes.len(), picture.more), (FIT, 8));
        assert!(
            picture
                .spokes
                .iter()
                .all(|spoke| (30..390).contains(&spoke.x) && (30..260).contains(&spoke.y) && spoke.short.chars().count() <= 14)
        );
        assert!(picture.label.starts_with("20 sites"));
    }

    #[test]
    fn the_busiest_hour_is_the_highest_bar_and_a_quiet_one_has_none() {
        let hour = |received| Traffic { received, sent: 0, bytes: 0 };
        let bars = bars(&[hour(0), hour(1), hour(1_000)]);
        assert_eq!(bars.iter().map(|bar| bar.height).collect::<Vec<_>>(), [0, 2, 66]);
        assert_eq!(bars[2].title, "1,000 received, 0 sent, this hour");
    }
}
