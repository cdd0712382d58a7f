//! Every URL of this site.

use actix_web::web::{self, ServiceConfig, delete, get, post, put};

use super::{
    admin,
    answer::{not_this_way, nothing_here},
    api::{compare, events, feed, fetch, hello, push, register, session, v1},
    eden,
};

/// The addresses and who answers them. Peers may write two slashes where one is meant.
pub(super) fn routes(config: &mut ServiceConfig) {
    let at = |path: &'static str| web::resource(path).default_service(web::to(not_this_way));
    config
        .service(at("/sync/hello").route(get().to(hello::show)))
        .service(at("/sync/session").route(post().to(session::open)).route(delete().to(session::close)))
        .service(at("/sync/repository/register.json").route(post().to(register::enter)).route(put().to(register::enter)))
        .service(at("/sync/sync.xml").route(get().to(feed::show)).route(post().to(push::take)).route(put().to(push::take)))
        .service(at("/sync/repository/register.xml").route(get().to(eden::classic)))
        .service(
            at("/{prefix}/{name}/sync.xml")
                .route(get().to(eden::give_named))
                .route(post().to(eden::take_named))
                .route(put().to(eden::take_named)),
        )
        .service(at("/sync/fetch").route(post().to(fetch::show)))
        .service(at("/sync/compare").route(post().to(compare::show)))
        .service(at("/sync/events").route(get().to(events::stream)))
        .configure(v1::routes)
        .configure(admin::routes)
        .default_service(web::to(nothing_here));
}
