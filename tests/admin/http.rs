//! A caller that is no browser: it sends what it likes and looks at every byte of the answer.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::house::{PASSWORD, PATIENCE};

/// Somebody with cookies.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    address: String,
    pub(crate) cookies: BTreeMap<String, String>,
}

/// An answer. Names of headers are in small letters.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// The values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_default()
    }

    /// What forms of the page carry.
    pub(crate) fn csrf(&self) -> String {
        let after = self.body.split_once(r#"name="csrf" value=""#).unwrap_or_else(|| panic!("no form in {self:#?}")).1;
        after.split('"').next().unwrap().to_owned()
    }
}

/// Fields as a form sends them.
pub(crate) fn encoded(fields: &[(&str, &str)]) -> String {
    let quoted = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    fields.iter().map(|(name, value)| format!("{}={}", quoted(name), quoted(value))).collect::<Vec<_>>().join("&")
}

impl Caller {
    /// Somebody at the site at `home`, without a cookie.
    pub(crate) fn new(home: &str) -> Caller {
        Caller { address: home.trim_start_matches("http://").to_owned(), cookies: BTreeMap::new() }
    }

    /// Somebody who signed in.
    pub(crate) fn signed_in(home: &str, name: &str) -> Caller {
        let mut caller = Caller::new(home);
        let answer = caller.sign_in(name, PASSWORD);
        assert_eq!((answer.status, answer.header("location")), (303, "/"), "{answer:#?}");
        caller
    }

    pub(crate) fn sign_in(&mut self, name: &str, password: &str) -> Answer {
        self.post("/login", &[], &[("name", name), ("password", password)])
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, &["Accept: text/html"], "")
    }

    /// Sends a form with further headers.
    pub(crate) fn post(&mut self, path: &str, headers: &[&str], fields: &[(&str, &str)]) -> Answer {
        let headers = [&["Accept: text/html", "Content-Type: application/x-www-form-urlencoded"], headers].concat();
        self.ask("POST", path, &headers, &encoded(fields))
    }

    /// The same with what a form of this session carries.
    pub(crate) fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.get("/").csrf();
        self.post(path, &[], &[&[("csrf", csrf.as_str())], fields].concat())
    }

    /// Sends a request; cookies of the answer are kept as a browser would.
    pub(crate) fn ask(&mut self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        if method != "GET" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            head.push_str(&format!("Cookie: {}\r\n", pairs.join("; ")));
        }
        for header in headers {
            head.push_str(&format!("{header}\r\n"));
        }
        let answer = self.exchange(&format!("{head}\r\n{body}"));
        for set in answer.all("set-cookie") {
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            match value {
                "" => self.cookies.remove(name),
                some => self.cookies.insert(name.to_owned(), some.to_owned()),
            };
        }
        answer
    }

    fn exchange(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // A server that refuses early may stop reading.
        let _ = stream.write_all(request.as_bytes());
        let mut bytes = Vec::new();
        let mut buffer = [0; 65536];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            bytes.extend_from_slice(&buffer[..count]);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {request}"));
        let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        Answer {
            status: head[9..12].parse().unwrap(),
            headers: lines.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
            body: body.to_owned(),
        }
    }
}
