//! Promo codes in the format that Yespo's clients use.

use serde_json::json;

use crate::service::{TestApp, ok, problem};

const CODES: &str = "/api/v1/promocodes";

#[test]
fn a_yespo_upload_is_echoed_and_its_codes_exist() {
    let app = TestApp::new();
    let service = app.serve();
    let call = r#"{"promocodes": ["A1", "A2"], "expirationDate": "2999-12-15T20:15", "discount": 10, "type": "type1", "inUse": false}"#;
    let request = service.client.post(format!("{}{CODES}", service.url));
    let request = request.basic_auth("any user", Some(&service.key));
    let answer = request
        .header("Content-Type", "application/json")
        .body(call)
        .send()
        .unwrap();
    assert_eq!(answer.status(), 200);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(answer.text().unwrap(), call);

    let upload = service.at(&location);
    assert_eq!(upload["inserted"], 2);
    assert_eq!(upload["state"], "completed");
    let codes = service.at(&format!(
        "{CODES}?type=type1&discount=10&inUse=false&activeDueDays=7"
    ));
    assert_eq!(codes[0]["code"], "A1");
    assert_eq!(codes[1]["expirationDate"], "2999-12-15T20:15");
    assert_eq!(service.at(&format!("{CODES}/count?type=type1"))["count"], 2);
    assert_eq!(service.at(&format!("{CODES}/count?type=other"))["count"], 0);
}

#[test]
fn json_is_all_or_nothing_and_csv_inserts_its_valid_rows() {
    let app = TestApp::new();
    let service = app.serve();
    let list = json!([{ "code": "B1", "discount": 5 }, { "code": "B2", "discount": 500 }]);
    let refused = service.post_json(CODES, &list).send().unwrap();
    let reply = problem(refused, 422, "invalid-content");
    assert_eq!(reply["errors"][0]["field"], "discount");
    assert_eq!(service.at(&format!("{CODES}/count"))["total"], 0);
    ok(service
        .post_json(CODES, &json!([{ "code": "B1", "discount": 5 }]))
        .send()
        .unwrap());

    let csv = "code,discount\nC1,5\nC2,500\n";
    let upload = || {
        service
            .post(CODES)
            .header("Content-Type", "text/csv")
            .body(csv)
    };
    let answer = ok(upload().send().unwrap());
    assert_eq!(answer["inserted"], 1);
    assert_eq!(answer["rejected"], 1);
    assert_eq!(answer["errors"][0]["line"], 3);
    let path = format!("{CODES}?strict=true");
    let strict = service
        .post(&path)
        .header("Content-Type", "text/csv")
        .body("code,discount\nD1,5\nD2,500\n");
    problem(strict.send().unwrap(), 422, "invalid-content");
    assert_eq!(service.at(&format!("{CODES}/count"))["total"], 2);
}

#[test]
fn json_errors_name_their_item() {
    let app = TestApp::new();
    let service = app.serve();
    let faults = |body: &str| {
        let request = service
            .post(CODES)
            .header("Content-Type", "application/json");
        let refused = request.body(body.to_owned()).send().unwrap();
        let reply = problem(refused, 422, "invalid-content");
        let faults = reply["errors"].as_array().unwrap().iter();
        let shown = |one: &serde_json::Value| {
            let place = (
                one["path"].as_str().unwrap(),
                one["field"].as_str().unwrap(),
            );
            format!("{} {} {}:{}", place.0, place.1, one["line"], one["column"])
        };
        faults.map(shown).collect::<Vec<_>>()
    };
    // Whether the attributes come before or after the codes.
    let call =
        r#"{"promocodes":["OK-1","OK-2",""," "],"expirationDate":"2999-12-31","discount":5}"#;
    assert_eq!(
        faults(call),
        ["promocodes[2] code 1:30", "promocodes[3] code 1:33"]
    );
    let call = r#"{"type":"a","inUse":false,"expirationDate":"2999-12-31","discount":5,"promocodes":["OK-1",""]}"#;
    assert_eq!(faults(call), ["promocodes[1] code 1:91"]);
    let list =
        r#"[{"code":"B1","discount":5},{"code":"B2","discount":500},{"code":"B1","discount":6}]"#;
    assert_eq!(
        faults(list),
        ["[1].discount discount 1:29", "[2].discount discount 1:58"]
    );
}

