//! The stylesheet and the script, served from here and kept by browsers until they change.

use std::sync::OnceLock;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
};
use sha2::{Digest, Sha256};

const FILES: [(&str, &str, &str); 4] = [
    ("entente.css", "text/css; charset=utf-8", include_str!("../assets/entente.css")),
    ("entente.js", "text/javascript; charset=utf-8", include_str!("../assets/entente.js")),
    ("live.js", "text/javascript; charset=utf-8", include_str!("../assets/live.js")),
    ("icon.svg", "image/svg+xml", include_str!("../assets/icon.svg")),
];

/// Changes whenever one of the files does.
pub(super) fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let digest = FILES.iter().fold(Sha256::new(), |hash, (_, _, text)| hash.chain_update(text.as_bytes())).finalize();
        digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    })
}

/// Gives a file; under its version it never changes.
pub(super) async fn show(request: HttpRequest) -> HttpResponse {
    let (asked, name) = (request.match_info().query("version"), request.match_info().query("name"));
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some((_, media, text)) => {
            let keep = if asked == version() { "public, max-age=31536000, immutable" } else { "no-cache" };
            HttpResponse::Ok().content_type(*media).insert_header((header::CACHE_CONTROL, keep)).body(*text)
        }
        None => HttpResponse::build(StatusCode::NOT_FOUND).content_type("text/plain; charset=utf-8").body("There is no such file\n"),
    }
}
