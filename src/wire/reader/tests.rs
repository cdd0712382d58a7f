use super::*;
use crate::model::{Kind as ValueKind, SiteId};

const OURS: &str = "<s3xml xmlns:e=\"urn:entente:1\" e:resource=\"t\">";

fn limits() -> Limits {
    Limits { body: 10_000, records: 3, ratio: 100, text: 1_000, depth: 5, attributes: 6 }
}

fn kind(document: &[u8]) -> Option<Kind> {
    read(document, &limits()).err().map(|error| error.kind())
}

fn ours(inside: &str) -> Result<Page> {
    read(format!("{OURS}{inside}</s3xml>").as_bytes(), &limits())
}

fn field(data: &str) -> Result<(ValueKind, String)> {
    let page = ours(&format!("<resource name=\"t\" uuid=\"u\">{data}</resource>"))?;
    let view = page.view(&page.records[0]);
    let value = view.get("f").ok_or_else(|| Error::not_found("no field"))?;
    Ok((value.kind, value.text.to_owned()))
}

#[test]
fn a_hostile_document_is_refused() {
    for document in [
        "",
        " ",
        "junk",
        "<!-- only a comment -->",
        "<s3xml>",
        "<s3xml",
        "<s3xml><resource name=\"a\" uuid=\"u\">",
        "<s3xml><resource name=\"a\" uuid=\"u\"></resource>",
        "<s3xml></s3xml><s3xml></s3xml>",
        "<s3xml/><s3xml/>",
        "<s3xml></s3xml>junk",
        "<s3xml></s3xml>&#32;",
        "<s3xml></s3xml><![CDATA[ ]]>",
        "junk<s3xml></s3xml>",
        "&lt;<s3xml></s3xml>",
        "<s3xml></s3xml></s3xml>",
        "<s3xml></S3XML>",
        "<s3json></s3json>",
        "<x:s3xml></x:s3xml>",
        "<s3xml xmlns=\"urn:x\"></s3xml>",
        "<s3xml xmlns:f=\"urn:entente:1\"></s3xml>",
        "<s3xml><resource xmlns:e=\"urn:x\" name=\"a\" uuid=\"u\"/></s3xml>",
        "<s3xml><resource xmlns=\"urn:x\" name=\"a\" uuid=\"u\"/></s3xml>",
        "<s3xml>\u{1}</s3xml>",
        "<s3xml a=\"\u{0}\"></s3xml>",
        "<s3xml><!-- \u{B} --></s3xml>",
        "<s3xml>\u{FFFF}</s3xml>",
        "<s3xml>&#1;</s3xml>",
        "<s3xml>&#0;</s3xml>",
        "<s3xml>&#xFFFE;</s3xml>",
        "<s3xml>&#xD800;</s3xml>",
        "<s3xml>&#x110000;</s3xml>",
        "<s3xml>&#+65;</s3xml>",
        "<s3xml>&#;</s3xml>",
        "<s3xml>&#X41;</s3xml>",
        "<s3xml>&nbsp;</s3xml>",
        "<s3xml>&amp</s3xml>",
        "<s3xml>& </s3xml>",
        "<s3xml a=\"&#1;\"></s3xml>",
        "<s3xml a=\"&y;\"></s3xml>",
        "<s3xml a=\"&\"></s3xml>",
        "<s3xml a=\"<\"></s3xml>",
        "<s3xml a=\"&amp;<\"></s3xml>",
        "<s3xml a></s3xml>",
        "<s3xml a=b></s3xml>",
        "<s3xml a=></s3xml>",
        "<s3xml a=\"></s3xml>",
        "<s3xml =\"a\"></s3xml>",
        "<s3xml a=\"1\"b=\"2\"></s3xml>",
        "<s3xml a=\"1\" a=\"2\"></s3xml>",
        "<s3xml 1a=\"1\"></s3xml>",
        "<s3xml a b=\"1\"></s3xml>",
        "<s3xml><1a/></s3xml>",
        "<s3xml><a!></a!></s3xml>",
        "<s3xml>< a></ a></s3xml>",
        "<s3xml><></></s3xml>",
        "<s3xml><a/b></a/b></s3xml>",
        "<s3xml><a></b></a></s3xml>",
        "<s3xml>]]></s3xml>",
        "<s3xml><!-- a -- b --></s3xml>",
        "<s3xml><!-- ---></s3xml>",
        "<s3xml><![CDATA[</s3xml>",
        "<s3xml><?php evil ?></s3xml>",
        "<?xml-stylesheet href=\"x\"?><s3xml></s3xml>",
        "<!DOCTYPE s3xml><s3xml></s3xml>",
        "<!DOCTYPE a [<!ENTITY x \"lol\"><!ENTITY y \"&x;&x;\">]><s3xml>&y;</s3xml>",
        "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><s3xml>&x;</s3xml>",
        " <?xml version=\"1.0\"?><s3xml></s3xml>",
        "<s3xml><?xml version=\"1.0\"?></s3xml>",
        "<?xml encoding=\"utf-8\"?><s3xml></s3xml>",
        "<?xml version=\"1.0\" evil=\"x\"?><s3xml></s3xml>",
        "<s3xml><resource name=\"a\"/></s3xml>",
        "<s3xml><resource name=\"a\" uuid=\"\"/></s3xml>",
        "<s3xml><resource name=\"a\" uuid=\"a b\"/></s3xml>",
        "<s3xml><resource name=\"a\" uuid=\"u\" modified_on=\"yesterday\"/></s3xml>",
        "<s3xml><resource name=\"a\" uuid=\"u\" deleted=\"True\" replaced_by=\"a b\"/></s3xml>",
        "<s3xml><resource name=\"a\" uuid=\"u\"><data/></resource></s3xml>",
        "<s3xml><resource name=\"a\" uuid=\"u\"><data field=\"\"/></resource></s3xml>",
    ] {
        assert_eq!(kind(document.as_bytes()), Some(Kind::Malformed), "{document:?}");
    }
    assert_eq!(kind(b"<s3xml>\xFF</s3xml>"), Some(Kind::Malformed));
}

