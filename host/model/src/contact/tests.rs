//! Rows of contacts in realistic files.

use serde_json::{Value, json};

use super::*;
use promoflow_tabular::{Format, Row, RowError, UploadError};

fn read_as(text: &str, format: Format) -> Result<Vec<Row<NewContact>>, UploadError> {
    let mut reader = ContactReader::new(text.as_bytes(), Some(format))?;
    let mut rows = Vec::new();
    while let Some(row) = reader.next_row()? {
        rows.push(row);
    }
    Ok(rows)
}

fn accepted(rows: Result<Vec<Row<NewContact>>, UploadError>) -> Vec<NewContact> {
    let accepted = |row| match row {
        Row::Accepted(contact) => contact,
        Row::Rejected(errors) => panic!("{errors:?}"),
    };
    rows.unwrap().into_iter().map(accepted).collect()
}

fn row_errors(rows: Result<Vec<Row<NewContact>>, UploadError>) -> Vec<String> {
    let rejected = rows.unwrap().into_iter().filter_map(|row| match row {
        Row::Rejected(errors) => Some(errors),
        Row::Accepted(_) => None,
    });
    let shown = |e: RowError| format!("{} {}: {}", e.line, e.field, e.message);
    rejected.flatten().map(shown).collect()
}

#[test]
fn csv_and_json_give_the_same_contact() {
    let csv = "Contact ID;External-ID;EmailAddress;PhoneNumber;tokens.web-push;Language;Time zone;\
               consent.email;consent.sms;firstName;fields.email 2\n\
               A-1;7;ann@example.com;+38 050 123-45-67;w1;uk, en;Europe/Kyiv;yes;0;Ann;second\n";
    let json = json!({
        "contact": "A-1", "externalId": 7, "email": "ann@example.com", "phone": "+380501234567",
        "tokens": { "web-push": "w1", "telegram": null }, "languages": ["uk", "en"],
        "timeZone": "Europe/Kyiv", "consent": { "email": true, "sms": false },
        "fields": { "firstName": "Ann" }, "fields.email 2": "second",
    });
    let [csv] = accepted(read_as(csv, Format::Csv)).try_into().unwrap();
    let [mut json] = accepted(read_as(&json.to_string(), Format::Json))
        .try_into()
        .unwrap();
    json.line = csv.line;
    assert_eq!(csv, json);
    assert_eq!(csv.addresses[&AddressKind::Phone], "+380501234567");
    assert!(!csv.consent[&ChannelKind::Sms]);
    assert_eq!(csv.fields["email 2"], "second");
}

#[test]
fn rejects_rounded_numbers_as_identifiers() {
    for number in ["89014103211118510720", "1.5"] {
        for key in ["contact", "externalId", "phone"] {
            let text = format!("{{\"{key}\": {number}}}");
            let row_errors = row_errors(read_as(&text, Format::Json));
            assert!(row_errors[0].contains("in quotes"), "{row_errors:?}");
        }
    }
    let text = "{\"contact\": 18446744073709551615}";
    let [known] = accepted(read_as(text, Format::Json)).try_into().unwrap();
    assert_eq!(known.id.as_deref(), Some("18446744073709551615"));
}

#[test]
fn reads_all_shapes_of_json_and_keeps_field_values() {
    let one = json!({ "id": "A", "orders": 3, "vip": true, "tags": ["a", { "b": null }] });
    let texts = [
        one.to_string(),
        format!("[{one}]"),
        json!({ "contacts": [one] }).to_string(),
    ];
    for text in texts {
        let [contact] = accepted(read_as(&text, Format::Json)).try_into().unwrap();
        let fields = Value::Object(contact.fields);
        let expected = json!({ "orders": 3, "vip": true, "tags": ["a", { "b": null }] });
        assert_eq!(fields, expected, "{text}");
    }
}

#[test]
fn empty_cells_change_nothing() {
    let csv = "email,languages,firstName,consent.email\nann@example.com,,,\n";
    let [contact] = accepted(read_as(csv, Format::Csv)).try_into().unwrap();
    assert_eq!(contact.languages, None);
    assert!(contact.fields.is_empty() && contact.consent.is_empty());
}

