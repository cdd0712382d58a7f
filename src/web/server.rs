//! Binds, serves, and stops without breaking off what is going on.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use actix_web::{
    App as Actix, HttpServer,
    http::header,
    middleware::{DefaultHeaders, NormalizePath, TrailingSlash, from_fn},
    rt::System,
    web::Data,
};
use tokio::sync::{broadcast, watch};

use super::{api::v1::tally, app::App, routes::routes, tls};
use crate::{
    error::{Error, Kind, Result},
    site::Site,
};

/// Where names of changed resources are told; followers hear of them by `/sync/events`.
pub type Changes = broadcast::Sender<String>;

/// Where to listen.
#[derive(Debug, Clone)]
pub struct Listen {
    /// The address; port 0 = any free one.
    pub addr: SocketAddr,
    /// Files with certificate chain and private key, in PEM form; `None` = plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// The processes that serve have two cores or more, and the engine has threads of its own.
const WORKERS: usize = 2;

/// What is going on may take so long to end, in seconds.
const GRACE: u64 = 5;

/// Idle connections are kept longer than our own client keeps them, so that it is not the server who hangs up first.
const KEEP: Duration = Duration::from_secs(75);

/// Nothing but our own pages may use these answers, and nobody keeps them.
const HEADERS: [(header::HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Serves the site until `shutdown` is done, then lets what is going on end, for five seconds at most. Tells `ready` the address once
/// callers are taken. Blocks; wants a thread that is in no runtime.
///
/// [`Kind::Exists`] if the address is in use, [`Kind::Usage`] for one that cannot be had and for wrong TLS files.
pub fn serve(
    site: Arc<Site>,
    listen: Listen,
    changes: Changes,
    ready: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let tls = listen.tls.as_ref().map(|(certificate, key)| tls::config(certificate, key)).transpose()?;
    let (listener, address) = bind(listen.addr)?;
    let (stop, stopping) = watch::channel(false);
    let app = Data::new(App::new(site, changes, stopping));
    System::new().block_on(async move {
        let server = HttpServer::new(move || {
            let headers = HEADERS.into_iter().fold(DefaultHeaders::new(), DefaultHeaders::add);
            Actix::new()
                .app_data(app.clone())
                .wrap(NormalizePath::new(TrailingSlash::MergeOnly))
                .wrap(headers)
                .wrap(from_fn(tally))
                .configure(routes)
        });
        let server = server.workers(WORKERS).shutdown_timeout(GRACE).disable_signals().keep_alive(KEEP);
        let server = match tls {
            Some(tls) => server.listen_rustls_0_23(listener, tls),
            None => server.listen(listener),
        };
        let server = server.map_err(|e| unavailable(address, e))?.run();
        let handle = server.handle();
        let running = actix_web::rt::spawn(server);
        ready(address);
        shutdown.await;
        // Event streams never end by themselves.
        stop.send_replace(true);
        handle.stop(true).await;
        let ended = running.await.map_err(|e| Error::internal("The web server ended in the middle").because(e))?;
        ended.map_err(|e| Error::internal("The web server failed").because(e))
    })
}

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).map_err(|e| unavailable(address, e))?;
    let bound = listener.local_addr().map_err(|e| unavailable(address, e))?;
    Ok((listener, bound))
}

fn unavailable(address: SocketAddr, error: io::Error) -> Error {
    let other = "Choose another address with --listen, for example 127.0.0.1:8081.";
    let told = match error.kind() {
        io::ErrorKind::AddrInUse => Error::new(Kind::Exists, format!("{address} is in use by another program")),
        io::ErrorKind::AddrNotAvailable => Error::usage(format!("{address} is no address of this machine")),
        io::ErrorKind::PermissionDenied => Error::usage(format!("This user may not listen on {address}; ports below 1024 are reserved")),
        _ => Error::usage(format!("{address} cannot be listened on")),
    };
    told.because(error).hint(other)
}