#[test]
fn an_encoding_or_version_that_we_do_not_read_is_called_unsupported() {
    assert_eq!(kind(b"<?xml version='1.0' encoding='latin-1'?><s3xml/>"), Some(Kind::Unsupported));
    assert_eq!(kind(b"<?xml version='1.1'?><s3xml/>"), Some(Kind::Unsupported));
    assert_eq!(kind(b"\xFF\xFE<\0s\x003\0"), Some(Kind::Unsupported));
}

#[test]
fn a_document_over_a_limit_is_refused_and_one_at_the_limit_is_not() {
    let record = "<resource name=\"a\" uuid=\"u\"/>";
    let value = |length: usize| {
        format!("<s3xml><resource name=\"a\" uuid=\"u\"><data field=\"f\">{}</data></resource></s3xml>", "x".repeat(length))
    };
    let attribute = |length: usize| format!("<s3xml a=\"{}\"/>", "x".repeat(length));
    let attributes = |count: usize| format!("<s3xml {}/>", (0..count).map(|n| format!("a{n}=\"\" ")).collect::<String>());
    let nested = |depth: usize| format!("<s3xml>{}{}</s3xml>", "<a>".repeat(depth - 1), "</a>".repeat(depth - 1));
    let references = |count: usize| {
        format!("<s3xml><resource name=\"a\" uuid=\"u\"><data field=\"f\">{}</data></resource></s3xml>", "&lt;".repeat(count))
    };
    for (fits, over) in [
        (format!("<s3xml>{}</s3xml>", record.repeat(3)), format!("<s3xml>{}</s3xml>", record.repeat(4))),
        (value(1_000), value(1_001)),
        (references(1_000), references(1_001)),
        (attribute(1_000), attribute(1_001)),
        (attributes(6), attributes(7)),
        (nested(5), nested(6)),
        (format!("<s3xml>{}</s3xml>", " ".repeat(1_000)), format!("<s3xml>{}</s3xml>", " ".repeat(1_001))),
        (format!("<s3xml><!--{}--></s3xml>", " ".repeat(1_000)), format!("<s3xml><!--{}--></s3xml>", " ".repeat(1_001))),
        (format!("<s3xml/>{}", "<!--x-->".repeat(1_249)), format!("<s3xml/>{}", "<!--x-->".repeat(1_250))),
    ] {
        assert_eq!(kind(fits.as_bytes()), None, "{fits:.80}");
        assert_eq!(kind(over.as_bytes()), Some(Kind::TooLarge), "{over:.80}");
    }
}

#[test]
fn a_document_that_names_fields_without_end_is_refused() {
    let fields: String = (0..5_000).map(|n| format!("<data field=\"{n}\"/>")).collect();
    let document = format!("<s3xml><resource name=\"a\" uuid=\"u\">{fields}</resource></s3xml>");
    assert_eq!(read(document.as_bytes(), &Limits::default()).unwrap_err().kind(), Kind::TooLarge);
}

#[test]
fn millions_of_nested_elements_are_refused_at_once() {
    let document = format!("<s3xml>{}", "<a>".repeat(2_000_000));
    assert_eq!(read(document.as_bytes(), &Limits::default()).unwrap_err().kind(), Kind::TooLarge);
}

