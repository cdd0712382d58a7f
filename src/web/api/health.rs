//! `GET /healthz`: that this process answers.

use actix_web::HttpResponse;

/// Answers anyone.
pub(in crate::web) async fn show() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}
