//! What a browser sends, and what fields show.

use std::collections::HashMap;

use actix_web::{HttpRequest, web::Payload};
use secrecy::SecretString;

use crate::{
    error::{Error, Result},
    web::body,
};

/// The longest form, bytes.
const LONGEST: u64 = 256 * 1024;

/// The fields of a form, as they were typed.
#[derive(Debug, Default, Clone)]
pub(in crate::web) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form within limits.
    pub(super) async fn read(request: &HttpRequest, payload: Payload) -> Result<Form> {
        let body = body::read(request, payload, LONGEST).await?;
        let text = String::from_utf8(body.bytes).map_err(|_| Error::malformed("The form is no UTF-8"))?;
        Form::parse(&text)
    }

    /// Reads a query or a body of the kind `a=b&c=d`.
    pub(super) fn parse(text: &str) -> Result<Form> {
        let pairs = actix_web::web::Query::<Vec<(String, String)>>::from_query(text);
        pairs.map(|pairs| Form(pairs.into_inner())).map_err(|e| Error::malformed("The form cannot be read").because(e.to_string()))
    }

    /// A field without the space around it; empty where it is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.given(name).unwrap_or_default()
    }

    /// A field without the space around it, where it was filled in.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name)?;
        Some(found.1.trim()).filter(|text| !text.is_empty())
    }

    /// A field as it is, space included.
    pub(super) fn exact(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    /// A password: every character counts.
    pub(super) fn secret(&self, name: &str) -> Option<SecretString> {
        self.exact(name).filter(|text| !text.is_empty()).map(SecretString::from)
    }

    /// All values of a field that was filled in several times.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(known, text)| known == name && !text.trim().is_empty()).map(|(_, text)| text.trim()).collect()
    }

    /// Whether a box is ticked.
    pub(super) fn on(&self, name: &str) -> bool {
        self.given(name).is_some()
    }

    /// Whether a field is there at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// All fields whose name begins so, with the rest of the name.
    pub(super) fn beginning<'f>(&'f self, prefix: &'f str) -> impl Iterator<Item = (&'f str, &'f str)> {
        self.0.iter().filter_map(move |(name, text)| Some((name.strip_prefix(prefix)?, text.as_str())))
    }

    /// A number, or the error that names the field by its label.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str, label: &str) -> Result<Option<T>> {
        let Some(text) = self.given(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| Error::usage(format!("{label}: {text:?} is no number that can be used here")))
    }
}

/// What the fields of a form show: what was typed, or what is stored.
#[derive(Debug, Default, Clone)]
pub(super) struct Fields(HashMap<String, Vec<String>>);

impl Fields {
    /// What was typed. Passwords are never shown again.
    pub(super) fn typed(form: &Form) -> Fields {
        let mut fields = Fields::default();
        for (name, text) in form.0.iter().filter(|(name, _)| !name.contains("password") && name != "code") {
            fields.0.entry(name.clone()).or_default().push(text.clone());
        }
        fields
    }

    /// With a value.
    pub(super) fn with(mut self, name: &str, value: impl ToString) -> Fields {
        self.0.entry(name.to_owned()).or_default().push(value.to_string());
        self
    }

    /// With a value, where there is one.
    pub(super) fn maybe(self, name: &str, value: Option<impl ToString>) -> Fields {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With a ticked box.
    pub(super) fn ticked(self, name: &str, on: bool) -> Fields {
        if on { self.with(name, "on") } else { self }
    }

    /// The text of a field.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(|values| values.first()).map_or("", String::as_str)
    }

    /// All texts of a field, one a line.
    pub(super) fn lines(&self, name: &str) -> String {
        self.0.get(name).map(|values| values.join("\n")).unwrap_or_default()
    }

    /// Whether a field has this value.
    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.0.get(name).is_some_and(|values| values.iter().any(|known| known == value))
    }

    /// Whether a box is ticked.
    pub(super) fn on(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// What is wrong with what was typed, and what to do.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    /// What is wrong.
    pub(super) message: String,
    /// What to do next; empty where nobody knows.
    pub(super) hint: String,
}

impl Problem {
    /// An error as a person reads it. Hints that speak of the command line stay there.
    pub(super) fn of(error: &Error) -> Problem {
        let mut message = error.chain();
        // An address is written as it is.
        if let Some(first) = message.get(..1).filter(|_| !message.starts_with("http")) {
            message = first.to_uppercase() + &message[1..];
        }
        let hint = error.next_step().filter(|hint| !hint.contains("entente ") && !hint.contains("--")).unwrap_or_default();
        // The chain carries the hint itself.
        if let Some(next) = error.next_step() {
            message = message.replace(&format!(". {next}"), "");
        }
        Problem { message, hint: hint.to_owned() }
    }

    /// All of it as running text.
    pub(super) fn told(&self) -> String {
        match (self.message.trim_end_matches('.'), self.hint.as_str()) {
            (message, "") => format!("{message}."),
            (message, hint) => format!("{message}. {hint}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_it_was_typed_and_its_passwords_are_not_shown_again() {
        let form = Form::parse("name=+b%C3%A4r+&password=+x+&way=a&way=b&empty=").unwrap();
        assert_eq!((form.text("name"), form.given("empty"), form.has("empty"), form.given("none")), ("bär", None, true, None));
        assert_eq!((form.exact("password"), form.all("way")), (Some(" x "), vec!["a", "b"]));
        let fields = Fields::typed(&form);
        assert!(fields.is("way", "b") && !fields.on("password") && !fields.on("none"));
        assert!(form.number::<u32>("name", "Name").unwrap_err().to_string().contains("Name"));
        assert!(Form::parse("a=%ff").is_ok_and(|form| form.has("a")) || Form::parse("a=%ff").is_err());
    }

    #[test]
    fn a_problem_tells_what_to_do_without_the_command_line() {
        let error = Error::usage("a name has 1 to 128 characters").hint("Choose a shorter one.");
        assert_eq!(Problem::of(&error).hint, "Choose a shorter one.");
        assert_eq!(Problem::of(&Error::usage("no").hint("Run `entente init`.")).hint, "");
        assert!(Problem::of(&error).message.starts_with("A name"));
    }
}