#[test]
fn harmless_oddities_are_read() {
    for document in [
        "<s3xml/>",
        "\u{FEFF}<?xml version='1.0' encoding='UTF-8' standalone='yes'?>\n<!-- c --><s3xml success='false'></s3xml >\n<!-- c -->",
        "<s3xml\n\ta = \"1\"\r\n b='\"' ><unknown><deeper/></unknown>text</s3xml>",
        "<s3xml xmlns:x=\"urn:x\"><x:y x:z=\"&quot;&apos;&lt;&#x41;&#65;\"/></s3xml>",
    ] {
        let page = read(document.as_bytes(), &limits()).unwrap();
        assert_eq!((page.resource.as_str(), page.records.len()), ("", 0), "{document:?}");
    }
}

#[test]
fn text_is_what_an_xml_parser_gives() {
    for (data, want) in [
        ("<data field=\"f\"></data>", ""),
        ("<data field=\"f\"/>", ""),
        ("<data field=\"f\"> \r\n a\r\rb&#13;\t </data>", " \n a\n\nb\r\t "),
        ("<data field=\"f\">a<!-- c -->b<![CDATA[<&]]>]]&gt;c<b>no</b>d</data>", "ab<&]]>cd"),
        ("<data field=\"f\" e:type=\"text\" value=\"a&#10;b\r\nc\td\n\ne&#9;\">no</data>", "a\nb c d  e\t"),
        ("<data field=\"f\" value=\"hello\">no</data>", "hello"),
        ("<data field=\"f\" value=\"&quot;a\\u0000\\n&quot;\"/>", "a\0\n"),
        ("<data field=\"f\" value=\"&quot;\\ud800&quot;\"/>", "\"\\ud800\""),
        ("<data field=\"f\" value=\"007\"/>", "007"),
        ("<data field=\"f\" value=\"1e999\"/>", "1e999"),
        ("<data field=\"f\" value=\"{x\"/>", "{x"),
        ("<data field=\"f\" value=\"\"/>", ""),
        ("<data field=\"f\" e:enc=\"base64\">AA==</data>", "\0"),
    ] {
        assert_eq!(field(data).unwrap(), (ValueKind::Text, want.to_owned()), "{data}");
    }
}

#[test]
fn a_value_without_a_kind_is_a_json_scalar() {
    for (value, kind, want) in [
        ("42", ValueKind::Integer, "42"),
        (" -0 ", ValueKind::Integer, "0"),
        ("1.50", ValueKind::Real, "1.5"),
        ("1E3", ValueKind::Real, "1000.0"),
        ("-0.0", ValueKind::Real, "-0.0"),
        ("9223372036854775808", ValueKind::Decimal, "9223372036854775808"),
        ("true", ValueKind::Boolean, "true"),
        ("null", ValueKind::Null, ""),
        ("[1, {}]", ValueKind::Json, "[1, {}]"),
        ("01", ValueKind::Text, "01"),
        ("1.", ValueKind::Text, "1."),
        (".5", ValueKind::Text, ".5"),
        ("1e", ValueKind::Text, "1e"),
        ("-", ValueKind::Text, "-"),
        ("True", ValueKind::Text, "True"),
    ] {
        assert_eq!(field(&format!("<data field=\"f\" value=\"{value}\"/>")).unwrap(), (kind, want.to_owned()), "{value}");
    }
}

#[test]
fn a_value_with_a_kind_is_canonical_or_refused() {
    for (data, kind, want) in [
        ("e:type=\"null\"/>", ValueKind::Null, ""),
        ("e:type=\"integer\">+7</data>", ValueKind::Integer, "7"),
        ("e:type=\"decimal\" value=\"1.50\"/>", ValueKind::Decimal, "1.5"),
        ("e:type=\"real\" value=\"NaN\"/>", ValueKind::Real, "NaN"),
        ("e:type=\"bytes\" e:enc=\"base64\">AAE=</data>", ValueKind::Bytes, "AAE="),
        ("e:type=\"json\" e:enc=\"base64\">WyLvv78iXQ==</data>", ValueKind::Json, "[\"\u{FFFF}\"]"),
    ] {
        assert_eq!(field(&format!("<data field=\"f\" {data}")).unwrap(), (kind, want.to_owned()), "{data}");
    }
    for data in [
        "e:type=\"null\">x</data>",
        "e:type=\"integer\" value=\"1.0\"/>",
        "e:type=\"reference\" value=\"u\"/>",
        "e:type=\"of tomorrow\" value=\"u\"/>",
        "e:enc=\"rot13\">x</data>",
        "e:enc=\"base64\">/w==</data>",
        "e:enc=\"base64\">A</data>",
        "e:type=\"bytes\" e:enc=\"base64\"> AAE=</data>",
    ] {
        assert_eq!(field(&format!("<data field=\"f\" {data}")).unwrap_err().kind(), Kind::Malformed, "{data}");
    }
}

