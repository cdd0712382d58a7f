//! An Eden that is none: it answers as the real one does (docs/eden.md), remembers what it was asked, and breaks where it is told to.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
};

use entente::model::{Repository, Resource};

use crate::hub::{Hub, document};

/// Its own UUID.
pub(crate) const SENDER: &str = "urn:uuid:b06d0b48-f028-4fe8-ac44-8103fc951582";

/// A record as it keeps it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    pub(crate) modified: String,
    pub(crate) mci: u32,
    pub(crate) deleted: bool,
    pub(crate) fields: BTreeMap<String, String>,
    /// Field, resource, uid.
    pub(crate) references: Vec<(String, String, String)>,
    /// Of a record that is gone: what took its place.
    pub(crate) heir: Option<String>,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

#[derive(Default)]
pub(crate) struct State {
    /// By resource and uid.
    pub(crate) records: BTreeMap<(String, String), Kept>,
    pub(crate) asked: Vec<Asked>,
    /// Texts over which it breaks with 500, and those that it refuses.
    pub(crate) poison: BTreeSet<String>,
    pub(crate) invalid: BTreeSet<String>,
    /// Texts whose records it passes over without a word, and over which its parser stumbles.
    pub(crate) silent: BTreeSet<String>,
    pub(crate) unread: BTreeSet<String>,
    /// The largest body that the server before it lets through.
    pub(crate) largest: Option<usize>,
    /// Of records that others refer to it lets none go.
    pub(crate) restrict: bool,
    /// An organisation that a person there renames a moment after a document came in, before it is taken: its uid and new name.
    pub(crate) meanwhile: Option<(String, String)>,
    /// Answers that it gives instead, first come first served: the beginning of `METHOD path`, status, media type, body.
    pub(crate) instead: Vec<(String, u16, String, String)>,
    /// Controllers that it has.
    pub(crate) controllers: BTreeSet<String>,
    pub(crate) registered: bool,
}

/// It serves until the process ends.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// A site that shares organisations and offices with an Eden that it calls.
pub(crate) fn pair() -> (Hub, Scripted, Repository) {
    let (hub, eden) = (Hub::new(), Scripted::new());
    let (repository, warning) = hub.knows(eden.address);
    assert_eq!(warning, None);
    for resource in ["org_organisation", "org_office"] {
        hub.shares(&repository, Resource::new(0, resource));
    }
    eden.forget();
    (hub, eden, repository)
}

impl Scripted {
    pub(crate) fn new() -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(State::default())));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = shared.clone();
                thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        Scripted { address, state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Puts a record in, as a person there would.
    pub(crate) fn put(&self, resource: &str, uid: &str, modified: &str, fields: &[(&str, &str)]) {
        let mut state = self.state();
        let kept = state.records.entry((resource.to_owned(), uid.to_owned())).or_default();
        (kept.modified, kept.deleted) = (modified.to_owned(), false);
        kept.fields.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    }

    pub(crate) fn refer(&self, resource: &str, uid: &str, field: &str, to: (&str, &str)) {
        let mut state = self.state();
        let kept = state.records.get_mut(&(resource.to_owned(), uid.to_owned())).unwrap();
        kept.references = vec![(field.to_owned(), to.0.to_owned(), to.1.to_owned())];
    }

    pub(crate) fn delete(&self, resource: &str, uid: &str, modified: &str) {
        let mut state = self.state();
        let kept = state.records.get_mut(&(resource.to_owned(), uid.to_owned())).unwrap();
        (kept.modified, kept.deleted) = (modified.to_owned(), true);
    }

    /// A record's field; nothing where it is not there or deleted.
    pub(crate) fn field(&self, resource: &str, uid: &str, field: &str) -> Option<String> {
        let state = self.state();
        let kept = state.records.get(&(resource.to_owned(), uid.to_owned())).filter(|kept| !kept.deleted)?;
        kept.fields.get(field).cloned()
    }

    /// What was asked since the last time, by the beginning of `METHOD path`.
    pub(crate) fn asked(&self, what: &str) -> Vec<Asked> {
        self.state().asked.iter().filter(|asked| format!("{} {}", asked.method, asked.path).starts_with(what)).cloned().collect()
    }

    pub(crate) fn forget(&self) {
        self.state().asked.clear();
    }

    pub(crate) fn instead(&self, what: &str, status: u16, media: &str, body: &str) {
        self.state().instead.push((what.to_owned(), status, media.to_owned(), body.to_owned()));
    }
}

