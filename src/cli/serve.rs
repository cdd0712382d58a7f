//! `entente serve`: the web process.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, thread};

use clap::Args;
use entente::{
    config::Settings,
    error::Result,
    model::Role,
    site::Site,
    store::{accounts, setup_code},
    sync::watch::watch,
    web::{self, Changes, Listen},
};
use sd_notify::NotifyState;
use serde_json::json;

use super::{
    Context, Ending,
    interrupt::Interrupt,
    logging,
    output::{Format, say, warn},
};

/// So many names of changed resources wait for a slow follower before it has to look for itself.
const CHANGES: usize = 256;

/// Answer other sites, until SIGTERM or Ctrl-C
///
/// Prints one line with its address once it answers. As long as there is no administrator, stderr says how the first one comes in. What is going on then is brought to its end.
#[derive(Args)]
pub(super) struct Serve {
    #[command(flatten)]
    pub(super) door: Door,
    /// End when stdin does
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

/// Where to listen.
#[derive(Args, Clone)]
pub(super) struct Door {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<String>,
    /// The certificate chain, PEM: HTTPS instead of HTTP
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(super) tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_key: Option<PathBuf>,
}

impl Door {
    pub(super) fn settings(self) -> Settings {
        Settings { listen: self.listen, tls_cert: self.tls_cert, tls_key: self.tls_key, ..Settings::default() }
    }
}

impl Serve {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let config = context.config(self.door.settings())?;
        logging::for_processes(&config.log_level);
        let interrupt = Interrupt::listen()?;
        if self.until_stdin_ends {
            interrupt.when_stdin_ends();
        }
        let listen = Listen { addr: config.listen, tls: config.tls.clone() };
        let scheme = if listen.tls.is_some() { "https" } else { "http" };
        let format = context.format();
        let site = Site::open(config)?;
        let first = first_run(&site)?;
        serve(site, listen, interrupt, move |address| told(format, scheme, address, &first))?;
        Ok(Ending::Done)
    }
}

/// Serves and tells followers what changes, until it is interrupted.
pub(super) fn serve(site: Arc<Site>, listen: Listen, interrupt: Interrupt, ready: impl FnOnce(SocketAddr)) -> Result<()> {
    let changes = Changes::new(CHANGES);
    let (watched, tell, stop) = (site.clone(), changes.clone(), interrupt.clone());
    thread::spawn(move || {
        watch(&watched, &|| stop.was_asked(), &mut |resource| {
            // Nobody listens: nobody has to be told.
            let _ = tell.send(resource.to_owned());
        });
    });
    web::serve(site, listen, changes, ready, interrupt.asked())
}

/// How the first administrator comes in.
enum First {
    /// There is one already.
    Known,
    /// With the code that was printed before.
    Printed,
    /// With this code, which nobody has seen yet.
    Code(String),
}

fn first_run(site: &Site) -> Result<First> {
    site.store.write(|c| {
        if accounts::list(c)?.iter().any(|account| account.role == Role::Admin) {
            return Ok(First::Known);
        }
        if setup_code::exists(c)? { Ok(First::Printed) } else { setup_code::make(c, site.now()).map(First::Code) }
    })
}

fn told(format: Format, scheme: &str, address: SocketAddr, first: &First) {
    let url = format!("{scheme}://{address}");
    let text = || format!("listening on {url}");
    let document = || match first {
        First::Known => json!({"listening": url}),
        First::Printed => json!({"listening": url, "setup": format!("{url}/setup")}),
        First::Code(code) => json!({"listening": url, "setup": format!("{url}/setup"), "setup_code": code}),
    };
    if let Err(error) = format.print(text, document) {
        warn(&error.chain());
    }
    match first {
        First::Known => {}
        First::Printed => {
            say(&format!("Set this site up at {url}/setup with the code that was printed before; `entente init` makes another."))
        }
        First::Code(code) => say(&format!("Set this site up at {url}/setup with the code {code}")),
    }
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}
