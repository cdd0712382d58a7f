use std::fs;

use super::*;
use crate::error::Kind;

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn flags(settings: Settings) -> Overrides {
    Overrides { config: None, settings }
}

/// With this file in the data directory, this environment, and no flags.
fn from(file: &str, pairs: &[(&str, &str)]) -> Result<Config> {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join(FILE), file).unwrap();
    Config::from_layers(Overrides::default(), &env(pairs), Some(home.path().to_owned()))
}

#[test]
fn nothing_written_gives_the_defaults() {
    let config = Config::from_layers(Overrides::default(), &env(&[]), Some("/nowhere/entente".into())).unwrap();
    let want = Config {
        data: "/nowhere/entente".into(),
        database: None,
        name: None,
        listen: "127.0.0.1:8080".parse().unwrap(),
        tls: None,
        ca_file: None,
        proxy: None,
        url: None,
        session_seconds: 3600,
        page_records: 5000,
        page_bytes: 4_194_304,
        read_ahead: true,
        workers: 4,
        log_days: 90,
        history_days: 365,
        tombstone_days: 30,
        history_versions: 100,
        log_level: "info".into(),
    };
    assert_eq!(config, want);
    assert!(Config::from_layers(Overrides::default(), &env(&[]), None).unwrap_err().next_step().unwrap().contains("--data"));
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join(FILE), "name = 'file'\nworkers = 2\nlog_days = 7").unwrap();
    let env = env(&[("ENTENTE_NAME", "env"), ("ENTENTE_WORKERS", "3"), ("ENTENTE_LOG_LEVEL", ""), ("ENTENTE_PORT", "tcp://elsewhere")]);
    let overrides = flags(Settings { name: Some("flag".into()), ..Settings::default() });
    let config = Config::from_layers(overrides, &env, Some(home.path().to_owned())).unwrap();
    assert_eq!((config.name.as_deref(), config.workers, config.log_days), (Some("flag"), 3, 7));
    assert_eq!(config.log_level, "info", "an empty variable says nothing");
}

#[test]
fn the_file_is_found_in_the_data_directory_that_flag_or_environment_names() {
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join(FILE), "name = 'here'\ntls_cert = 'c.pem'\ntls_key = '/k.pem'").unwrap();
    let config = Config::from_layers(Overrides::default(), &env(&[("ENTENTE_DATA", data.path().to_str().unwrap())]), None).unwrap();
    assert_eq!((config.data.as_path(), config.name.as_deref()), (data.path(), Some("here")));
    assert_eq!(config.tls, Some((data.path().join("c.pem"), "/k.pem".into())), "relative to the file");
}

#[test]
fn a_named_file_replaces_that_of_the_data_directory_and_may_name_the_directory() {
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().join("site.toml");
    fs::write(&named, "data = 'store'\nname = 'named'").unwrap();
    for (overrides, env) in [
        (Overrides { config: Some(named.clone()), ..Overrides::default() }, env(&[])),
        (Overrides::default(), env(&[("ENTENTE_CONFIG", named.to_str().unwrap())])),
    ] {
        let config = Config::from_layers(overrides, &env, Some("/home".into())).unwrap();
        assert_eq!((config.data, config.name.as_deref()), (folder.path().join("store"), Some("named")));
    }
    let missing = Overrides { config: Some(folder.path().join("none.toml")), ..Overrides::default() };
    assert!(Config::from_layers(missing, &env(&[]), None).unwrap_err().to_string().contains("none.toml"));
    assert!(from("data = '/elsewhere'", &[]).unwrap_err().to_string().contains("cannot name another"));
}

#[test]
fn what_is_off_is_refused_by_its_name_and_place() {
    for (file, pairs, part) in [
        ("name = 'a'\nlisten_on = 1", &[][..], "line 2: unknown field `listen_on`"),
        ("workers = 'many'", &[], "line 1: invalid type: string"),
        ("name = ", &[], "entente.toml, line 1"),
        ("workers = 0", &[], "`workers` is 0; it can be 1 to 64"),
        ("page_records = 20001", &[], "`page_records`"),
        ("session_seconds = 5", &[], "`session_seconds`"),
        ("page_bytes = 1", &[], "`page_bytes`"),
        ("log_days = 0", &[], "`log_days`"),
        ("history_days = 0", &[], "`history_days`"),
        ("tombstone_days = 0", &[], "`tombstone_days`"),
        ("log_level = 'entente=loud'", &[], "`log_level`"),
        ("listen = '8080'", &[], "`listen`"),
        ("tls_cert = 'c.pem'", &[], "`tls_cert` and `tls_key`"),
        ("url = 'hub.example.org'", &[], "`url`"),
        ("url = 'https://u:p@hub.example.org'", &[], "`url`"),
        ("name = ''", &[], "`name`"),
        ("", &[("ENTENTE_WORKERS", "x")], "ENTENTE_WORKERS is off: invalid digit"),
    ] {
        let error = from(file, pairs).unwrap_err();
        assert!(error.kind() == Kind::Usage && error.to_string().contains(part), "{file}: {error}");
    }
}

