use super::read;
use crate::model::{
    Kind, Limits, Page, SiteId, Time,
    eden::{Document, NOBODY, PARENT, UNDATED},
};

fn parse(inside: &str) -> Document {
    let text = format!("<?xml version='1.0' encoding='utf-8'?>\n<s3xml success=\"true\" domain=\"north\">{inside}</s3xml>");
    read(text.as_bytes(), &["here"], &Limits::default()).unwrap_or_else(|error| panic!("{}", error.chain()))
}

fn cells(page: &Page, at: usize) -> Vec<(&str, Kind, &str)> {
    page.view(&page.records[at]).fields().map(|(name, value)| (name, value.kind, value.text)).collect()
}

#[test]
fn records_of_every_resource_are_read_wherever_they_stand() {
    let document = parse(
        r#"<resource name="org_organisation" uuid="urn:o" mci="1" modified_on="2026-01-02T03:04:05.9">
             <data field="name">Relief &amp;amp; Co</data>
             <resource name="org_office" uuid="urn:f" mci="2"><data field="name" value="&quot;HQ&quot;">HQ</data>
               <reference field="location_id" resource="gis_location"><resource name="gis_location" uuid="urn:l"><data field="lat" value="1.50"/></resource></reference>
             </resource>
           </resource>
           <resource name="org_organisation" uuid="urn:p" deleted="True" replaced_by="urn:o" modified_on="2026-01-02T03:04:06"/>"#,
    );
    let resources: Vec<&str> = document.pages.iter().map(|page| page.resource.as_str()).collect();
    assert_eq!(resources, ["org_organisation", "org_office", "gis_location"]);
    let organisations = &document.pages[0];
    assert_eq!(cells(organisations, 0)[1..], [("name", Kind::Text, "Relief & Co")]);
    let (first, second) = (&organisations.records[0], &organisations.records[1]);
    assert_eq!((first.origin, first.modified_on), (SiteId(uuid::Uuid::nil()), "2026-01-02T03:04:05".parse::<Time>().unwrap()));
    assert_eq!((second.deleted, organisations.view(second).heir()), (true, Some("urn:o")));
    let office = cells(&document.pages[1], 0);
    assert!(office.contains(&(PARENT, Kind::Reference, "urn:o")));
    assert!(office.contains(&("location_id", Kind::Reference, "urn:l")));
    assert_eq!((document.pages[1].records[0].origin, document.pages[1].records[0].modified_on), (NOBODY, UNDATED));
    assert_eq!(cells(&document.pages[2], 0), [("lat", Kind::Real, "1.5")]);
}

#[test]
fn several_references_stay_together_and_an_empty_list_says_nothing() {
    let document = parse(
        r#"<resource name="t" uuid="urn:a"><reference field="f" resource="s" uuid="[&quot;urn:1&quot;, &quot;urn:2&quot;]"/>
           <reference field="g" resource="s" uuid="[]"/><reference field="h" resource="s" uuid=""/></resource>"#,
    );
    assert_eq!(cells(&document.pages[0], 0), [("f", Kind::Json, r#"{"@resource":"s","@uuid":["urn:1","urn:2"]}"#)]);
}

#[test]
fn elements_refer_to_each_other_by_local_names_and_by_prefixed_ones() {
    let document = parse(
        r#"<resource name="o" tuid="x"><data field="name">A</data></resource>
           <resource name="o" uuid="north/7"><data field="name">B</data></resource>
           <resource name="o" uuid="here/urn:8"><data field="name">C</data></resource>
           <resource name="f" uuid="urn:f"><reference field="a" resource="o" tuid="x"/><reference field="b" resource="o" uuid="7"/>
             <reference field="c" resource="o" tuid="gone"/></resource>"#,
    );
    let uids: Vec<String> = document.pages[0].views().map(|view| view.uid().to_owned()).collect();
    assert!(uids[0].starts_with("urn:uuid:"));
    assert_eq!(uids[1..], ["north/7", "urn:8"]);
    assert_eq!(cells(&document.pages[1], 0), [("a", Kind::Reference, uids[0].as_str()), ("b", Kind::Reference, "north/7")]);
}

#[test]
fn an_element_without_a_uid_is_the_same_record_when_it_comes_again() {
    let one = r#"<resource name="o"><data field="name">A</data></resource>"#;
    let other = r#"<resource name="o"><data field="name">B</data></resource>"#;
    let uid = |inside: &str| parse(inside).pages[0].views().next().unwrap().uid().to_owned();
    assert_eq!(uid(one), uid(one));
    assert_ne!(uid(one), uid(other));
}

#[test]
fn of_two_elements_of_one_record_the_last_that_says_something_counts() {
    let document = parse(
        r#"<resource name="o" uuid="urn:a"><data field="n">1</data></resource><resource name="o" uuid="urn:a"><data field="n">2</data></resource>
           <resource name="o" uuid="urn:a"/>"#,
    );
    assert_eq!(document.pages[0].records.len(), 1);
    assert_eq!(cells(&document.pages[0], 0), [("n", Kind::Text, "2")]);
}

#[test]
fn an_element_that_cannot_be_a_record_spares_the_others() {
    let document = parse(
        r#"<resource name="o" uuid="urn:a" modified_on="never"/><resource name="o" uuid="a b"/>
           <resource name="o" uuid="urn:c"><reference field="r" resource="s" uuid="[broken"/></resource>
           <resource name="o" uuid="urn:d"><data field="n">1</data></resource>"#,
    );
    let refused: Vec<&str> = document.refused.iter().map(|refused| refused.uid.as_str()).collect();
    assert_eq!(refused, ["urn:a", "a b", "urn:c"]);
    assert_eq!(document.pages[0].records.len(), 1);
}

#[test]
fn what_is_not_whole_or_not_harmless_is_refused() {
    let bomb = "<!DOCTYPE s [<!ENTITY a \"x\">]><s3xml>&a;</s3xml>";
    for bad in [
        "",
        "  ",
        "<s3xml>",
        "<s3xml><resource name='t' uuid='u'>",
        "<other/>",
        "<s3xml xmlns='http://x'/>",
        "<s3xml/><s3xml/>",
        "<s3xml/>x",
        "<s3xml>&nbsp;</s3xml>",
        bomb,
        "<!DOCTYPE s SYSTEM \"file:///etc/passwd\"><s3xml/>",
        "{\"a\": 1}",
    ] {
        assert!(read(bad.as_bytes(), &[], &Limits::default()).is_err(), "{bad}");
    }
    let deep = format!("<s3xml>{}{}</s3xml>", "<resource name='t' uuid='u'>".repeat(30), "</resource>".repeat(30));
    assert!(read(deep.as_bytes(), &[], &Limits::default()).is_err());
    assert!(read(b"<s3xml/>", &[], &Limits { body: 4, ..Limits::default() }).is_err());
}