#[test]
fn a_form_uploads_its_file() {
    let app = TestApp::new();
    let service = app.serve();
    let boundary = "something";
    let body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"spring.csv\"\r\n\
         Content-Type: text/csv\r\n\r\nE1\nE2\n\r\n--{boundary}--\r\n"
    );
    let path = format!("{CODES}?type=spring&discount=20&expirationDate=2999-12-31");
    let form = format!("multipart/form-data; boundary={boundary}");
    let answer = ok(service
        .post(&path)
        .header("Content-Type", form)
        .body(body)
        .send()
        .unwrap());
    assert_eq!(answer["inserted"], 2);
    assert_eq!(answer["source"], "spring.csv");
    assert_eq!(service.at(&format!("{CODES}/E1"))["type"], "spring");
}

#[test]
fn p9_deleting_a_code_fails_with_advice() {
    let app = TestApp::new();
    let service = app.serve();
    service.codes(1);
    let url = format!("{}{CODES}/C-00000", service.url);
    let answer = service
        .client
        .delete(url)
        .bearer_auth(&service.key)
        .send()
        .unwrap();
    assert!(answer.headers()["allow"].to_str().unwrap().contains("GET"));
    let reply = problem(answer, 405, "codes-are-not-deleted");
    assert!(reply["detail"].as_str().unwrap().contains("inUse"));
    let all = service.client.delete(format!("{}{CODES}", service.url));
    let answer = all.bearer_auth(&service.key).send().unwrap();
    assert_eq!(answer.headers()["allow"], "GET,HEAD,POST");
    problem(answer, 405, "codes-are-not-deleted");

    let named = json!({ "promocodes": ["C-00000", "none"] });
    let done = ok(service
        .post_json(&format!("{CODES}/retire"), &named)
        .send()
        .unwrap());
    assert_eq!(
        done,
        json!({ "retired": 1, "unknown": ["none"], "alreadyUsed": [] })
    );
    assert_eq!(service.at(&format!("{CODES}/C-00000"))["inUse"], true);
    ok(service
        .post_json(&format!("{CODES}/reinstate"), &named)
        .send()
        .unwrap());
    assert_eq!(service.at(&format!("{CODES}/C-00000"))["inUse"], false);
}

#[test]
fn pagination_reaches_every_item_once() {
    let app = TestApp::new();
    let service = app.serve();
    service.codes(25);
    let mut path = format!("{CODES}?type=birthday&limit=10");
    let mut codes = Vec::new();
    loop {
        let answer = service.get(&path).send().unwrap();
        let link = answer
            .headers()
            .get("link")
            .map(|link| link.to_str().unwrap().to_owned());
        codes.extend(ok(answer).as_array().unwrap().clone());
        let Some(link) = link else { break };
        path = link
            .strip_prefix('<')
            .unwrap()
            .split('>')
            .next()
            .unwrap()
            .to_owned();
        assert!(path.contains("type=birthday"), "{path}");
    }
    assert_eq!(codes.len(), 25);
    assert_eq!(codes[24]["code"], "C-00024");
}

