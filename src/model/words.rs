//! Numbers as people say them.

use super::Counts;

/// A number with its thousands apart.
pub fn figure(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 record`, `1,234 records`.
pub fn counted(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{} {one}s", figure(number)) }
}

impl Counts {
    /// What became of records, in words; empty for none.
    pub fn told(&self) -> String {
        let parts = [
            (self.created, "created"),
            (self.updated, "updated"),
            (self.deleted, "deleted"),
            (self.unchanged, "unchanged"),
            (self.kept, "kept"),
            (self.conflicts, "in conflict"),
            (self.quarantined, "quarantined"),
            (self.parked, "waiting"),
            (self.retracted, "let go"),
        ];
        let told: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{} {word}", figure(*count))).collect();
        match (told.is_empty(), self.records) {
            (true, 0) => String::new(),
            (true, records) => counted(records, "record"),
            (false, _) => told.join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told_with_their_thousands_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(figure), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((counted(1, "record"), counted(2_000, "record")), ("1 record".into(), "2,000 records".into()));
    }

    #[test]
    fn only_what_happened_to_records_is_told() {
        assert_eq!(Counts::default().told(), "");
        assert_eq!(Counts { records: 1, ..Counts::default() }.told(), "1 record");
        assert_eq!(
            Counts { records: 9, created: 2_000, conflicts: 1, parked: 3, ..Counts::default() }.told(),
            "2,000 created, 1 in conflict, 3 waiting"
        );
    }
}
