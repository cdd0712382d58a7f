//! A RELAX NG validator for the tests: James Clark's derivatives ("An algorithm for RELAX NG validation"), without name
//! annotations, mixed, externalRef and datatypes other than string with a pattern. Written here because the published crates take
//! optional attributes for required ones or let unknown ones pass. What it does not know in a schema makes it panic.

use std::{collections::HashMap, rc::Rc};

use regex::Regex;
use roxmltree::{Document, Node};

type Pattern = Rc<P>;

enum P {
    Empty,
    NotAllowed,
    Text,
    Choice(Pattern, Pattern),
    Group(Pattern, Pattern),
    OneOrMore(Pattern),
    List(Pattern),
    Data(Regex),
    Value(String),
    Attribute(Name, Pattern),
    Element(Name, Pattern),
    After(Pattern, Pattern),
    Ref(String),
}

enum Name {
    Any(Vec<Name>),
    Namespace(String),
    Exactly(String, String),
}

impl Name {
    fn contains(&self, namespace: &str, local: &str) -> bool {
        match self {
            Name::Any(except) => !except.iter().any(|name| name.contains(namespace, local)),
            Name::Namespace(own) => own == namespace,
            Name::Exactly(own, name) => own == namespace && name == local,
        }
    }
}

pub(crate) struct Schema {
    start: Pattern,
    defines: HashMap<String, Pattern>,
}

impl Schema {
    pub(crate) fn parse(text: &str) -> Schema {
        let document = Document::parse(text).expect("the schema is XML");
        let (mut start, mut defines) = (None, HashMap::new());
        for node in elements(document.root_element()) {
            match node.tag_name().name() {
                "start" => start = Some(group(node)),
                "define" => assert!(defines.insert(attribute(node, "name"), group(node)).is_none(), "defined twice"),
                other => panic!("{other} in a grammar"),
            }
        }
        Schema { start: start.expect("the grammar has a start"), defines }
    }

    /// Whether a document is XML and follows the schema.
    pub(crate) fn accepts(&self, document: &str) -> bool {
        Document::parse(document).is_ok_and(|document| self.nullable(&self.child(&self.start, document.root_element())))
    }

    fn resolve(&self, name: &str) -> &Pattern {
        self.defines.get(name).unwrap_or_else(|| panic!("{name} is not defined"))
    }

    fn nullable(&self, p: &Pattern) -> bool {
        match &**p {
            P::Empty | P::Text => true,
            P::Choice(a, b) => self.nullable(a) || self.nullable(b),
            P::Group(a, b) => self.nullable(a) && self.nullable(b),
            P::OneOrMore(inner) => self.nullable(inner),
            P::Ref(name) => self.nullable(self.resolve(name)),
            _ => false,
        }
    }

    fn child(&self, p: &Pattern, node: Node<'_, '_>) -> Pattern {
        let tag = node.tag_name();
        let mut p = self.open(p, tag.namespace().unwrap_or(""), tag.name());
        for given in node.attributes() {
            p = self.attribute(&p, given.namespace().unwrap_or(""), given.name(), given.value());
        }
        self.end_tag(&self.children(&self.start_tag_close(&p), node))
    }