#[test]
fn request_errors_are_problem_documents() {
    let app = TestApp::new();
    let service = app.serve();
    let reply = |request: reqwest::blocking::RequestBuilder| request.send().unwrap();
    for (query, field) in [
        ("inUse=maybe", "inUse"),
        ("activeDueDays=40000", "activeDueDays"),
        ("tpye=x", "tpye"),
    ] {
        let answer = reply(service.get(&format!("{CODES}?{query}")));
        assert_eq!(problem(answer, 400, "invalid-request")["field"], field);
    }
    problem(
        reply(service.get(&format!("{CODES}?discount=100"))),
        400,
        "invalid-request",
    );
    problem(
        reply(service.get(&format!("{CODES}?limit=0"))),
        400,
        "invalid-request",
    );
    problem(
        reply(service.get(&format!("{CODES}/none"))),
        404,
        "not-found",
    );
    problem(reply(service.get("/api/v1/none")), 404, "not-found");
    let put = service.client.put(format!("{}{CODES}", service.url));
    let put = reply(put.bearer_auth(&service.key));
    assert!(put.headers()["allow"].to_str().unwrap().contains("POST"));
    problem(put, 405, "method-not-allowed");
    let xml = service
        .post(CODES)
        .header("Content-Type", "text/xml")
        .body("<a/>");
    problem(reply(xml), 415, "unsupported-media-type");
    let broken = service
        .post(CODES)
        .header("Content-Type", "application/json")
        .body("{\n\"a\": ]");
    let broken = problem(reply(broken), 400, "invalid-request");
    assert_eq!(broken["errors"][0]["line"], 2);
    let number = service.post_json(&format!("{CODES}/retire"), &json!({ "promocodes": [7] }));
    let number = problem(reply(number), 400, "invalid-request");
    assert_eq!(number["field"], "promocodes[0]");
    let list = service.post_json(&format!("{CODES}/retire"), &json!(["A"]));
    let list = problem(reply(list), 400, "invalid-request");
    assert_eq!(list["detail"], "the body: expected an object");
}

#[test]
fn attributes_of_a_call_apply_to_all_of_its_codes() {
    let app = TestApp::new();
    let service = app.serve();
    let whole = json!({ "promocodes": ["A1"], "expirationDate": "2999-12-31", "discount": 10 });
    for field in ["expirationDate", "discount"] {
        let mut call = whole.clone();
        call[field] = json!(null);
        let refused = service.post_json(CODES, &call).send().unwrap();
        assert_eq!(problem(refused, 400, "invalid-request")["field"], field);
    }
    assert_eq!(service.at(&format!("{CODES}/count"))["total"], 0);
    ok(service.post_json(CODES, &whole).send().unwrap());
    assert_eq!(service.at(&format!("{CODES}/A1"))["type"], "General");
}

#[test]
fn a_dry_run_reports_the_result_and_changes_nothing() {
    let app = TestApp::new();
    let service = app.serve();
    service.codes(2);
    let call = json!({ "promocodes": ["C-00000", "N-1"], "expirationDate": "2999-12-31",
                       "discount": 20, "type": "birthday" });
    let csv = "code,discount\nN-2,5\nN-3,500\nC-00001,5\n";
    let send = |path: &str, media: &str, body: String| {
        let request = service.post(path).header("Content-Type", media);
        request.body(body).send().unwrap()
    };
    let dry = format!("{CODES}?dryRun=true");
    let reply = send(&dry, "application/json", call.to_string());
    assert!(!reply.headers().contains_key("location"));
    let reply = ok(reply);
    assert_eq!(
        (&reply["inserted"], &reply["updated"]),
        (&json!(1), &json!(1)),
        "{reply}"
    );
    let reply = ok(send(&dry, "text/csv", csv.to_owned()));
    assert_eq!(
        (&reply["inserted"], &reply["rejected"]),
        (&json!(1), &json!(1)),
        "{reply}"
    );
    assert_eq!(reply["errors"][0]["line"], 3);
    let contacts = json!([{ "contact": "A-1", "email": "ann@example.com" }]);
    let path = "/api/v1/contacts?dryRun=true";
    let reply = ok(send(path, "application/json", contacts.to_string()));
    assert_eq!(reply["inserted"], 1);
    assert_eq!(service.at("/api/v1/contacts"), json!([]));
    assert_eq!(service.at(&format!("{CODES}/count"))["total"], 2);
    assert_eq!(service.at(&format!("{CODES}/C-00000"))["discount"], 10);
    assert_eq!(service.at("/api/v1/uploads").as_array().unwrap().len(), 1);
    // After the dry run the upload works.
    assert_eq!(ok(send(CODES, "text/csv", csv.to_owned()))["inserted"], 1);
    app.assert_audit();
}
