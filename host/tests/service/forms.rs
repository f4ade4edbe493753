//! Uploads as forms: the fields they may have, and incomplete requests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::blocking::Response;
use serde_json::Value;

use crate::service::{Service, TestApp, ok, problem};

const CODES: &str = "/api/v1/promocodes";
const FORM: &str = "multipart/form-data; boundary=between";

/// Returns a form; a field called `file` is a file.
fn form(fields: &[(&str, &str)]) -> String {
    let part = |(name, value): &(&str, &str)| {
        let file = match *name {
            "file" => "; filename=\"codes.csv\"",
            _ => "",
        };
        format!(
            "--between\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n"
        )
    };
    let parts: String = fields.iter().map(part).collect();
    format!("{parts}--between--\r\n")
}

fn send(service: &Service, query: &str, body: String) -> Response {
    let request = service.post(&format!("{CODES}{query}"));
    request
        .header("Content-Type", FORM)
        .body(body)
        .send()
        .unwrap()
}

#[test]
fn incomplete_forms_time_out_without_delaying_others() {
    let app = TestApp::new();
    let service = app.serve_with(&["--body-timeout", "1"]);
    let address = service.url.strip_prefix("http://").unwrap();
    let begun = "--between\r\nContent-Disposition: form-data; name=\"type\"\r\n\r\nspri";
    // As many as the service accepts at one time.
    let mut idle: Vec<TcpStream> = ["", "", "--betw", begun]
        .iter()
        .map(|sent| {
            let mut stream = TcpStream::connect(address).unwrap();
            let head = format!(
                "POST {CODES} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
                 Content-Type: {FORM}\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n{sent}",
                service.key
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    for stream in &mut idle {
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 408"), "{reply}");
        assert!(reply.contains("request-timeout"), "{reply}");
    }
    let taken = ok(send(&service, "", form(&[("file", "F-1\n")])));
    assert_eq!(taken["inserted"], 1);
}

#[test]
fn the_size_before_the_file_of_a_form_is_limited() {
    let app = TestApp::new();
    let service = app.serve();
    let long = "x".repeat(3 << 20);
    // A form may begin with text that belongs to no field.
    let preface = format!("{long}\r\n{}", form(&[("file", "F-1\n")]));
    let reply = problem(send(&service, "", preface), 413, "body-too-large");
    assert!(
        reply["detail"]
            .as_str()
            .unwrap()
            .contains("before the file")
    );
    let unknown = form(&[("colour", &long), ("file", "F-1\n")]);
    let reply = problem(send(&service, "", unknown), 400, "invalid-request");
    assert_eq!(reply["field"], "colour");
    let known = form(&[("type", &long), ("file", "F-1\n")]);
    let reply = problem(send(&service, "", known), 400, "invalid-request");
    assert_eq!(reply["field"], "type");
    assert_eq!(service.at(&format!("{CODES}/count"))["total"], 0);
}

#[test]
fn form_fields_work_like_query_parameters() {
    let app = TestApp::new();
    let service = app.serve();
    let stated = [
        ("type", "birthday"),
        ("discount", "10"),
        ("expirationDate", "2999-01-01"),
        ("inUse", ""),
        ("source", "spring"),
    ];
    let with = |file: &'static str| [&stated[..], &[("file", file)]].concat();
    let upload = ok(send(&service, "?discount=10", form(&with("F-1\n"))));
    assert_eq!(upload["source"], "spring");
    let code = service.at(&format!("{CODES}/F-1"));
    assert_eq!(code["type"], "birthday");
    assert_eq!(code["discount"], 10);
    assert_eq!(code["inUse"], false);
    assert!(code["expirationDate"].as_str().unwrap().starts_with("2999"));

    let dry = [("dryRun", "true"), ("file", "F-2\n")];
    assert_eq!(ok(send(&service, "", form(&dry)))["inserted"], 1);
    let strict = [
        ("strict", "true"),
        ("file", "code,discount\nF-2,5\nF-3,500\n"),
    ];
    problem(send(&service, "", form(&strict)), 422, "invalid-content");
    assert_eq!(service.at(&format!("{CODES}/count"))["total"], 1);
}

#[test]
fn rejects_forms_with_unknown_fields() {
    let app = TestApp::new();
    let service = app.serve();
    let field = |query: &str, fields: &[(&str, &str)]| -> Value {
        let reply = send(&service, query, form(fields));
        problem(reply, 400, "invalid-request")["field"].clone()
    };
    let file = ("file", "F-1\n");
    assert_eq!(field("", &[("tpye", "spring"), file]), "tpye");
    assert_eq!(field("", &[("discount", "500"), file]), "discount");
    assert_eq!(field("", &[("inUse", "maybe"), file]), "inUse");
    assert_eq!(field("?type=a", &[("type", "b"), file]), "type");
    assert_eq!(field("", &[("type", "spring")]), "file");
    assert_eq!(field("", &[file, ("type", "spring")]), "type");
    assert_eq!(service.at(&format!("{CODES}/count"))["total"], 0);
}

#[test]
fn a_form_with_other_fields_under_a_known_key_is_another_request() {
    let app = TestApp::new();
    let service = app.serve();
    let send = |kind: &str| {
        let request = service.post(CODES).header("Content-Type", FORM);
        let body = form(&[("type", kind), ("file", "F-1\n")]);
        let request = request.header("Idempotency-Key", "f-1").body(body);
        request.send().unwrap()
    };
    let first = ok(send("spring"));
    let again = send("spring");
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(ok(again), first);
    problem(send("autumn"), 422, "idempotency-key-reused");
}

#[test]
fn query_and_form_fill_missing_columns() {
    let app = TestApp::new();
    let service = app.serve();
    let csv = |query: &str, body: &str| {
        let request = service.post(&format!("{CODES}{query}"));
        let request = request.header("Content-Type", "text/csv");
        request.body(body.to_owned()).send().unwrap()
    };
    let file = "Angebot;Until;Notes\nAB12;01/02/2040;x\nAB13;01/02/2040;y\n";
    let reply = problem(csv("", file), 422, "invalid-content");
    assert!(
        reply["detail"].as_str().unwrap().contains("column="),
        "{reply}"
    );
    let columns = "?column=code%3DAngebot&column=expirationDate%3DUntil&column=ignore%3DNotes";
    let reply = problem(csv(columns, file), 422, "invalid-content");
    assert_eq!(reply["errors"][0]["field"], "expirationDate");
    assert!(
        reply["detail"].as_str().unwrap().contains("dateFormat"),
        "{reply}"
    );
    let taken = ok(csv(
        &format!("{columns}&dateFormat=DD/MM/YYYY&dryRun=true"),
        file,
    ));
    assert_eq!(taken["inserted"], 2);
    let stated = form(&[
        ("column", "code=Angebot"),
        ("column", "expirationDate=Until"),
        ("column", "ignore=Notes"),
        ("dateFormat", "DD/MM/YYYY"),
        ("file", file),
    ]);
    assert_eq!(ok(send(&service, "", stated))["inserted"], 2);
    let shown = service.at(&format!("{CODES}/AB12"));
    assert_eq!(shown["expirationDate"], "2040-02-01T23:59");

    let taken = ok(csv(
        "?noHeader=true&delimiter=%7C&column=code%3D2",
        "1|Angebot\n2|Rabatt\n",
    ));
    assert_eq!(taken["inserted"], 2);
    assert_eq!(
        taken["warnings"],
        serde_json::json!(["no heading: 2 codes"])
    );
    let upload = service.at(&format!(
        "/api/v1/uploads/{}",
        taken["upload"].as_str().unwrap()
    ));
    assert_eq!(upload["warnings"], taken["warnings"]);
    for (query, field) in [
        ("?delimiter=ab", "delimiter"),
        ("?dateFormat=DD", "dateFormat"),
        ("?column=code", "column"),
        ("?noHeader=perhaps", "noHeader"),
    ] {
        let reply = problem(csv(query, "code\nA1\n"), 400, "invalid-request");
        assert_eq!(reply["field"], field, "{reply}");
    }
    let html = csv("?noHeader=true", "<html><body>Sign in</body></html>");
    assert!(
        problem(html, 422, "invalid-content")["detail"]
            .as_str()
            .unwrap()
            .contains("HTML")
    );

    // Of the report, the history keeps the warnings.
    let call = serde_json::json!([{ "code": "angebot" }, { "code": "ab12", "expirationDate": "2020-01-01" }]);
    let echoed = service.post_json(CODES, &call).send().unwrap();
    let location = echoed.headers()["location"].to_str().unwrap().to_owned();
    let warnings = service.at(&location)["warnings"].to_string();
    assert!(warnings.contains("1 of 2 codes have expired"), "{warnings}");
    assert!(warnings.contains("`AB12` and `ab12`"), "{warnings}");

    let contacts = service
        .post("/api/v1/contacts?delimiter=%7C&column=email%3DMail&column=ignore%3DNotes")
        .header("Content-Type", "text/csv")
        .body("sep=|\nMail|Notes\n\u{200B}ann@example.com|x\n");
    let made = ok(contacts.send().unwrap());
    assert_eq!(
        (&made["inserted"], &made["warnings"]),
        (&serde_json::json!(1), &serde_json::json!([]))
    );
    app.assert_audit();
}