    fn children(&self, p: &Pattern, node: Node<'_, '_>) -> Pattern {
        let children: Vec<Node<'_, '_>> = node.children().filter(|child| child.is_element() || child.is_text()).collect();
        let blank = |text: &str| text.chars().all(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
        if children.iter().all(Node::is_text) {
            let text: String = children.iter().filter_map(Node::text).collect();
            let read = self.text(p, &text);
            return if blank(&text) { choice(p.clone(), read) } else { read };
        }
        children
            .into_iter()
            .filter(|child| child.is_element() || !blank(child.text().unwrap_or("")))
            .fold(p.clone(), |p, child| if child.is_element() { self.child(&p, child) } else { self.text(&p, child.text().unwrap_or("")) })
    }

    fn text(&self, p: &Pattern, text: &str) -> Pattern {
        match &**p {
            P::Choice(a, b) => choice(self.text(a, text), self.text(b, text)),
            P::Group(a, b) => self.first_or_second(a, b, |p| self.text(p, text)),
            P::After(a, b) => after(self.text(a, text), b.clone()),
            P::OneOrMore(inner) => sequence(self.text(inner, text), choice(p.clone(), Rc::new(P::Empty))),
            P::Text => p.clone(),
            P::Value(value) if value == text => Rc::new(P::Empty),
            P::Data(regex) if regex.is_match(text) => Rc::new(P::Empty),
            P::List(inner) => {
                let end = text.split_ascii_whitespace().fold(inner.clone(), |p, token| self.text(&p, token));
                Rc::new(if self.nullable(&end) { P::Empty } else { P::NotAllowed })
            }
            P::Ref(name) => self.text(self.resolve(name), text),
            _ => Rc::new(P::NotAllowed),
        }
    }

    fn open(&self, p: &Pattern, namespace: &str, local: &str) -> Pattern {
        match &**p {
            P::Choice(a, b) => choice(self.open(a, namespace, local), self.open(b, namespace, local)),
            P::Element(name, content) if name.contains(namespace, local) => after(content.clone(), Rc::new(P::Empty)),
            P::OneOrMore(inner) => {
                let rest = choice(p.clone(), Rc::new(P::Empty));
                apply_after(&self.open(inner, namespace, local), &|p| sequence(p, rest.clone()))
            }
            P::Group(a, b) => {
                let first = apply_after(&self.open(a, namespace, local), &|p| sequence(p, b.clone()));
                if self.nullable(a) { choice(first, self.open(b, namespace, local)) } else { first }
            }
            P::After(a, b) => apply_after(&self.open(a, namespace, local), &|p| after(p, b.clone())),
            P::Ref(name) => self.open(self.resolve(name), namespace, local),
            _ => Rc::new(P::NotAllowed),
        }
    }

    fn attribute(&self, p: &Pattern, namespace: &str, local: &str, value: &str) -> Pattern {
        let next = |p: &Pattern| self.attribute(p, namespace, local, value);
        match &**p {
            P::After(a, b) => after(next(a), b.clone()),
            P::Choice(a, b) => choice(next(a), next(b)),
            P::Group(a, b) => choice(sequence(next(a), b.clone()), sequence(a.clone(), next(b))),
            P::OneOrMore(inner) => sequence(next(inner), choice(p.clone(), Rc::new(P::Empty))),
            P::Attribute(name, content) if name.contains(namespace, local) => {
                let good = self.nullable(&self.text(content, value)) || (value.trim().is_empty() && self.nullable(content));
                Rc::new(if good { P::Empty } else { P::NotAllowed })
            }
            P::Ref(name) => next(self.resolve(name)),
            _ => Rc::new(P::NotAllowed),
        }
    }

    fn start_tag_close(&self, p: &Pattern) -> Pattern {
        match &**p {
            P::After(a, b) => after(self.start_tag_close(a), b.clone()),
            P::Choice(a, b) => choice(self.start_tag_close(a), self.start_tag_close(b)),
            P::Group(a, b) => sequence(self.start_tag_close(a), self.start_tag_close(b)),
            P::OneOrMore(inner) => match self.start_tag_close(inner) {
                closed if matches!(*closed, P::NotAllowed) => closed,
                closed => Rc::new(P::OneOrMore(closed)),
            },
            P::Attribute(..) => Rc::new(P::NotAllowed),
            P::Ref(name) => self.start_tag_close(self.resolve(name)),
            _ => p.clone(),
        }
    }

    fn end_tag(&self, p: &Pattern) -> Pattern {
        match &**p {
            P::Choice(a, b) => choice(self.end_tag(a), self.end_tag(b)),
            P::After(a, b) if self.nullable(a) => b.clone(),
            _ => Rc::new(P::NotAllowed),
        }
    }

    fn first_or_second(&self, a: &Pattern, b: &Pattern, derive: impl Fn(&Pattern) -> Pattern) -> Pattern {
        let first = sequence(derive(a), b.clone());
        if self.nullable(a) { choice(first, derive(b)) } else { first }
    }
}

fn choice(a: Pattern, b: Pattern) -> Pattern {
    match (&*a, &*b) {
        (P::NotAllowed, _) => b,
        (_, P::NotAllowed) => a,
        (P::Empty, P::Empty) => a,
        _ if Rc::ptr_eq(&a, &b) => a,
        _ => Rc::new(P::Choice(a, b)),
    }
}

fn sequence(a: Pattern, b: Pattern) -> Pattern {
    match (&*a, &*b) {
        (P::NotAllowed, _) | (_, P::Empty) => a,
        (_, P::NotAllowed) | (P::Empty, _) => b,
        _ => Rc::new(P::Group(a, b)),
    }
}

fn after(a: Pattern, b: Pattern) -> Pattern {
    match (&*a, &*b) {
        (P::NotAllowed, _) => a,
        (_, P::NotAllowed) => b,
        _ => Rc::new(P::After(a, b)),
    }
}

fn apply_after(p: &Pattern, change: &dyn Fn(Pattern) -> Pattern) -> Pattern {
    match &**p {
        P::After(a, b) => after(a.clone(), change(b.clone())),
        P::Choice(a, b) => choice(apply_after(a, change), apply_after(b, change)),
        _ => Rc::new(P::NotAllowed),
    }
}

fn elements<'a, 'input>(node: Node<'a, 'input>) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(Node::is_element)
}

fn attribute(node: Node<'_, '_>, name: &str) -> String {
    node.attribute(name).unwrap_or_else(|| panic!("{} without {name}", node.tag_name().name())).to_owned()
}

