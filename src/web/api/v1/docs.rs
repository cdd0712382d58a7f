//! `/api/docs`: the API as a page for people. No script, nothing from outside.

use std::{fmt::Write, sync::LazyLock};

use actix_web::{HttpResponse, http::header};
use serde_json::Value;

use super::{
    document::{DOCUMENT, Described, Response, tags},
    operation::Operation,
    problem,
    routes::{BASE, OPERATIONS},
};

/// Our own style sheet, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

static PAGE: LazyLock<String> = LazyLock::new(page);

/// Answers anyone.
pub(super) async fn show() -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").insert_header((header::CONTENT_SECURITY_POLICY, POLICY)).body(PAGE.as_str())
}

/// The page's style sheet.
pub(super) async fn style() -> HttpResponse {
    HttpResponse::Ok().content_type("text/css; charset=utf-8").body(include_str!("docs.css"))
}

fn page() -> String {
    let mut page = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Entente API</title>\n<link rel=\"stylesheet\" href=\"/api/docs.css\">\n</head>\n<body>\n",
    );
    let body = head(&mut page).and_then(|()| parts(&mut page)).and_then(|()| schemas(&mut page)).and_then(|()| problems(&mut page));
    // Writing to a text does not fail.
    debug_assert!(body.is_ok());
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn head(page: &mut String) -> std::fmt::Result {
    writeln!(
        page,
        "<header>\n<h1>Entente API</h1>\n<p>Version {}. What the command line can do, for programs. The same as a document: \
         <a href=\"{BASE}/openapi.json\">openapi.json</a>.</p>\n<p>Send a token: <code>Authorization: Bearer entente_…</code>. Make one with \
         <code>entente token add NAME --scope read</code>. Scopes are <code>read</code>, <code>write</code> (run, decide, retry) and <code>admin</code>; each \
         includes those before it. Name and password of an account work too.</p>\n</header>",
        env!("CARGO_PKG_VERSION")
    )?;
    page.push_str("<nav aria-label=\"Parts\">\n<ul>\n");
    for (tag, _) in tags() {
        writeln!(page, "<li><a href=\"#{tag}\">{tag}</a></li>")?;
    }
    page.push_str("<li><a href=\"#schemas\">schemas</a></li>\n<li><a href=\"#problems\">problems</a></li>\n</ul>\n</nav>\n<main>\n");
    Ok(())
}

fn parts(page: &mut String) -> std::fmt::Result {
    for (tag, description) in tags() {
        writeln!(page, "<section id=\"{tag}\">\n<h2>{tag}</h2>\n<p class=\"soft\">{}</p>", escaped(description))?;
        for operation in OPERATIONS.iter().filter(|operation| operation.tag() == tag) {
            if let Some(described) = DOCUMENT.described(operation) {
                one(page, operation, described)?;
            }
        }
        page.push_str("</section>\n");
    }
    Ok(())
}

fn one(page: &mut String, operation: &Operation, described: &Described) -> std::fmt::Result {
    writeln!(
        page,
        "<article id=\"{}\">\n<h3><code><span class=\"method\">{}</span> {BASE}{}</code></h3>\n<p>{}</p>\n<p class=\"soft\">Scope <code>{}</code></p>",
        operation.id,
        operation.method.word(),
        operation.path,
        escaped(operation.summary),
        described.scope.word(),
    )?;
    if !described.parameters.is_empty() {
        page.push_str("<h4>Parameters</h4>\n<div class=\"scroll\"><table>\n<tr><th scope=\"col\">name</th><th scope=\"col\">in</th><th scope=\"col\">what it is</th></tr>\n");
        for parameter in &described.parameters {
            let must = if parameter.required { ", required" } else { "" };
            writeln!(
                page,
                "<tr><td><code>{}</code></td><td>{}{must}</td><td>{} {}</td></tr>",
                parameter.name,
                parameter.r#in,
                escaped(&parameter.description),
                kind(&parameter.schema)
            )?;
        }
        page.push_str("</table></div>\n");
    }
    if let Some(content) = described.request_body.as_ref().and_then(|body| body.content.values().next()) {
        writeln!(page, "<h4>Body</h4>\n<p>{}</p>", kind(&content.schema))?;
    }
    page.push_str("<h4>Answers</h4>\n<p>");
    let mut failures = Vec::new();
    for (status, response) in &described.responses {
        match response {
            Response::Own { content, .. } => {
                let body = content.values().next().map_or_else(|| "nothing".to_owned(), |content| kind(&content.schema));
                write!(page, "<code>{status}</code> {body}")?;
            }
            Response::Shared { .. } => failures.push(format!("<code>{status}</code>")),
        }
    }
    writeln!(page, "; <a href=\"#problems\">problems</a> {}</p>\n</article>", failures.join(" "))
}

