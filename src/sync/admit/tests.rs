use super::*;
use crate::{
    config::{Config, Overrides, Settings},
    store::{log::LogFilter, password::Hashed},
};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

struct House {
    site: std::sync::Arc<Site>,
    gate: Gate,
    _dir: tempfile::TempDir,
}

impl House {
    fn new() -> House {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { data: Some(dir.path().into()), name: Some("hub".into()), ..Settings::default() };
        let config = Config::from_layers(Overrides { settings, ..Overrides::default() }, &Default::default(), None).unwrap();
        let house = House { site: Site::open(config).unwrap(), gate: Gate::default(), _dir: dir };
        let password = Hashed::of(&"right".into()).unwrap();
        for (name, role) in [("anna", Role::Peer), ("ben", Role::Peer), ("root", Role::Admin)] {
            let grant = Grant { pull: true, push: name == "anna", resources: None };
            let account = Account { name: name.into(), role, grant, bound: None };
            house.site.store.write(|c| accounts::add(c, &account, &password)).unwrap();
        }
        house
    }

    fn login(&self, name: &str, password: &str) -> Result<Account> {
        login(&self.site, &self.gate, HERE, name, &password.into())
    }

    fn account(&self, name: &str) -> Account {
        self.site.store.read(|c| accounts::get(c, name)).unwrap()
    }

    fn register(&self, name: &str, uuid: SiteId, told: Option<&str>, url: Option<&str>) -> Result<Registered> {
        let registration = Registration {
            uuid: uuid.to_string(),
            name: told.map(str::to_owned),
            apitype: None,
            url: url.map(str::to_owned),
            entente: Some(Spoken { protocol: PROTOCOL }),
        };
        register(&self.site, &self.account(name), &registration)
    }

    fn repositories(&self) -> Vec<Repository> {
        self.site.store.read(|c| repositories::list(c, self.site.store.key())).unwrap()
    }

    fn log(&self) -> Vec<LogEntry> {
        self.site.store.read(|c| log::list(c, &LogFilter::default())).unwrap()
    }
}

#[test]
fn a_wrong_password_and_an_unknown_name_are_refused_alike_and_logged() {
    let house = House::new();
    assert_eq!(house.login("anna", "right").unwrap().name, "anna");
    assert!(house.log().is_empty());
    let (wrong, unknown) = (house.login("anna", "wrong").unwrap_err(), house.login("nobody", "right").unwrap_err());
    assert_eq!((wrong.kind(), unknown.kind()), (Kind::Unauthorized, Kind::Unauthorized));
    assert_eq!(wrong.to_string(), unknown.to_string());
    assert!(house.log().iter().all(|entry| entry.action == Action::Login && entry.outcome == Outcome::Error));
    assert_eq!(house.log().len(), 2);
}

#[test]
fn an_account_belongs_to_the_first_site_that_uses_it() {
    let house = House::new();
    let (first, second) = (SiteId::random(), SiteId::random());
    assert_eq!(caller(&house.site, &house.account("anna"), first).unwrap().uuid, first);
    assert_eq!(caller(&house.site, &house.account("anna"), first).unwrap().repository.id, house.repositories()[0].id);
    assert_eq!(caller(&house.site, &house.account("anna"), second).unwrap_err().kind(), Kind::Forbidden);
    assert_eq!(house.repositories().len(), 1, "a refused site leaves no entry");
}

#[test]
fn an_account_cannot_take_the_place_of_a_site_that_has_its_own() {
    let house = House::new();
    let site = SiteId::random();
    caller(&house.site, &house.account("anna"), site).unwrap();
    assert_eq!(caller(&house.site, &house.account("ben"), site).unwrap_err().kind(), Kind::Forbidden);
    assert_eq!(house.account("ben").bound, None);
}

