//! The addresses of the pages.

use actix_web::{
    HttpRequest,
    http::header,
    web::{self, ServiceConfig, get, post},
};

use super::{
    assets, attach, compare, conflicts, desk, door, history, home, job, live, log, quarantine, repository, resource, settings, users,
};
use crate::{error::Error, web::answer::not_this_way};

/// The addresses and who answers them.
pub(in crate::web) fn routes(config: &mut ServiceConfig) {
    let at = |path: &'static str| web::resource(path).default_service(web::to(not_this_way));
    config
        .service(at("/assets/{version}/{name}").route(get().to(assets::show)))
        .service(at("/").route(get().to(home::show)))
        .service(at("/setup").route(get().to(door::setup)).route(post().to(door::set_up)))
        .service(at("/login").route(get().to(door::login)).route(post().to(door::log_in)))
        .service(at("/logout").route(post().to(door::log_out)))
        .service(at("/live").route(get().to(live::stream)))
        .service(at("/pause").route(get().to(home::ask_pause)).route(post().to(home::pause)))
        .service(at("/resume").route(post().to(home::resume)))
        .service(at("/sync").route(post().to(home::sync_all)))
        .service(at("/repositories").route(get().to(repository::list)))
        .service(at("/repositories/new").route(get().to(repository::new)).route(post().to(repository::add)))
        .service(at("/repositories/{id}").route(get().to(repository::settings)).route(post().to(repository::save)))
        .service(at("/repositories/{id}/test").route(get().to(repository::settings)).route(post().to(repository::test)))
        .service(at("/repositories/{id}/enable").route(post().to(repository::enable)))
        .service(at("/repositories/{id}/remove").route(get().to(repository::ask_remove)).route(post().to(repository::remove)))
        .service(at("/repositories/{id}/sync").route(post().to(repository::sync)))
        .service(at("/repositories/{id}/dry-run").route(post().to(repository::dry_run)))
        .service(at("/repositories/{id}/run").route(get().to(repository::run_form)).route(post().to(repository::run)))
        .service(at("/repositories/{id}/compare").route(get().to(compare::ask)).route(post().to(compare::run)))
        .service(at("/repositories/{id}/transfer").route(post().to(compare::transfer)))
        .service(at("/repositories/{id}/log").route(get().to(repository::log)))
        .service(at("/repositories/{id}/conflicts").route(get().to(conflicts::of_repository)))
        .service(at("/repositories/{id}/quarantine").route(get().to(quarantine::of_repository)))
        .service(at("/repositories/{id}/resources").route(get().to(resource::list)))
        .service(at("/repositories/{id}/share").route(get().to(resource::new)).route(post().to(resource::add)))
        .service(at("/repositories/{id}/offer").route(post().to(resource::ask)))
        .service(at("/repositories/{id}/count").route(get().to(resource::count)))
        .service(at("/repositories/{id}/resources/{name}").route(get().to(resource::edit)).route(post().to(resource::save)))
        .service(at("/repositories/{id}/resources/{name}/remove").route(get().to(resource::ask_remove)).route(post().to(resource::remove)))
        .service(at("/repositories/{id}/schedule").route(get().to(job::list)))
        .service(at("/repositories/{id}/schedule/new").route(get().to(job::new)).route(post().to(job::add)))
        .service(at("/repositories/{id}/schedule/{job}").route(get().to(job::edit)).route(post().to(job::save)))
        .service(at("/repositories/{id}/schedule/{job}/now").route(post().to(job::now)))
        .service(at("/repositories/{id}/schedule/{job}/enable").route(post().to(job::enable)))
        .service(at("/repositories/{id}/schedule/{job}/remove").route(get().to(job::ask_remove)).route(post().to(job::remove)))
        .service(at("/log").route(get().to(log::list)))
        .service(at("/log.csv").route(get().to(log::csv)))
        .service(at("/log.json").route(get().to(log::json)))
        .service(at("/log/{entry}").route(get().to(log::entry)))
        .service(at("/log/{entry}/rollback").route(get().to(log::ask_rollback)).route(post().to(log::rollback)))
        .service(at("/conflicts").route(get().to(conflicts::list)))
        .service(at("/conflicts/bulk").route(post().to(conflicts::bulk)))
        .service(at("/conflicts/{number}").route(get().to(conflicts::one)).route(post().to(conflicts::decide)))
        .service(at("/quarantine").route(get().to(quarantine::list)))
        .service(at("/quarantine/bulk").route(post().to(quarantine::bulk)))
        .service(at("/quarantine/{number}").route(get().to(quarantine::one)).route(post().to(quarantine::treat)))
        .service(at("/history").route(get().to(history::show)))
        .service(at("/history/{number}/restore").route(post().to(history::restore)))
        .service(at("/attach").route(get().to(attach::list)))
        .service(at("/attach/new").route(get().to(attach::new)).route(post().to(attach::attach)))
        .service(at("/attach/{name}/sweep").route(post().to(attach::sweep)))
        .service(at("/attach/{name}/detach").route(get().to(attach::ask_detach)).route(post().to(attach::detach)))
        .service(at("/users").route(get().to(users::list)))
        .service(at("/users/new").route(get().to(users::new)).route(post().to(users::add)))
        .service(at("/tokens").route(post().to(users::add_token)))
        .service(at("/tokens/remove").route(post().to(users::remove_token)))
        .service(at("/users/{name}/password").route(get().to(users::ask_password)).route(post().to(users::password)))
        .service(at("/users/{name}/remove").route(get().to(users::ask_remove)).route(post().to(users::remove)))
        .service(at("/settings").route(get().to(settings::show)).route(post().to(settings::save)))
        .service(at("/settings/password").route(get().to(settings::ask_password)).route(post().to(settings::password)))
        .service(at("/settings/identity").route(get().to(settings::ask_identity)).route(post().to(settings::identity)))
        .service(at("/sessions/end").route(post().to(settings::end_session)));
}

/// What a browser sees at an address where there is nothing; `None` for programs.
pub(in crate::web) fn pages_of(request: &HttpRequest) -> Option<actix_web::HttpResponse> {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let program = ["/sync/", "/api/"].iter().any(|path| request.path().starts_with(path));
    (accept.contains("text/html") && !program).then(|| desk::bare(&Error::not_found("There is nothing at this address")))
}
