//! `entente attach`: a database that is there already.

use clap::Args;
use entente::{
    connector::{Survey, Table},
    error::{Error, Result},
    model::{Identity, TableSpec},
    postgresql::address,
    sync,
};
use serde_json::{Value, json};

use super::{
    Context, Ending,
    output::{table, warn},
    password::Source,
    progress::Line,
    words,
};

/// Attach tables of a database; without --table, list them and the identity each would get
///
/// The tables stay as they are; triggers beside them note what changes. Again with the same NAME adds tables. The flags that concern one table
/// want exactly one --table.
#[derive(Args)]
pub(super) struct Attach {
    /// What to call the database here
    name: String,
    /// Where it is: sqlite:PATH, or postgres://USER@HOST[:PORT]/DATABASE[?sslmode=…&sslrootcert=FILE]; the password comes from --password-file or
    /// the environment variable PGPASSWORD, and is kept sealed
    url: String,
    #[command(flatten)]
    password: Source,
    /// A table, and what it is called at all sites where that differs
    #[arg(long = "table", value_name = "TABLE[=RESOURCE]")]
    tables: Vec<String>,
    /// How its records are known everywhere: column:C (a UUID in it), key:C,… (a key that means the same everywhere) or assigned
    #[arg(long, value_parser = identity, value_name = "IDENTITY")]
    identity: Option<Identity>,
    /// Unique columns that tell that an unknown record from elsewhere is one that is here
    #[arg(long = "match", value_delimiter = ',', value_name = "C,…")]
    matching: Vec<String>,
    /// Columns that stay here
    #[arg(long, value_delimiter = ',', value_name = "C,…")]
    omit: Vec<String>,
    /// Resources whose records belong to those of this table, and the field by which they refer to them: a Sahana Eden gets them inside
    #[arg(long, value_delimiter = ',', value_name = "RESOURCE:FIELD,…")]
    components: Vec<String>,
    /// Columns that are called otherwise at other sites
    #[arg(long, value_delimiter = ',', value_name = "OLD=NEW,…")]
    map: Vec<String>,
}

fn identity(text: &str) -> Result<Identity, String> {
    Identity::parse(text).map_err(|error| error.chain())
}

impl Attach {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let specs = self.specs()?;
        let (shown, url) = self.addresses()?;
        let site = context.site()?;
        if specs.is_empty() {
            let found = sync::attach::survey(&site, &url)?;
            context.format().print(|| proposal(&self.name, &shown, &found), || found.iter().map(surveyed).collect())?;
            return Ok(Ending::Done);
        }
        let line = Line::new();
        let attached = sync::attach::attach(&site, &self.name, &url, &specs, &mut |what, done, of| line.show(what, done, of))?;
        drop(line);
        context
            .format()
            .print(|| told(&self.name, &attached), || json!({"name": self.name, "url": shown, "tables": documents(&attached)}))?;
        Ok(Ending::Done)
    }

    /// The address as it may be shown, and as it is used.
    fn addresses(&self) -> Result<(String, String)> {
        if !address::is_postgres(&self.url) {
            return Ok((self.url.clone(), self.url.clone()));
        }
        let (shown, written) = address::apart(&self.url)?;
        if written.is_some() {
            warn("a password in an address can be read by others on this machine; give it with --password-file or PGPASSWORD");
        }
        let given = if self.password.is_given() { Some(self.password.existing("")?) } else { written };
        let password = given.or_else(|| std::env::var("PGPASSWORD").ok().filter(|password| !password.is_empty()).map(Into::into));
        let url = password.map_or_else(|| shown.clone(), |password| address::together(&shown, &password));
        Ok((shown, url))
    }

    fn specs(&self) -> Result<Vec<TableSpec>> {
        let mut specs: Vec<TableSpec> = self.tables.iter().map(|text| spec(text)).collect();
        let for_one = self.identity.is_some()
            || !(self.matching.is_empty() && self.omit.is_empty() && self.map.is_empty() && self.components.is_empty());
        if for_one {
            let [only] = specs.as_mut_slice() else {
                return Err(Error::usage("--identity, --match, --omit, --components and --map concern one table")
                    .hint("Name exactly one with --table; attach the others by calls of their own."));
            };
            only.identity = self.identity.clone();
            only.matching = self.matching.clone();
            only.omit = self.omit.clone();
            only.map = words::pairs(&self.map)?;
            only.components = self.components.iter().map(|text| text.parse()).collect::<Result<_>>()?;
        }
        Ok(specs)
    }
}

