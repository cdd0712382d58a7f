//! The lives of a peer's journal, by which two machines that present themselves as one are told from one machine that was restored.

use std::fmt;

/// How many lives are remembered.
const KEPT: usize = 8;

/// The longest name of a life, in bytes.
const LONGEST: usize = 64;

/// What a journal told us in each of its lives, the present one last.
///
/// A journal begins another life whenever it learns that it went back. One machine that was restored goes on from a state that is older than what
/// it told last; only by a later backup does it come back to the very end of a life it has left. Of two machines that present themselves as one
/// each does that whenever the other was there meanwhile, so each ends what the other had just begun.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lives(Vec<Life>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Life {
    name: String,
    /// The last number that we heard in it.
    last: u64,
    /// It was the present one when the end of an earlier one came back.
    ousted: bool,
}

/// What a journal that shows an earlier state is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back {
    /// It was restored from a backup, as far as we can know.
    Restored,
    /// It goes on at the very end of a life that another one had followed.
    Returned,
    /// Two machines end each other's lives in turn.
    Cloned,
}

impl Lives {
    /// Whether this may be the name of a life.
    pub fn is_name(name: &str) -> bool {
        !name.is_empty() && name.len() <= LONGEST && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    }

    /// A number was heard in a life, which is the present one from now on. What is no name of a life says nothing.
    pub fn hear(&mut self, name: &str, number: u64) {
        if !Lives::is_name(name) {
            return;
        }
        match self.0.last_mut() {
            Some(present) if present.name == name => (present.last, present.ousted) = (present.last.max(number), false),
            _ => {
                self.0.retain(|life| life.name != name);
                self.0.push(Life { name: name.to_owned(), last: number, ousted: false });
                let surplus = self.0.len().saturating_sub(KEPT);
                self.0.drain(..surplus);
            }
        }
    }

    /// Judges a journal that shows this life and number, and remembers what it showed.
    pub fn back(&mut self, name: &str, number: u64) -> Back {
        let Some((present, former)) = self.0.split_last_mut() else { return Back::Restored };
        match former.iter().find(|life| life.name == name) {
            Some(life) if number >= life.last && life.ousted => Back::Cloned,
            Some(life) if number >= life.last => {
                present.ousted = true;
                Back::Returned
            }
            _ => Back::Restored,
        }
    }

    /// Whether a life is known and another one is the present one.
    pub fn is_former(&self, name: &str) -> bool {
        self.0.split_last().is_some_and(|(present, former)| present.name != name && former.iter().any(|life| life.name == name))
    }

    /// As it was written by [`fmt::Display`]; parts that are not in that form are left out.
    pub fn read(text: &str) -> Lives {
        let life = |part: &str| {
            let (name, rest) = part.split_once(':')?;
            let (last, ousted) = rest.strip_suffix('!').map_or((rest, false), |last| (last, true));
            Some(Life { name: name.to_owned(), last: last.parse().ok()?, ousted }).filter(|life| Lives::is_name(&life.name))
        };
        Lives(text.split(' ').filter_map(life).collect())
    }
}

impl fmt::Display for Lives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, life) in self.0.iter().enumerate() {
            let (space, mark) = (if at > 0 { " " } else { "" }, if life.ousted { "!" } else { "" });
            write!(f, "{space}{}:{}{mark}", life.name, life.last)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Back::*, *};

    /// What a journal does: tells numbers in a life, or shows that it is at one.
    enum Does {
        Tells(&'static str, u64),
        Shows(&'static str, u64, Back),
    }
    use Does::{Shows, Tells};

    fn play(what: &str, story: &[Does]) -> Lives {
        let mut lives = Lives::default();
        for (at, does) in story.iter().enumerate() {
            match does {
                Tells(name, number) => lives.hear(name, *number),
                Shows(name, number, want) => assert_eq!(lives.back(name, *number), *want, "{what}, step {at}: {lives}"),
            }
            lives = Lives::read(&lives.to_string());
        }
        lives
    }

    #[test]
    fn two_machines_that_come_in_turn_are_told_from_one() {
        play(
            "each goes on from its own end",
            &[
                Tells("a", 6),
                Shows("a", 5, Restored),
                Tells("b", 7),
                Shows("a", 6, Returned),
                Tells("c", 8),
                Shows("b", 7, Cloned),
                Shows("b", 7, Cloned),
            ],
        );
        play(
            "with several runs each, and answers that were lost",
            &[
                Tells("a", 6),
                Shows("a", 6, Restored),
                Tells("b", 7),
                Tells("b", 9),
                Shows("a", 8, Returned),
                Shows("a", 8, Returned),
                Tells("c", 10),
                Tells("c", 11),
                Shows("b", 10, Cloned),
            ],
        );
    }

    #[test]
    fn one_machine_is_never_taken_for_two() {
        play(
            "the same backup again and again",
            &[
                Tells("a", 6),
                Tells("a", 8),
                Shows("a", 6, Restored),
                Tells("b", 9),
                Shows("a", 6, Restored),
                Tells("c", 10),
                Shows("a", 6, Restored),
            ],
        );
        play(
            "the same backup of the very end again and again",
            &[
                Tells("a", 6),
                Tells("b", 9),
                Shows("a", 6, Returned),
                Tells("c", 10),
                Shows("a", 6, Returned),
                Tells("d", 11),
                Shows("a", 6, Returned),
            ],
        );
        play(
            "first the wrong backup, then the right one, then any of what came after",
            &[
                Tells("a", 6),
                Shows("a", 5, Restored),
                Tells("b", 7),
                Tells("b", 8),
                Shows("a", 6, Returned),
                Tells("c", 9),
                Shows("b", 7, Restored),
                Tells("d", 10),
                Shows("c", 8, Restored),
            ],
        );
        play(
            "a question that comes late, when its journal has gone on",
            &[
                Tells("a", 6),
                Tells("b", 7),
                Shows("a", 6, Returned),
                Tells("c", 8),
                Shows("a", 6, Returned),
                Tells("c", 9),
                Tells("d", 10),
                Shows("c", 9, Returned),
            ],
        );
        play("lives that were never heard of", &[Shows("x", 9, Restored), Tells("a", 1), Shows("x", 9, Restored), Shows("", 9, Restored)]);
    }

    #[test]
    fn few_lives_are_kept_and_only_under_proper_names() {
        let mut lives = Lives::default();
        for name in ["", "a b", "a:1", "ä", &"x".repeat(LONGEST + 1)] {
            lives.hear(name, 1);
        }
        assert_eq!(lives, Lives::default());
        (0..100).for_each(|number| lives.hear(&format!("life-{number}"), number));
        assert_eq!(lives.0.len(), KEPT);
        assert!(lives.is_former("life-98") && !lives.is_former("life-99") && !lives.is_former("life-1"));
        assert_eq!(Lives::read("good:1! bad :x a:b:c other:2"), Lives::read("good:1! other:2"));
    }
}
