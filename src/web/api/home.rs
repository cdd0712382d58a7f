//! `GET /`: what a person sees who comes by.

use actix_web::{HttpResponse, web::Data};

use crate::web::app::App;

/// Says what this is.
pub(in crate::web) async fn show(app: Data<App>) -> HttpResponse {
    let name = escaped(&app.site.name);
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{name} – Entente {version}</title></head>\n<body>\n<h1>{name}</h1>\n\
         <p>This is an Entente site. Its pages for people come with a later version; use the command line.</p>\n\
         <p>Entente {version}</p>\n</body>\n</html>\n",
        version = env!("CARGO_PKG_VERSION"),
    );
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(page)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_cannot_become_markup() {
        assert_eq!(super::escaped("<b>R&D</b>"), "&lt;b&gt;R&amp;D&lt;/b&gt;");
    }
}
