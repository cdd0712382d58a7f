//! `entente user`: who may log in.

use clap::{Args, Subcommand, ValueEnum};
use entente::{
    error::{Error, Result},
    model::{Account, Grant, Role},
    store::{accounts, password::Hashed},
};
use serde_json::{Value, json};

use super::{Context, Ending, output::table, password::Source, words};

/// Accounts of people and of other sites
#[derive(Subcommand)]
pub(super) enum User {
    /// Add an account
    ///
    /// A peer account is what another site logs in with; --may and --resources say what that site may do.
    Add(Add),
    /// List the accounts
    List,
    /// Remove an account; its sessions end
    Remove {
        /// The account
        name: String,
    },
    /// Give an account another password; its sessions end
    Password {
        /// The account
        name: String,
        #[command(flatten)]
        password: Source,
    },
}

#[derive(Args)]
pub(super) struct Add {
    /// The name to log in with
    name: String,
    /// What the account is for: admin, operator, viewer, or peer for another site
    #[arg(long, value_parser = words::read::<Role>)]
    role: Role,
    /// What that site may do here: pull, push or both [default: pull,push]
    #[arg(long, value_enum, value_delimiter = ',')]
    may: Vec<May>,
    /// The resources granted to that site [default: every attached table]
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    resources: Vec<String>,
    #[command(flatten)]
    password: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum May {
    Pull,
    Push,
}

impl User {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        match self {
            User::Add(verb) => verb.run(context),
            User::List => list(context),
            User::Remove { name } => {
                context.site()?.store.write(|c| accounts::remove(c, &name))?;
                done(context, &name, "is removed")
            }
            User::Password { name, password } => {
                let site = context.site()?;
                site.store.read(|c| accounts::get(c, &name))?;
                let hash = Hashed::of(&password.new_one(&format!("of {name}"))?)?;
                site.store.write(|c| accounts::set_password(c, &name, &hash, None))?;
                done(context, &name, "has a new password")
            }
        }
    }
}

fn done(context: &Context, name: &str, what: &str) -> Result<Ending> {
    context.format().print(|| format!("The account {name} {what}."), || json!({"name": name}))?;
    Ok(Ending::Done)
}

impl Add {
    fn run(self, context: &Context) -> Result<Ending> {
        let peer = self.role == Role::Peer;
        let grants = !self.may.is_empty() || !self.resources.is_empty();
        if grants && !peer {
            return Err(Error::usage("--may and --resources are for accounts of the role peer").hint("Leave them out, or say --role peer."));
        }
        let may = |what| peer && (self.may.is_empty() || self.may.contains(&what));
        let resources = Some(self.resources.clone()).filter(|list| !list.is_empty());
        let grant = Grant { pull: may(May::Pull), push: may(May::Push), resources };
        let account = Account { name: self.name, role: self.role, grant, bound: None };
        let site = context.site()?;
        let hash = Hashed::of(&self.password.new_one(&format!("of {}", account.name))?)?;
        site.store.write(|c| accounts::add(c, &account, &hash))?;
        context.format().print(|| told(&account), || document(&account))?;
        Ok(Ending::Done)
    }
}

fn told(account: &Account) -> String {
    let Account { name, role, .. } = account;
    match role {
        Role::Peer => format!("The account {name} is made. That site may {} {}.", may(account), granted(account, "every attached table")),
        _ => format!("The account {name} is made, as {}.", role.word()),
    }
}

fn list(context: &Context) -> Result<Ending> {
    let accounts = context.site()?.store.read(accounts::list)?;
    let text = || match accounts.as_slice() {
        [] => "No accounts yet. Add one for another site: entente user add NAME --role peer".to_owned(),
        some => table(&["name", "role", "may", "resources", "used by"], &[], some.iter().map(row)),
    };
    context.format().print(text, || accounts.iter().map(document).collect())?;
    Ok(Ending::Done)
}

fn row(account: &Account) -> [String; 5] {
    let used_by = account.bound.map_or_else(String::new, |site| site.to_string());
    let peer = account.role == Role::Peer;
    let resources = if peer { granted(account, "every attached table") } else { String::new() };
    [account.name.clone(), account.role.word().to_owned(), may(account), resources, used_by]
}

fn may(account: &Account) -> String {
    let granted = [(account.grant.pull, "pull"), (account.grant.push, "push")];
    let words: Vec<&str> = granted.iter().filter(|(may, _)| *may).map(|(_, word)| *word).collect();
    words.join(" and ")
}

fn granted(account: &Account, all: &str) -> String {
    account.grant.resources.as_ref().map_or_else(|| all.to_owned(), |names| names.join(", "))
}

fn document(account: &Account) -> Value {
    let grant = &account.grant;
    json!({
        "name": account.name, "role": account.role.word(), "pull": grant.pull, "push": grant.push, "resources": grant.resources, "bound": account.bound,
    })
}