fn serve(mut stream: TcpStream, shared: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(|rest| rest.trim().parse::<usize>().unwrap()));
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
        let asked = Asked { method, path: path.strip_prefix("/eden").unwrap_or(&path).to_owned(), head, body };
        let mut state = shared.lock().unwrap();
        let (status, media, body) = answer(&mut state, &asked);
        state.asked.push(asked);
        drop(state);
        let text = format!(
            "HTTP/1.1 {status} x\r\nX-Powered-By: web2py\r\nContent-Type: {media}\r\nSet-Cookie: session_id_eden=1\r\nContent-Length: {}\r\nConnection: keep-alive\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

const TICKET: &str = "<html><body><h1>Internal error</h1>Ticket issued: <a href='/admin/default/ticket/eden/1'>x</a></body></html>";

fn answer(state: &mut State, asked: &Asked) -> (u16, String, String) {
    let line = format!("{} {}", asked.method, asked.path);
    if let Some(at) = state.instead.iter().position(|(what, ..)| line.starts_with(what.as_str())) {
        let (_, status, media, body) = state.instead.remove(at);
        return (status, media, body);
    }
    if !asked.head.to_lowercase().contains("authorization: basic") {
        return (401, "text/html".into(), "Authentication Required".into());
    }
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")).map(str::to_owned));
    match (asked.method.as_str(), path) {
        ("POST", "/sync/repository/register.json") => {
            let told: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
            assert!(told["uuid"].is_string() && told["name"].is_string() && told["apitype"] == "eden", "{told}");
            state.registered = true;
            (
                200,
                "application/json".into(),
                format!(r#"{{"status": "success", "statuscode": "200", "message": "Registration successful", "sender": "{SENDER}"}}"#),
            )
        }
        ("GET", "/sync/sync.xml") => (200, "text/xml".into(), export(state, &value("resource").unwrap(), value("msince"))),
        ("POST", "/sync/sync.xml") => import(state, &value("resource").unwrap(), asked, "NEWER"),
        ("POST", controller) => {
            let name = controller.trim_start_matches('/').trim_end_matches("/sync.xml").replace('/', "_");
            if !state.controllers.contains(&name) {
                return (404, "text/html".into(), "invalid controller".into());
            }
            import(state, &name, asked, &value("update_policy").unwrap())
        }
        _ => (404, "text/html".into(), "invalid controller".into()),
    }
}

fn export(state: &State, resource: &str, since: Option<String>) -> String {
    let mut inside = String::new();
    let mut wanted: Vec<(String, String)> = Vec::new();
    let due = |kept: &Kept| since.as_ref().is_none_or(|since| kept.modified >= *since);
    for ((name, uid), kept) in state.records.iter().filter(|((name, _), kept)| name == resource && due(kept)) {
        inside.push_str(&element(name, uid, kept));
        wanted.extend(kept.references.iter().map(|(_, resource, uid)| (resource.clone(), uid.clone())));
    }
    let masters = inside.len();
    for target in wanted.into_iter().collect::<BTreeSet<_>>() {
        if let Some(kept) = state.records.get(&target).filter(|kept| !kept.deleted && target.0 != resource) {
            inside.push_str(&element(&target.0, &target.1, kept));
        }
    }
    if masters == 0 {
        return "<?xml version='1.0' encoding='utf-8'?>\n<s3xml success=\"false\" results=\"0\" domain=\"vm\" url=\"http://vm/eden\"/>"
            .into();
    }
    document(&inside).replace("<s3xml ", "<s3xml domain=\"vm\" ")
}

fn element(name: &str, uid: &str, kept: &Kept) -> String {
    // A uid that is no URN gets its name before it; references are written raw.
    let own = if uid.starts_with("urn:") || uid.contains('/') { uid.to_owned() } else { format!("vm/{uid}") };
    let uid = own.as_str();
    if kept.deleted {
        let heir = kept.heir.as_ref().map_or(String::new(), |heir| format!(" replaced_by=\"{heir}\""));
        return format!("<resource name=\"{name}\" uuid=\"{uid}\" deleted=\"True\" modified_on=\"{}\"{heir}/>", kept.modified);
    }
    let modified = if kept.modified.is_empty() { String::new() } else { format!(" modified_on=\"{}\"", kept.modified) };
    let mut text = format!("<resource name=\"{name}\" uuid=\"{uid}\" mci=\"{}\"{modified}>", kept.mci + 1);
    for (field, value) in &kept.fields {
        text.push_str(&format!("<data field=\"{field}\" value=\"{}\">-</data>", escape(value)));
    }
    for (field, resource, uid) in &kept.references {
        text.push_str(&format!("<reference field=\"{field}\" resource=\"{resource}\" uuid=\"{}\">x</reference>", escape(uid)));
    }
    text + "</resource>"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// Takes a document as Eden does: by time, or always where it is told that the sender wins.
fn import(state: &mut State, resource: &str, asked: &Asked, policy: &str) -> (u16, String, String) {
    let (head, body) = (asked.head.to_lowercase(), String::from_utf8(asked.body.clone()).unwrap());
    assert!(!head.contains("transfer-encoding"), "a chunked body reaches an Eden as an empty one");
    if head.contains("content-type: text/xml") || head.contains("content-type: application/xml") {
        return (500, "text/html".into(), TICKET.into());
    }
    if !state.registered {
        return (403, "application/json".into(), r#"{"status": "failed", "statuscode": "403", "message": "Registration required"}"#.into());
    }
    if let Some((uid, name)) = state.meanwhile.take() {
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        let kept = state.records.get_mut(&("org_organisation".to_owned(), uid)).unwrap();
        kept.modified = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%S").to_string();
        kept.fields.insert("name".into(), name);
    }
    if state.poison.iter().any(|poison| body.contains(poison)) {
        return (500, "text/html".into(), TICKET.into());
    }
    if state.largest.is_some_and(|largest| body.len() > largest) {
        return (413, "text/html".into(), "<html>413 Request Entity Too Large</html>".into());
    }
    if let Some(unread) = state.unread.iter().find(|unread| body.contains(unread.as_str())) {
        let message = format!(r#"{{"status": "failed", "statuscode": "400", "message": "XML Parse error: {unread}"}}"#);
        return (400, "application/json".into(), message);
    }
    let document = match roxmltree::Document::parse(&body) {
        Ok(document) => document,
        Err(error) => {
            return (
                400,
                "application/json".into(),
                format!(r#"{{"status": "failed", "statuscode": "400", "message": "XML Parse error: {error}"}}"#),
            );
        }
    };
    let (mut records, mut created, mut tree) = (0, Vec::new(), Vec::new());
    let mut failed: BTreeSet<String> = BTreeSet::new();
    let elements: Vec<_> = document.root_element().children().filter(roxmltree::Node::is_element).collect();
    // What others refer to comes first, wherever it stands; of its own uids it takes its name away.
    let (own_table, first): (Vec<_>, Vec<_>) = elements.into_iter().partition(|node| node.attribute("name") == Some(resource));
    for node in first.into_iter().chain(own_table) {
        let (name, whole) = (node.attribute("name").unwrap(), node.attribute("uuid").unwrap());
        let uid = whole.strip_prefix("vm/").unwrap_or(whole);
        let modified = node.attribute("modified_on").expect("every element says its time").to_owned();
        let deleted = node.attribute("deleted") == Some("True");
        assert!(deleted || node.attribute("mci").is_some(), "every element says how many hands it went through");
        let raw = |child: &roxmltree::Node<'_, '_>| child.attribute("value").or(child.text()).unwrap_or_default().to_owned();
        let own = |tag: &'static str| node.children().filter(move |child| child.has_tag_name(tag));
        let says = |texts: &BTreeSet<String>| texts.iter().any(|text| own("data").any(|child| raw(&child).contains(text.as_str())));
        let stuck = own("reference").any(|child| child.attribute("uuid").is_some_and(|uid| failed.contains(uid)));
        let mut refuse = |what: &str| {
            failed.insert(whole.to_owned());
            if name == resource {
                tree.push(format!(r#"{{"@uuid": "{whole}", "@error": "Validation error", {what}}}"#));
            }
        };
        if says(&state.invalid) {
            refuse(r#""year": {"@value": 9, "@error": "year: Enter an integer"}"#);
            continue;
        }
        if stuck {
            refuse(r#""$k_x": {"@error": "reference import(s) failed"}"#);
            continue;
        }
        let held = |((_, _), kept): (&(String, String), &Kept)| !kept.deleted && kept.references.iter().any(|(.., to)| to == uid);
        if deleted && state.restrict && state.records.iter().any(held) {
            refuse(r#""$_x": {"@error": "Cannot delete: referenced"}"#);
            continue;
        }
        if says(&state.silent) {
            continue;
        }
        records += u32::from(name == resource);
        let known = state.records.get(&(name.to_owned(), uid.to_owned()));
        // A merge into what it does not have, and the end of what it never had, it passes over.
        let heir = node.attribute("replaced_by").map(|heir| heir.strip_prefix("vm/").unwrap_or(heir).to_owned());
        let lost = heir.as_ref().is_some_and(|heir| !state.records.contains_key(&(name.to_owned(), heir.clone())));
        if deleted && (known.is_none() || lost) {
            continue;
        }
        if known.is_some_and(|known| known.modified > modified && policy != "THIS" || policy == "OTHER") {
            continue;
        }
        if known.is_none() && name == resource {
            created.push(created.len() + 1);
        }
        let mut kept =
            known.cloned().unwrap_or_else(|| Kept { mci: node.attribute("mci").map_or(2, |mci| mci.parse().unwrap()), ..Kept::default() });
        (kept.modified, kept.deleted) = (modified, deleted);
        kept.heir = heir;
        for child in own("data") {
            let value = raw(&child);
            match value.as_str() {
                "" => kept.fields.remove(child.attribute("field").unwrap()),
                _ => kept.fields.insert(child.attribute("field").unwrap().to_owned(), value),
            };
        }
        for child in own("reference") {
            let (field, resource, uid) = (child.attribute("field"), child.attribute("resource"), child.attribute("uuid"));
            kept.references.retain(|(known, ..)| Some(known.as_str()) != field);
            let uid = uid.unwrap();
            kept.references.push((field.unwrap().into(), resource.unwrap().into(), uid.strip_prefix("vm/").unwrap_or(uid).into()));
        }
        state.records.insert((name.to_owned(), uid.to_owned()), kept);
    }
    let tree = if tree.is_empty() {
        String::new()
    } else {
        format!(r#", "message": "Validation error - invalid items ignored", "tree": {{"$_{resource}": [{}]}}"#, tree.join(","))
    };
    let created = if created.is_empty() { String::new() } else { format!(r#", "created": {created:?}"#) };
    (200, "text/html".into(), format!(r#"{{"status": "success", "statuscode": "200", "records": {records}{created}{tree}}}"#))
}
