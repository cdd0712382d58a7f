//! `entente token`: tokens by which programs call the REST API.

use clap::{Args, Subcommand};
use entente::{
    error::{Error, Result},
    model::{ApiToken, Scope, Time},
    store::{accounts, api_tokens},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{
    Context, Ending,
    output::{table, when, when_or},
    words,
};

/// Tokens for programs that call the REST API (/api/docs of the running site)
#[derive(Subcommand)]
pub(super) enum Token {
    /// Make a token; it is shown this once
    Add(Add),
    /// List the tokens, without their text
    List,
    /// Remove a token: it ends at once
    Remove {
        /// The token's name
        name: String,
    },
}

#[derive(Args)]
pub(super) struct Add {
    /// What it is for
    name: String,
    /// How much it may do: read, write (run, decide, retry) or admin (everything); each includes those before it
    #[arg(long, value_parser = words::read::<Scope>, default_value = "read")]
    scope: Scope,
    /// When it ends: after a time span like 90d or 12h, or at a time like 2026-12-31T00:00:00Z [default: when it is removed]
    #[arg(long, value_name = "SPAN|TIME")]
    expires: Option<String>,
    /// The account it stands for; it never may more than that, and ends with it [default: the site itself]
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
}

impl Token {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        match self {
            Token::Add(verb) => verb.run(context),
            Token::List => list(context),
            Token::Remove { name } => {
                context.site()?.store.write(|c| api_tokens::remove(c, &name))?;
                context.format().print(|| format!("The token {name} is removed and ends at once."), || json!({"name": name}))?;
                Ok(Ending::Done)
            }
        }
    }
}

impl Add {
    fn run(self, context: &Context) -> Result<Ending> {
        let site = context.site()?;
        let now = site.now();
        let expires_on = self.expires.as_deref().map(|text| end(text, now)).transpose()?;
        let new = ApiToken { name: self.name, account: self.account, scope: self.scope, created_on: now, expires_on };
        let text = site.store.write(|c| {
            if let Some(name) = &new.account {
                let most = accounts::get(c, name)?.role.scope();
                if most.is_none_or(|most| most < new.scope) {
                    let hint = "Choose a smaller scope, or another account: admin has the scope admin, operator write, viewer read.";
                    return Err(
                        Error::usage(format!("the account {name} may not have a token with the scope {}", new.scope.word())).hint(hint)
                    );
                }
            }
            api_tokens::add(c, &new)
        })?;
        let text = text.expose_secret();
        let in_json = || {
            let mut document = document(&new);
            document["token"] = json!(text);
            document
        };
        context.format().print(|| format!("{text}\nThis is shown once. Send it as: Authorization: Bearer {text}\n"), in_json)?;
        Ok(Ending::Done)
    }
}

/// A time, or a time span from now.
fn end(text: &str, now: Time) -> Result<Time> {
    if let Ok(seconds) = words::seconds(text) {
        return Ok(now.plus_seconds(i64::from(seconds)));
    }
    text.parse().map_err(|_| Error::usage(format!("{text:?} is neither a time span like 90d nor a time like 2026-12-31T00:00:00Z")))
}

fn list(context: &Context) -> Result<Ending> {
    let tokens = context.site()?.store.read(api_tokens::list)?;
    let text = || match tokens.as_slice() {
        [] => "No tokens yet. Make one: entente token add NAME --scope read".to_owned(),
        some => table(&["name", "scope", "account", "made", "ends"], &[], some.iter().map(row)),
    };
    context.format().print(text, || tokens.iter().map(document).collect())?;
    Ok(Ending::Done)
}

fn row(token: &ApiToken) -> [String; 5] {
    let account = token.account.clone().unwrap_or_else(|| "(the site)".into());
    [token.name.clone(), token.scope.word().to_owned(), account, when(token.created_on), when_or(token.expires_on, "when it is removed")]
}

fn document(token: &ApiToken) -> Value {
    json!({
        "name": token.name, "scope": token.scope.word(), "account": token.account, "created_on": token.created_on, "expires_on": token.expires_on,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_after_a_span_or_at_a_time() {
        let now = Time(0).plus_seconds(10);
        assert_eq!(end("2h", now).unwrap(), now.plus_seconds(7200));
        assert_eq!(end("1970-01-02T00:00:00Z", now).unwrap(), Time(0).plus_seconds(86_400));
        assert!(end("soon", now).is_err());
    }
}