/// What a value is, in a few words; names of schemas lead to them.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    let several = ["anyOf", "oneOf"].iter().find_map(|key| schema[*key].as_array());
    if let Some(several) = several {
        return several.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    if let Some(word) = schema.get("const") {
        return format!("<code>{}</code>", escaped(&word.to_string()));
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(|word| format!("<code>{}</code>", escaped(&word.to_string()))).collect::<Vec<_>>().join(" or ");
    }
    match (&schema["type"], &schema["items"], &schema["additionalProperties"]) {
        (Value::String(word), items, _) if word == "array" => format!("list of {}", kind(items)),
        (Value::String(word), _, values @ Value::Object(_)) if word == "object" => format!("object with values {}", kind(values)),
        (Value::String(word), ..) => {
            format!("<code>{}</code>", schema["format"].as_str().filter(|format| format.contains('-')).unwrap_or(word))
        }
        (Value::Array(words), items, _) => {
            let one = |word: &Value| {
                if word == "array" {
                    format!("list of {}", kind(items))
                } else {
                    format!("<code>{}</code>", word.as_str().unwrap_or_default())
                }
            };
            words.iter().map(one).collect::<Vec<_>>().join(" or ")
        }
        _ => "anything".to_owned(),
    }
}

fn schemas(page: &mut String) -> std::fmt::Result {
    page.push_str("<section id=\"schemas\">\n<h2>schemas</h2>\n");
    for (name, schema) in &DOCUMENT.components.schemas {
        let description = schema["description"].as_str().unwrap_or_default();
        writeln!(page, "<article id=\"schema-{name}\">\n<h3><code>{name}</code></h3>\n<p>{}</p>", escaped(description))?;
        let Some(fields) = schema["properties"].as_object() else {
            writeln!(page, "<p>{}</p>\n</article>", kind(schema))?;
            continue;
        };
        let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        page.push_str("<div class=\"scroll\"><table>\n<tr><th scope=\"col\">field</th><th scope=\"col\">type</th><th scope=\"col\">what it is</th></tr>\n");
        for (field, schema) in fields {
            let may = if required.contains(&field.as_str()) { "" } else { ", may be left out" };
            let description = schema["description"].as_str().unwrap_or_default();
            writeln!(page, "<tr><td><code>{field}</code></td><td>{}{may}</td><td>{}</td></tr>", kind(schema), escaped(description))?;
        }
        page.push_str("</table></div>\n</article>\n");
    }
    page.push_str("</section>\n");
    Ok(())
}

fn problems(page: &mut String) -> std::fmt::Result {
    page.push_str(
        "<section id=\"problems\">\n<h2>problems</h2>\n<p>A failure is an <code>application/problem+json</code> document (RFC 9457) with <code>kind</code> for \
         programs and <code>hint</code> for what to do next.</p>\n<div class=\"scroll\"><table>\n<tr><th scope=\"col\">kind</th><th scope=\"col\">status</th><th \
         scope=\"col\">what it is</th></tr>\n",
    );
    for known in problem::KINDS {
        writeln!(
            page,
            "<tr id=\"problem-{}\"><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
            known.word(),
            known.word(),
            known.status(),
            escaped(problem::title(known))
        )?;
    }
    page.push_str("</table></div>\n</section>\n");
    Ok(())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