fn spec(text: &str) -> TableSpec {
    let (table, resource) = text.rsplit_once('=').unwrap_or((text, text));
    TableSpec { table: table.to_owned(), resource: resource.to_owned(), ..TableSpec::default() }
}

fn proposal(name: &str, url: &str, found: &[Survey]) -> String {
    if found.is_empty() {
        return format!("{url} has no tables yet.");
    }
    let rows = found.iter().map(|survey| {
        let identity = match (&survey.attached, &survey.identity) {
            (Some(resource), _) => format!("attached as {resource}"),
            (None, Ok(identity)) => identity.to_string(),
            (None, Err(why)) => format!("cannot be attached: {why}"),
        };
        [survey.table.clone(), identity, survey.references.join(", ")]
    });
    let mut text = table(&["table", "identity", "refers to"], &[], rows);
    let free: Vec<&Survey> = found.iter().filter(|survey| survey.attached.is_none() && survey.identity.is_ok()).collect();
    if !free.is_empty() {
        let tables: String = free.iter().map(|survey| format!(" --table {}", quoted(&survey.table))).collect();
        text.push_str(&format!(
            "\nNothing is changed yet. Attach what you want to share: entente attach {} {}{tables}\n",
            quoted(name),
            quoted(url)
        ));
    }
    text
}

/// A word as a shell wants it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

fn told(name: &str, attached: &[Table]) -> String {
    let rows = attached.iter().map(|t| {
        let references: Vec<&str> = t.references.iter().map(|reference| reference.resource.as_str()).collect();
        [t.resource.clone(), t.name.clone(), t.identity.to_string(), t.matching.join(", "), references.join(", ")]
    });
    let mut text = table(&["resource", "table", "identity", "match", "refers to"], &[], rows);
    text.push_str(&format!("\n{name} is attached. Next, add the site to share it with: entente repository add NAME --url URL --user USER --password-file FILE\n"));
    text
}

fn surveyed(survey: &Survey) -> Value {
    json!({
        "table": survey.table, "identity": survey.identity.as_ref().ok().map(ToString::to_string), "refused": survey.identity.as_ref().err(),
        "references": survey.references, "attached": survey.attached,
    })
}

fn documents(attached: &[Table]) -> Vec<Value> {
    let one = |t: &Table| {
        let references: Vec<Value> = t.references.iter().map(|r| json!({"field": r.field, "resource": r.resource})).collect();
        json!({"table": t.name, "resource": t.resource, "identity": t.identity.to_string(), "match": t.matching, "references": references})
    };
    attached.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn a_table_may_have_another_name_on_the_wire() {
        assert_eq!((spec("a").table, spec("a").resource), ("a".to_owned(), "a".to_owned()));
        assert_eq!((spec("a=b").table, spec("a=b").resource), ("a".to_owned(), "b".to_owned()));
        assert_eq!(spec("a=b=c").table, "a=b");
    }

    #[test]
    fn a_password_is_used_and_not_shown_and_one_in_a_file_is_better_than_one_in_the_address() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret/in file\n").unwrap();
        let addresses = |password: &[&str]| {
            let words = ["entente", "attach", "app", "postgresql://me:tops3cret@host/app"];
            let cli = Only::try_parse_from(words.iter().chain(password)).unwrap();
            let Verb::Attach(attach) = cli.verb;
            attach.addresses().unwrap()
        };
        let shown = "postgres://me@host/app".to_owned();
        assert_eq!(addresses(&[]), (shown.clone(), "postgres://me:tops3cret@host/app".into()));
        let in_file = addresses(&["--password-file", file.path().to_str().unwrap()]);
        assert_eq!(in_file, (shown, "postgres://me:s3cret%2Fin%20file@host/app".into()));
    }

    #[derive(clap::Parser)]
    struct Only {
        #[command(subcommand)]
        verb: Verb,
    }

    #[derive(clap::Subcommand)]
    enum Verb {
        Attach(Attach),
    }

    #[test]
    fn a_proposed_command_can_be_pasted() {
        for (word, want) in [("scores", "scores"), ("my table", "'my table'"), ("it's", r"'it'\''s'"), ("", "''"), ("$HOME", "'$HOME'")] {
            assert_eq!(quoted(word), want);
        }
    }
}