/// The children of a node, one after the other.
fn group(node: Node<'_, '_>) -> Pattern {
    elements(node).map(pattern).reduce(sequence).unwrap_or_else(|| Rc::new(P::Empty))
}

fn pattern(node: Node<'_, '_>) -> Pattern {
    Rc::new(match node.tag_name().name() {
        "empty" => P::Empty,
        "text" => P::Text,
        "group" => return group(node),
        "choice" => return elements(node).map(pattern).reduce(choice).expect("a choice has branches"),
        "optional" => return choice(group(node), Rc::new(P::Empty)),
        "oneOrMore" => P::OneOrMore(group(node)),
        "zeroOrMore" => return choice(Rc::new(P::OneOrMore(group(node))), Rc::new(P::Empty)),
        "list" => P::List(group(node)),
        "ref" => P::Ref(attribute(node, "name")),
        "value" => P::Value(node.text().unwrap_or("").to_owned()),
        "data" => data(node),
        "element" => P::Element(name(node), content(node)),
        "attribute" => {
            let content = content(node);
            P::Attribute(name(node), if matches!(*content, P::Empty) { Rc::new(P::Text) } else { content })
        }
        other => panic!("{other} is not known to this validator"),
    })
}

fn data(node: Node<'_, '_>) -> P {
    assert_eq!(attribute(node, "type"), "string", "datatypes other than string are not known to this validator");
    let params: Vec<Node<'_, '_>> = elements(node).collect();
    let [param] = params[..] else { panic!("a data element has one pattern") };
    assert_eq!(attribute(param, "name"), "pattern");
    P::Data(Regex::new(&format!("^(?:{})$", param.text().unwrap_or(""))).expect("the pattern is one"))
}

fn is_name_class(node: &Node<'_, '_>) -> bool {
    matches!(node.tag_name().name(), "anyName" | "nsName" | "name")
}

/// What an element or attribute holds: its children but the name class.
fn content(node: Node<'_, '_>) -> Pattern {
    elements(node).filter(|child| !is_name_class(child)).map(pattern).reduce(sequence).unwrap_or_else(|| Rc::new(P::Empty))
}

fn name(node: Node<'_, '_>) -> Name {
    let Some(qualified) = node.attribute("name") else {
        return name_class(elements(node).find(is_name_class).expect("an element or attribute has a name"));
    };
    match qualified.split_once(':') {
        Some((prefix, local)) => {
            let namespace = node.lookup_namespace_uri(Some(prefix)).expect("the prefix is declared");
            Name::Exactly(namespace.to_owned(), local.to_owned())
        }
        None => Name::Exactly(String::new(), qualified.to_owned()),
    }
}

fn name_class(node: Node<'_, '_>) -> Name {
    match node.tag_name().name() {
        "anyName" => Name::Any(elements(node).flat_map(elements).map(name_class).collect()),
        "nsName" => Name::Namespace(attribute(node, "ns")),
        "name" => Name::Exactly(attribute(node, "ns"), node.text().unwrap_or("").to_owned()),
        other => panic!("{other} is no name class"),
    }
}

#[test]
fn the_validator_tells_good_documents_from_bad_ones() {
    let schema = Schema::parse(
        r#"<grammar xmlns="http://relaxng.org/ns/structure/1.0" xmlns:x="urn:x"><start><element name="a">
        <attribute name="must"><data type="string"><param name="pattern">[0-9]+</param></data></attribute>
        <optional><attribute name="x:may"/></optional>
        <choice><attribute name="left"/><group><attribute name="right"/><ref name="b"/></group></choice>
        <zeroOrMore><ref name="b"/></zeroOrMore></element></start>
        <define name="b"><element name="b"><attribute name="l"><list><oneOrMore><value>v</value></oneOrMore></list></attribute><text/></element></define>
        </grammar>"#,
    );
    for good in [
        r#"<a must="1" left=""/>"#,
        r#"<a left="" must="12" x:may="" xmlns:x="urn:x"> <b l="v"/> <b l="v v">text</b></a>"#,
        r#"<a must="1" right=""><b l=" v "/></a>"#,
    ] {
        assert!(schema.accepts(good), "{good}");
    }
    for bad in [
        r#"<a left=""/>"#,
        r#"<a must="x" left=""/>"#,
        r#"<a must="1"/>"#,
        r#"<a must="1" right=""/>"#,
        r#"<a must="1" left="" right=""><b l="v"/></a>"#,
        r#"<a must="1" left="" may=""/>"#,
        r#"<a must="1" left="" other=""/>"#,
        r#"<a must="1" left="">text</a>"#,
        r#"<a must="1" left=""><c/></a>"#,
        r#"<a must="1" left=""><b l=""/></a>"#,
        r#"<a must="1" left=""><b l="v w"/></a>"#,
        r#"<b l="v"/>"#,
        r#"<a must="1" left="">"#,
    ] {
        assert!(!schema.accepts(bad), "{bad}");
    }
}