#[test]
fn a_record_says_who_wrote_it_and_what_it_has_seen() {
    let (a, b) = ("00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b");
    let record = |attributes: &str| {
        let page = ours(&format!("<resource name=\"t\" uuid=\"u\" {attributes}/>"))?;
        Ok::<_, Error>(page.records[0].clone())
    };
    let full = record(&format!("e:version=\"{a}.1:2 {b}.3:4\" e:origin=\"{a}\" e:author=\"{b}\" e:settled=\"{b} {a} {b}\"")).unwrap();
    assert_eq!(full.version.to_string(), format!("{a}.1:2 {b}.3:4"));
    let site = |text: &str| text.parse::<SiteId>().unwrap();
    assert_eq!((full.origin, full.author, full.settled), (site(a), site(b), vec![site(a), site(b)]));
    assert_eq!(record(&format!("e:origin=\"{a}\"")).unwrap().author, site(a));
    for bad in [
        format!("e:version=\"{b}.3:4 {a}.1:2\""),
        format!("e:version=\"{a}.1:2 {a}.1:3\""),
        format!("e:version=\"{a}.1:0\""),
        format!("e:version=\"{a}.1:02\""),
        format!("e:version=\"{a}.1:9223372036854775808\""),
        format!("e:version=\"{a}:1\""),
        format!("e:version=\" {a}.1:1\""),
        "e:origin=\"nobody\"".to_owned(),
        format!("e:settled=\"{a},{b}\""),
    ] {
        assert_eq!(record(&bad).unwrap_err().kind(), Kind::Malformed, "{bad}");
    }
}

#[test]
fn a_page_of_ours_holds_records_of_one_resource_with_each_field_once() {
    for inside in [
        "<resource name=\"other\" uuid=\"u\"/>",
        "<resource uuid=\"u\"/>",
        "<resource name=\"t\" uuid=\"u\"><data field=\"f\"/><data field=\"g\"/><data field=\"f\"/></resource>",
        "<resource name=\"t\" uuid=\"u\"><reference field=\"f\" resource=\"t\"/></resource>",
        "<resource name=\"t\" uuid=\"u\"><reference field=\"f\" uuid=\"v\"/></resource>",
        "<resource name=\"t\" uuid=\"u\"><reference field=\"f\" resource=\"t\" uuid=\"[]  \"/></resource>",
    ] {
        assert_eq!(ours(inside).unwrap_err().kind(), Kind::Malformed, "{inside}");
    }
    for root in ["e:more=\"maybe\"", "e:run=\"-1\"", "e:run=\"\"", "e:site=\"x\"", "e:digest=\"\"", "e:digest=\"00\""] {
        let document = format!("<s3xml xmlns:e=\"urn:entente:1\" {root}></s3xml>");
        assert_eq!(kind(document.as_bytes()), Some(Kind::Malformed), "{root}");
    }
}

#[test]
fn names_are_told_apart_however_they_are_written_and_ordered() {
    let page = ours(concat!(
        "<resource name=\"t\" uuid=\"u\"><data field=\"a&amp;b\">1</data><data field=\"a&amp;amp;b\">2</data><data field=\"c d\">3</data></resource>",
        "<resource name=\"t\" uuid=\"v\"><data field=\"a&#38;b\">4</data><data field=\"c\nd\">5</data><data field=\"a&amp;amp;b\">6</data></resource>",
        "<resource name=\"t\" uuid=\"w\"><data field=\"c d\">7</data><data field=\"a&amp;b\">8</data></resource>",
    ));
    let page = page.unwrap();
    let of = |record: usize, name| page.view(&page.records[record]).get(name).map(|value| value.text);
    assert_eq!([of(0, "a&b"), of(0, "a&amp;b"), of(0, "c d")], [Some("1"), Some("2"), Some("3")]);
    assert_eq!([of(1, "a&b"), of(1, "a&amp;b"), of(1, "c d")], [Some("4"), Some("6"), Some("5")]);
    assert_eq!([of(2, "a&b"), of(2, "a&amp;b"), of(2, "c d")], [Some("8"), None, Some("7")]);
}

#[test]
fn a_retraction_has_no_content_and_is_no_deletion() {
    let record = |said: &str| ours(&format!("<resource name=\"t\" uuid=\"u\" {said}><data field=\"a\">secret</data></resource>"));
    let page = record("e:retracted=\"true\"").unwrap();
    assert!(page.records[0].retracted && page.view(&page.records[0]).cells().is_empty());
    assert!(!record("e:retracted=\"false\"").unwrap().records[0].retracted);
    assert!(record("e:retracted=\"true\" deleted=\"True\"").is_err());
    assert!(record("e:retracted=\"yes\"").is_err());
}