#[test]
fn a_proxys_password_is_told_to_nobody() {
    let error = from("proxy = 'ftp://u:tops3cret@proxy'", &[]).unwrap_err();
    assert!(!error.chain().contains("tops3cret"));
    let config = from("proxy = 'http://u:tops3cret@proxy:3128'", &[]).unwrap();
    assert!(config.proxy.is_some() && !format!("{config:?}").contains("tops3cret"));
}

#[test]
fn addresses_are_read_as_people_write_them() {
    for (text, want) in [("localhost:9000", "127.0.0.1:9000"), ("0.0.0.0:80", "0.0.0.0:80"), ("[::]:0", "[::]:0")] {
        assert_eq!(from(&format!("listen = '{text}'"), &[]).unwrap().listen.to_string(), want);
    }
    assert_eq!(from("url = 'https://hub.example.org/sync/'", &[]).unwrap().url.unwrap(), "https://hub.example.org/sync");
}

#[test]
fn the_schema_knows_every_key_with_its_default_and_no_other() {
    let schema: serde_json::Value = serde_json::from_str(include_str!("../../schemas/config.json")).unwrap();
    let described = schema["properties"].as_object().unwrap();
    let mut keys = Settings::KEYS.to_vec();
    keys.sort_unstable();
    let mut known: Vec<&str> = described.keys().map(String::as_str).collect();
    known.sort_unstable();
    assert_eq!(known, keys);
    assert_eq!(schema["additionalProperties"], false);

    let defaults = Config::from_layers(Overrides::default(), &env(&[]), Some("/home".into())).unwrap();
    for (key, want) in [
        ("listen", defaults.listen.to_string().into()),
        ("session_seconds", defaults.session_seconds.into()),
        ("page_records", defaults.page_records.into()),
        ("page_bytes", defaults.page_bytes.into()),
        ("read_ahead", defaults.read_ahead.into()),
        ("workers", defaults.workers.into()),
        ("log_days", defaults.log_days.into()),
        ("history_days", defaults.history_days.into()),
        ("tombstone_days", defaults.tombstone_days.into()),
        ("history_versions", defaults.history_versions.into()),
        ("log_level", serde_json::Value::from(defaults.log_level)),
    ] {
        assert_eq!(described[key]["default"], want, "{key}");
    }
    for (key, property) in described.iter().filter(|(_, property)| property["type"] == "integer") {
        for bound in [&property["minimum"], &property["maximum"]] {
            assert!(from(&format!("{key} = {bound}"), &[]).is_ok(), "{key} = {bound}");
        }
        for outside in [property["minimum"].as_i64().unwrap() - 1, property["maximum"].as_i64().unwrap() + 1] {
            assert!(from(&format!("{key} = {outside}"), &[]).is_err(), "{key} = {outside}");
        }
    }
}

#[test]
fn the_store_is_where_flag_environment_file_or_what_is_remembered_say_and_a_password_is_found_for_it() {
    let home = tempfile::tempdir().unwrap();
    let remembered = Address::parse("postgres://me:own@remembered/app").unwrap();
    remembered::set(home.path(), Some(&remembered)).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(home.path().join(remembered::FILE)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let load = |flag: Option<&str>, pairs: &[(&str, &str)]| {
        let overrides = flags(Settings { database: flag.map(str::to_owned), ..Settings::default() });
        let config = Config::from_layers(overrides, &env(pairs), Some(home.path().to_owned())).unwrap();
        config.database.map(|database| secrecy::ExposeSecret::expose_secret(&database.whole()).to_owned())
    };
    let (variable, password) = (("ENTENTE_DATABASE", "postgres://me@env/app"), ("PGPASSWORD", "x"));
    assert_eq!(load(None, &[password]).as_deref(), Some("postgres://me:own@remembered/app"));
    assert_eq!(load(None, &[variable, password]).as_deref(), Some("postgres://me:x@env/app"));
    assert_eq!(load(Some("postgresql://me@flag/app"), &[variable]).as_deref(), Some("postgres://me@flag/app"));
    assert_eq!(load(Some("sqlite:"), &[variable]), None);
    fs::write(home.path().join(FILE), "database = 'postgres://me@file/app'").unwrap();
    assert_eq!(load(None, &[]).as_deref(), Some("postgres://me@file/app"));
    fs::remove_file(home.path().join(FILE)).unwrap();
    remembered::set(home.path(), None).unwrap();
    assert_eq!(load(None, &[password]), None);
}

#[test]
fn a_place_that_is_none_is_refused_without_its_password() {
    for url in ["mysql://me:tops3cret@h/x", "postgres://me:tops3cret@h", "tops3cret"] {
        let error = from(&format!("database = '{url}'"), &[]).unwrap_err();
        assert!(error.kind() == Kind::Usage && !error.chain().contains("tops3cret"), "{}", error.chain());
        assert!(error.next_step().unwrap().contains("postgres://USER@HOST/DATABASE"));
    }
}