#[test]
fn errors_name_line_and_field_but_no_address() {
    let csv = "email,phone,timeZone,languages,consent.sms\n\
               secret address,12,Mars,!,perhaps\n\
               ,,,,\n\
               ,,UTC,,\n";
    let row_errors = row_errors(read_as(csv, Format::Csv));
    let begins = [
        "2 email: expected an email address",
        "2 phone: expected a phone number",
        "2 timeZone: `Mars` is not a time zone",
        "2 languages: `!` is not a language",
        "2 consent.sms: `perhaps` is neither true nor false",
        "4 : nothing identifies this contact",
    ];
    assert_eq!(row_errors.len(), begins.len(), "{row_errors:?}");
    for (fault, begin) in row_errors.iter().zip(begins) {
        assert!(fault.starts_with(begin), "{fault}");
        assert!(!fault.contains("secret"), "{fault}");
    }
}

#[test]
fn rejects_misspelt_names_instead_of_adding_fields() {
    let header = |text: &str| read_as(text, Format::Csv).unwrap_err().to_string();
    let refused = header("contact,emial\nA,x\n");
    assert!(
        refused.contains("did you mean `email`?") && refused.contains("`fields.emial`"),
        "{refused}"
    );
    assert!(header("contact,consent.fax\n").contains("the channels are email, sms"));
    assert!(header("firstName,city\nAnn,Kyiv\n").contains("identifies a contact"));
    assert!(header("email,EmailAddress\n").contains("appears twice"));
    let row = row_errors(read_as(
        r#"{"contact": "A", "tokens": {"pager": "1"}}"#,
        Format::Json,
    ));
    assert!(row[0].contains("the tokens are mobile-push"), "{row:?}");
    let call = read_as(
        r#"{"contacts": [], "email": "a@example.com"}"#,
        Format::Json,
    );
    assert!(
        call.unwrap_err()
            .to_string()
            .contains("`email` is next to `contacts`")
    );
}

#[test]
fn tries_the_kinds_of_a_name_in_the_order_of_events() {
    let names = ContactKey::Any("+38 050 123-45-67".into()).candidates();
    assert_eq!(names.len(), 3);
    assert_eq!(
        names[2],
        ContactKey::Address(AddressKind::Phone, "+380501234567".into())
    );
    let names = ContactKey::Any("ann@example.com".into()).candidates();
    assert_eq!(
        names[2],
        ContactKey::Address(AddressKind::Email, "ann@example.com".into())
    );
    // Any text without spaces may be a token.
    assert_eq!(names.len(), 6);
}

#[test]
fn placeholders_identify_no_contact() {
    let csv = "externalId,email,phone,firstName\nnull,NULL,undefined,Ann\n\
               null,ann@example.com,n/a,null\n\"  \",bob@example.com,,Bob\n";
    let rows = read_as(csv, Format::Csv);
    assert_eq!(row_errors(rows).len(), 1);
    let json = json!([
        { "externalId": "null", "email": "ann@example.com", "tokens": { "web-push": "None" } },
        { "externalId": null, "email": "bob@example.com" },
    ]);
    let found = accepted(read_as(&json.to_string(), Format::Json));
    assert!(found.iter().all(|one| one.external_id.is_none()));
    assert!(found.iter().all(|one| one.addresses.len() == 1));
}

#[test]
fn reads_contact_files_like_code_files() {
    let csv = |text: &str| read_as(text, Format::Csv);
    for text in [
        "sep=;\nE-mail;first\nann@example.com;Ann\n",
        "\u{feff}Электронная почта,first\n\u{200B}ann@example.com\u{A0},Ann\n",
        "\"email\"\t\"first\"\n=\"ann@example.com\"\tAnn\n",
    ] {
        let [contact] = &accepted(csv(text))[..] else {
            panic!("{text:?}")
        };
        assert_eq!(
            contact.addresses[&AddressKind::Email],
            "ann@example.com",
            "{text:?}"
        );
        assert_eq!(contact.fields["first"], "Ann");
    }
    for (text, expected) in [
        ("email|first\nann@example.com|Ann", "--delimiter '|'"),
        (
            "Contacts of spring\nemail,first\nann@example.com,Ann",
            "remove the lines above it",
        ),
        ("<html>", "HTML"),
        ("{\"error\": 1}", "JSON"),
        ("PK\u{3}\u{4}", "XLSX"),
        (
            "email,phone\nann@example.com,\nemail,phone\n",
            "repeats the header",
        ),
    ] {
        let error = csv(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    let rounded = row_errors(csv("externalId,email\n1.23457E+11,ann@example.com\n"));
    assert!(rounded[0].contains("rounded"), "{rounded:?}");
    // Characters that join letters are kept in texts that people read.
    let name = "\u{645}\u{6CC}\u{200C}\u{62E}";
    let joined = accepted(csv(&format!("email,first\nann@example.com,{name}\n")));
    assert_eq!(joined[0].fields["first"], name);
}
