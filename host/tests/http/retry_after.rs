//! A provider that sends `Retry-After`.

use serde_json::json;

use crate::server::Server;
use crate::test_app::TestApp;
use crate::webhooks::requests;

#[test]
fn retry_after_is_respected_by_the_next_process() {
    let mut server = Server::start();
    let config = format!(
        "[[channel]]\ntype = \"http\"\ntakes = [\"telegram\", \"sms\"]\n\
         url = \"http://127.0.0.1:{}/send/$address\"\njson = {{ text = \"$text\" }}\n",
        server.port
    );
    let app = TestApp::new(&config, "telegram", Vec::new());
    assert_eq!(app.send("busy")["attempts"], json!(1));
    for address in ["ann", "bob"] {
        let delivery = app.send(address);
        assert_eq!(
            (&delivery["state"], &delivery["attempts"]),
            (&json!("pending"), &json!(0)),
            "{address}"
        );
    }
    let asked = requests(&mut server);
    let asked: Vec<_> = asked.iter().map(|request| request.path()).collect();
    assert_eq!(asked, ["/send/busy"]);
}