#[test]
fn people_and_a_clone_of_this_site_are_not_let_in_as_peers() {
    let house = House::new();
    assert_eq!(caller(&house.site, &house.account("root"), SiteId::random()).unwrap_err().kind(), Kind::Forbidden);
    assert_eq!(caller(&house.site, &house.account("anna"), house.site.id).unwrap_err().kind(), Kind::Forbidden);
    assert_eq!((house.account("anna").bound, house.repositories().len()), (None, 0));
}

#[test]
fn a_token_stands_for_its_site_until_it_is_given_back_or_the_repository_disabled() {
    let house = House::new();
    let site = SiteId::random();
    let open = || SecretString::from(session(&house.site, &house.account("anna"), site).unwrap().token);
    let (one, two) = (open(), open());
    let known = caller_by_token(&house.site, &one).unwrap();
    assert_eq!((known.uuid, known.grant.push), (site, true));
    end_session(&house.site, &one).unwrap();
    assert_eq!(caller_by_token(&house.site, &one).unwrap_err().kind(), Kind::Unauthorized);
    let disabled = Repository { enabled: false, ..known.repository };
    house.site.store.write(|c| repositories::update(c, house.site.store.key(), &disabled)).unwrap();
    assert_eq!(caller_by_token(&house.site, &two).unwrap_err().kind(), Kind::Unauthorized);
    assert_eq!(session(&house.site, &house.account("anna"), site).unwrap_err().kind(), Kind::Forbidden);
}

#[test]
fn a_registration_makes_an_entry_and_a_second_one_updates_it() {
    let house = House::new();
    let site = SiteId::random();
    let first = house.register("anna", site, Some("hall"), None).unwrap();
    assert_eq!((first.message.as_str(), first.statuscode.as_str()), ("Registration successful", "200"));
    assert_eq!(first.sender, house.site.id.to_string());
    let second = house.register("anna", site, Some("renamed"), Some("https://hall.example/")).unwrap();
    assert_eq!(second.message, "Registration update successful");
    let entry = &house.repositories()[0];
    assert_eq!((entry.name.as_str(), entry.url.as_deref(), entry.uuid), ("hall", Some("https://hall.example"), Some(site)));
    assert!(entry.accept_pushes);
    house.register("anna", site, None, Some("https://elsewhere.example")).unwrap();
    assert_eq!(house.repositories()[0].url.as_deref(), Some("https://hall.example"), "an address that is there stays");
    assert_eq!(house.log().len(), 3);
}

#[test]
fn names_are_made_unique_and_odd_names_and_addresses_do_no_harm() {
    let house = House::new();
    house.register("anna", SiteId::random(), Some("hall\n"), Some("ftp://x")).unwrap();
    house.register("ben", SiteId::random(), Some("hall"), Some("http://user:pass@x")).unwrap();
    let mut entries = house.repositories();
    entries.sort_by_key(|entry| entry.id);
    assert_eq!(entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["hall", "hall 2"]);
    assert!(entries.iter().all(|entry| entry.url.is_none()));
    assert!(!entries[1].accept_pushes, "ben's account may not push");
}

#[test]
fn a_site_that_came_by_session_first_gets_its_name_when_it_registers() {
    let house = House::new();
    let site = SiteId::random();
    caller(&house.site, &house.account("anna"), site).unwrap();
    assert_eq!(house.repositories()[0].name, site.to_string());
    house.register("anna", site, Some("hall"), None).unwrap();
    assert_eq!(house.repositories()[0].name, "hall");
}

#[test]
fn a_refused_registration_is_logged() {
    let house = House::new();
    assert_eq!(house.register("root", SiteId::random(), None, None).unwrap_err().kind(), Kind::Forbidden);
    let log = house.log();
    assert_eq!((log.len(), log[0].action, log[0].outcome), (1, Action::Register, Outcome::Error));
}

#[test]
fn a_paused_site_says_so() {
    let house = House::new();
    assert!(refuse_while_paused(&house.site).is_ok());
    house.site.store.write(|c| control::set_paused(c, true)).unwrap();
    assert_eq!(refuse_while_paused(&house.site).unwrap_err().kind(), Kind::Paused);
}
