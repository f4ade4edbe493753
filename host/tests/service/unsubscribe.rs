//! Unsubscribing with the one request that mail programs make.

use serde_json::json;

use crate::service::{Service, Shop, ok, problem, until};

fn configured() -> (Shop, Service) {
    let shop = Shop::ready();
    let secret = shop.path("secret");
    std::fs::write(&secret, "a secret of more than sixteen bytes\n").unwrap();
    let config = format!(
        "[unsubscribe]\nurl = \"https://shop.example/u/{{token}}\"\nsecret = {{ file = {secret:?} }}\n"
    );
    std::fs::write(shop.path("promoflow.toml"), config).unwrap();
    let service = shop.serve();
    service.codes(2);
    let event = json!({ "eventTypeKey": "birthday", "keyValue": "ann@example.com",
                        "params": { "EmailAddress": "ann@example.com" } });
    ok(service.post_json("/api/v1/event", &event).send().unwrap());
    until(|| {
        let delivered = service.at("/api/v1/outbox?state=delivered");
        delivered.as_array().unwrap().len() == 1
    });
    (shop, service)
}

/// The headers of the only letter, each on a line.
fn head(shop: &Shop) -> String {
    let mut letters = std::fs::read_dir(shop.path("shop.db-mail/new")).unwrap();
    let letter = std::fs::read_to_string(letters.next().unwrap().unwrap().path()).unwrap();
    let (head, _) = letter.split_once("\r\n\r\n").unwrap();
    head.replace("\r\n ", " ")
}

fn header(head: &str, name: &str) -> String {
    let start = format!("{name}: ");
    let mut lines = head.lines();
    let found = lines.find_map(|line| line.strip_prefix(&start));
    found
        .unwrap_or_else(|| panic!("no {name} in {head}"))
        .to_owned()
}

#[test]
fn a_letter_carries_the_way_to_unsubscribe_and_one_request_is_enough() {
    let (shop, service) = configured();
    let head = head(&shop);
    let list = header(&head, "List-Unsubscribe");
    assert_eq!(
        header(&head, "List-Unsubscribe-Post"),
        "List-Unsubscribe=One-Click"
    );
    let token = list
        .strip_prefix("<https://shop.example/u/")
        .and_then(|rest| rest.strip_suffix('>'))
        .unwrap();
    assert!(!list.contains("ann"), "no address stands in it: {list}");

    let client = crate::service::client(None);
    let url = |token: &str| format!("{}/u/{token}", service.url);
    // Programs that look through mails follow the address: that changes nothing.
    let page = client.get(url(token)).send().unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().unwrap().contains("method=\"post\""));
    let nobody = service.get("/api/v1/contacts/ann@example.com").send();
    let refuses = |body: &serde_json::Value| body["consent"]["email"] == json!(false);
    let body: serde_json::Value = nobody.unwrap().json().unwrap();
    assert!(!refuses(&body), "{body}");

    for _ in 0..2 {
        let request = client.post(url(token));
        let request = request.body("List-Unsubscribe=One-Click");
        assert_eq!(request.send().unwrap().status(), 200);
        let ann = service.at("/api/v1/contacts/ann@example.com");
        assert!(refuses(&ann), "{ann}");
    }
    shop.audited();
}

#[test]
fn a_token_that_was_not_made_here_unsubscribes_nobody() {
    let (shop, service) = configured();
    let client = crate::service::client(None);
    for token in ["1.AAAAAAAAAAAAAAAAAAAAAA", "1.", "1", "x"] {
        let url = format!("{}/u/{token}", service.url);
        problem(client.post(&url).send().unwrap(), 404, "not-found");
        problem(client.get(&url).send().unwrap(), 404, "not-found");
    }
    shop.audited();
}
