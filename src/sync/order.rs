//! Parents before children: the order in which resources are pulled and pushed.

use crate::connector::Table;

/// Sorts tables so that each comes after those it refers to, as far as references do not go in a circle; else in the given order.
pub(super) fn by_reference(tables: Vec<Table>) -> Vec<Table> {
    fn visit(tables: &[Table], at: usize, seen: &mut Vec<bool>, order: &mut Vec<usize>) {
        if std::mem::replace(&mut seen[at], true) {
            return;
        }
        for reference in tables[at].references.iter().chain(&tables[at].form.lists) {
            if let Some(parent) = tables.iter().position(|table| table.resource == reference.resource) {
                visit(tables, parent, seen, order);
            }
        }
        order.push(at);
    }
    let (mut seen, mut order) = (vec![false; tables.len()], Vec::new());
    // What refers to entries of a super-entity comes after the records whose entries those are, whichever they be.
    let (last, first): (Vec<usize>, Vec<usize>) = (0..tables.len()).partition(|at| !tables[*at].form.supers.is_empty());
    for at in first.into_iter().chain(last) {
        visit(&tables, at, &mut seen, &mut order);
    }
    let mut tables: Vec<Option<Table>> = tables.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| tables[at].take()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{connector::Reference, model::Identity};

    fn table(resource: &str, parents: &[&str]) -> Table {
        Table {
            id: 0,
            name: resource.into(),
            resource: resource.into(),
            identity: Identity::Assigned,
            matching: Vec::new(),
            fields: Vec::new(),
            references: parents.iter().map(|parent| Reference { field: (*parent).into(), resource: (*parent).into() }).collect(),
            required: Vec::new(),
            fingerprint: String::new(),
            ready: true,
            bases: false,
            form: crate::connector::Form::default(),
        }
    }

    #[test]
    fn parents_come_first_and_circles_end() {
        let order = |tables: Vec<Table>| by_reference(tables).into_iter().map(|table| table.resource).collect::<Vec<_>>();
        assert_eq!(
            order(vec![table("score", &["match", "team"]), table("match", &["team"]), table("team", &[])]),
            ["team", "match", "score"]
        );
        assert_eq!(order(vec![table("a", &["b"]), table("b", &["a"]), table("c", &["c"])]), ["b", "a", "c"]);
        let mut contact = table("contact", &["pentity"]);
        contact.form.supers = vec!["pentity".into()];
        assert_eq!(order(vec![contact, table("person", &[]), table("pentity", &[])]), ["person", "pentity", "contact"]);
    }
}
