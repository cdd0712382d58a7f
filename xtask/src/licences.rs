//! The licences of everything that is built into the program on this machine, or helps to build or test it.

use std::process::Command;

use serde_json::Value;
use spdx::{Expression, LicenseItem, LicenseReq, ParseMode};

use crate::steps::cargo;

/// What may be used. A package under a choice of licences needs one of these.
const ALLOWED: &[&str] =
    &["0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "Unicode-3.0", "Unicode-DFS-2016", "Zlib"];

/// Packages that may be used under another licence.
///
/// `option-ext` comes with `directories`. The MPL asks for the source of the package itself, unchanged as we use it, and for
/// nothing from the program round it.
const EXCEPTIONS: &[(&str, &str)] = &[("option-ext", "MPL-2.0")];

/// Fails with the names of the packages whose licence is missing, unreadable or not allowed.
pub(crate) fn check() -> Result<(), String> {
    let output =
        cargo(&["metadata", "--format-version", "1", "--filter-platform", &host()?]).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let packages = metadata["packages"].as_array().ok_or("no packages in the metadata")?;
    let refused: Vec<String> = packages.iter().filter_map(refusal).collect();
    if !refused.is_empty() {
        return Err(refused.join("; "));
    }
    println!("    {} packages", packages.len());
    Ok(())
}

fn host() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output().map_err(|error| format!("rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned).ok_or_else(|| "rustc -vV names no host".into())
}

/// Why a package may not be used.
fn refusal(package: &Value) -> Option<String> {
    let name = package["name"].as_str().unwrap_or("?");
    let Some(licence) = package["license"].as_str() else { return Some(format!("{name} names no licence")) };
    match Expression::parse_mode(licence, ParseMode::LAX) {
        Err(_) => Some(format!("{name} has an unreadable licence: {licence}")),
        Ok(expression) if expression.evaluate(|licence| allows(name, licence)) => None,
        Ok(_) => Some(format!("{name} is under {licence}, which is not allowed")),
    }
}

fn allows(name: &str, licence: &LicenseReq) -> bool {
    let LicenseItem::Spdx { id, .. } = &licence.license else { return false };
    licence.addition.is_none() && (ALLOWED.contains(&id.name) || EXCEPTIONS.contains(&(name, id.name)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_package_needs_one_allowed_choice_for_each_part() {
        for (name, licence, allowed) in [
            ("a", json!("MIT"), true),
            ("a", json!("MIT/Apache-2.0"), true),
            ("a", json!("Apache-2.0 / MIT"), true),
            ("a", json!("GPL-3.0-only OR MIT"), true),
            ("a", json!("(MIT OR Apache-2.0) AND Unicode-3.0"), true),
            ("a", json!("Apache-2.0 WITH LLVM-exception OR MIT"), true),
            ("option-ext", json!("MPL-2.0"), true),
            ("a", json!("MPL-2.0"), false),
            ("a", json!("GPL-3.0-or-later"), false),
            ("a", json!("AGPL-3.0"), false),
            ("a", json!("MIT AND GPL-2.0-only"), false),
            ("a", json!("LicenseRef-Mine"), false),
            ("a", json!("as you like"), false),
            ("a", json!(null), false),
        ] {
            assert_eq!(refusal(&json!({"name": name, "license": licence})).is_none(), allowed, "{name}: {licence}");
        }
    }
}
