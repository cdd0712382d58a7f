//! Who calls, and how much they may.

use actix_web::{HttpRequest, http::header, web::Data};
use subtle::ConstantTimeEq;

use crate::{
    error::{Error, Kind, Result},
    model::{Account, ApiToken, Scope},
    store::api_tokens,
    sync::admit,
    web::{
        admin,
        api::who::{Shown, address, shown},
        app::{App, call},
    },
};

/// What a browser's session has to send along with a change.
const CSRF: &str = "x-csrf-token";

/// Somebody who showed who they are.
#[derive(Debug, Clone)]
pub(in crate::web) struct Person {
    /// The account; `None` for a token of the site itself.
    pub(in crate::web) account: Option<Account>,
    /// The token that was shown.
    pub(in crate::web) token: Option<ApiToken>,
    /// How much they may do.
    pub(in crate::web) scope: Scope,
}

impl Person {
    /// Who an account is that logged in. [`Kind::Forbidden`] for another site's.
    pub(in crate::web) fn of(account: Account, token: Option<ApiToken>) -> Result<Person> {
        let most = account.role.scope().ok_or_else(|| another_site(&account))?;
        let scope = token.as_ref().map_or(most, |token| token.scope.min(most));
        Ok(Person { account: Some(account), token, scope })
    }

    /// The account's name.
    pub(in crate::web) fn name(&self) -> Option<&str> {
        self.account.as_ref().map(|account| account.name.as_str())
    }

    /// Whom the log names.
    pub(super) fn told(&self) -> String {
        match (&self.account, &self.token) {
            (Some(account), Some(token)) => format!("the account {:?} with the token {:?}", account.name, token.name),
            (Some(account), None) => format!("the account {:?}", account.name),
            (None, Some(token)) => format!("the token {:?}", token.name),
            (None, None) => "somebody".to_owned(),
        }
    }

    /// [`Kind::Forbidden`] unless they may do that much.
    pub(in crate::web) fn must(&self, needs: Scope) -> Result<()> {
        if self.scope >= needs {
            return Ok(());
        }
        let (has, wants) = (self.scope.word(), needs.word());
        let hint = match self.token {
            Some(_) => format!("Use a token with the scope {wants}, of an account that may do that."),
            None => "Log in with an account of a role that may do that: operator or admin.".to_owned(),
        };
        Err(Error::forbidden(format!("This needs the scope {wants}; {} has the scope {has}", self.told())).hint(hint))
    }
}

fn another_site(account: &Account) -> Error {
    Error::forbidden(format!("The account {:?} is another site's; it cannot be used here", account.name))
        .hint("Log in with an account of the role admin, operator or viewer.")
}

/// Who sends a request: the bearer of a token, or an account with its password. [`Kind::Unauthorized`] for nobody.
pub(in crate::web) async fn who(app: &Data<App>, request: &HttpRequest) -> Result<Person> {
    let (app, address) = (app.clone(), address(request));
    match shown(request)? {
        Shown::Nobody => match admin::token(request) {
            Some(token) => {
                let sent = request.headers().get(CSRF).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
                let changes = !request.method().is_safe();
                call(move || {
                    let person = admin::person(&app.site, Some(&token))?.ok_or_else(nobody)?;
                    if changes && !bool::from(person.csrf.as_bytes().ct_eq(sent.as_bytes())) {
                        return Err(Error::forbidden("A browser's session changes things only with its token against forgery").hint(
                            "Send the header X-CSRF-Token with the value of the field csrf of any form, or use a token of its own.",
                        ));
                    }
                    Person::of(person.account, None)
                })
                .await
            }
            None => Err(nobody()),
        },
        Shown::Basic(name, password) => {
            call(move || Person::of(admit::login(&app.site, &app.gate, address, &name, &password)?, None)).await
        }
        Shown::Bearer(token) => {
            call(move || {
                let site = &app.site;
                if let Some((token, account)) = site.store.read(|c| api_tokens::find(c, &token, site.now()))? {
                    return match account {
                        Some(account) => Person::of(account, Some(token)),
                        None => Ok(Person { account: None, scope: token.scope, token: Some(token) }),
                    };
                }
                match admit::caller_by_token(site, &token) {
                    Ok(_) => Err(Error::forbidden("The session is another site's; it cannot be used here")),
                    Err(_) => {
                        Err(Error::new(Kind::Unauthorized, "The token has ended or never was").hint("Make one: entente token add NAME"))
                    }
                }
            })
            .await
        }
    }
}

fn nobody() -> Error {
    Error::new(Kind::Unauthorized, "Nobody is logged in")
        .hint("Send `Authorization: Bearer TOKEN` (entente token add), or the name and password of an account.")
}

/// [`Kind::Forbidden`] where a page of another origin makes a browser send this.
pub(super) fn refuse_other_origins(request: &HttpRequest) -> Result<()> {
    let text = |name| request.headers().get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else { return Ok(()) };
    let host = origin.split_once("://").map(|(_, host)| host);
    if host.is_some() && host == text(header::HOST) {
        return Ok(());
    }
    Err(Error::forbidden("A page of another origin may not change anything here"))
}

/// Whether a request comes from this machine, and not through a proxy on it.
pub(super) fn is_local(request: &HttpRequest) -> bool {
    let proxied = ["forwarded", "x-forwarded-for", "x-real-ip", "via"].iter().any(|name| request.headers().contains_key(*name));
    address(request).is_loopback() && !proxied
}
