//! Classification of answers.

use std::time::{Duration, Instant};

use promoflow::channel::{DeliveryOutcome, Http};

use crate::server::{Server, deliver};

const CONFIG: &str = r#"
    [[channel]]
    type = "http"
    takes = ["telegram"]
    url = "{url}/send/$address"
    headers = { Authorization = "Bearer s3cret" }
    json = { to = "$address", text = "$text" }
    timeout-seconds = 2
    "#;

fn retryable(channel: &Http, number: u32, address: &str) -> (String, Option<Duration>) {
    match deliver(channel, number, address, "Your code: A-1") {
        DeliveryOutcome::RetryableFailure { error, after, .. } => (error, after),
        other => panic!("{address}: {other:?}"),
    }
}

/// Returns true if the provider may have accepted the message although the attempt failed.
fn ambiguous(channel: &Http, number: u32, address: &str) -> bool {
    match deliver(channel, number, address, "Your code: A-1") {
        DeliveryOutcome::RetryableFailure { ambiguous, .. } => ambiguous,
        other => panic!("{address}: {other:?}"),
    }
}

fn permanent_error(channel: &Http, number: u32, address: &str) -> String {
    match deliver(channel, number, address, "Your code: A-1") {
        DeliveryOutcome::PermanentFailure { error } => error,
        other => panic!("{address}: {other:?}"),
    }
}

#[test]
fn temporary_errors_are_retryable_and_do_not_contain_the_message() {
    let server = Server::start();
    let channel = server.channel(CONFIG);
    for (number, (address, expected)) in [
        ("busy", "the provider answered 429"),
        ("date", "the provider answered 503"),
        ("down", "the provider answered 500"),
        ("slow", "the provider did not answer in time"),
        ("drop", "the connection to the provider was lost"),
    ]
    .into_iter()
    .enumerate()
    {
        let number = number.try_into().unwrap();
        let (error, after) = retryable(&channel, number, address);
        assert_eq!(error, expected);
        match address {
            "busy" => assert_eq!(after, Some(Duration::from_secs(3600))),
            "date" => {
                let after = after.unwrap().as_secs();
                assert!((7190..=7200).contains(&after), "{after}");
            }
            _ => assert_eq!(after, None, "{address}"),
        }
        let again = deliver(&channel, number, address, "Your code: A-1");
        assert_eq!(again, DeliveryOutcome::Delivered, "{address}");
    }
    drop(server);
    let (error, _) = retryable(&channel, 9, "zoe");
    assert!(
        error.starts_with("cannot connect to the provider: "),
        "{error}"
    );
    assert!(
        !error.contains("zoe") && !error.contains("s3cret"),
        "{error}"
    );
}

#[test]
fn ambiguous_and_definite_failures_are_distinguished() {
    let server = Server::start();
    let channel = server.channel(CONFIG);
    for (number, (address, expected)) in [
        ("busy", false),
        ("login", false),
        ("away", false),
        ("status-408", false),
        ("status-409", true),
        ("status-423", true),
        ("date", true),
        ("down", true),
        ("slow", true),
        ("drop", true),
    ]
    .into_iter()
    .enumerate()
    {
        let number = number.try_into().unwrap();
        assert_eq!(ambiguous(&channel, number, address), expected, "{address}");
    }
    drop(server);
    assert!(!ambiguous(&channel, 99, "ann"), "no server was reached");
}

#[test]
fn only_errors_of_the_message_are_permanent() {
    let mut server = Server::start();
    let channel = server.channel(CONFIG);
    let error = permanent_error(&channel, 1, "never");
    assert_eq!(error, "the provider answered 400");
    assert_eq!(
        retryable(&channel, 2, "login").0,
        "the provider answered 401"
    );
    // A redirect would send the credentials elsewhere.
    assert_eq!(
        retryable(&channel, 3, "away").0,
        "the provider answered 302"
    );
    assert_eq!(deliver(&channel, 4, "ann", ""), DeliveryOutcome::Delivered);
    let paths = ["never", "login", "away", "ann"].map(|word| format!("/send/{word}"));
    for path in paths {
        assert_eq!(server.request().path(), path);
    }
}

#[test]
fn a_status_without_a_rule_has_its_standard_meaning() {
    let server = Server::start();
    let channel = server.channel(CONFIG);
    let now = |status: u32| retryable(&channel, status, &format!("status-{status}")).0;
    for status in [401, 402, 403, 405, 407, 408, 409, 415, 423, 425, 429, 501] {
        assert_eq!(now(status), format!("the provider answered {status}"));
    }
    for status in [400, 404, 410, 413, 422, 451] {
        let error = permanent_error(&channel, status, &format!("status-{status}"));
        assert_eq!(error, format!("the provider answered {status}"));
    }
    for status in [200, 201, 202, 204] {
        let outcome = deliver(&channel, status, &format!("status-{status}"), "");
        assert_eq!(outcome, DeliveryOutcome::Delivered, "{status}");
    }
}

#[test]
fn the_body_is_ignored_unless_a_rule_needs_it() {
    let server = Server::start();
    let channel = server.channel(CONFIG);
    for (number, address) in ["cut", "huge", "text", "wrong", "drip"]
        .into_iter()
        .enumerate()
    {
        let begun = Instant::now();
        let outcome = deliver(&channel, number.try_into().unwrap(), address, "A-1");
        // The status alone decides.
        assert_eq!(outcome, DeliveryOutcome::Delivered, "{address}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{address}");
    }
}

#[test]
fn rules_classify_fields_of_the_answer() {
    let server = Server::start();
    let channel = server.channel(&format!(
        r#"{CONFIG}
        [[channel.response]]
        pointer = "/error/code"
        equals = [7, 8]
        outcome = "permanent"

        [[channel.response]]
        status = ["2xx", 409]
        pointer = "/error/code"
        equals = 9
        outcome = "retryable"
        retry-after = "/wait"

        [[channel.response]]
        status = 200
        pointer = "/ok"
        not-equals = true
        outcome = "misconfigured"

        [[channel.response]]
        status = 400
        outcome = "delivered"
        "#
    ));
    // The text of the answer is omitted: it repeats the address.
    let error = permanent_error(&channel, 1, "wrong");
    assert_eq!(error, "the provider answered 200, /error/code 7");
    let (error, after) = retryable(&channel, 2, "wait");
    assert_eq!(error, "the provider answered 200, /error/code 9");
    assert_eq!(after, Some(Duration::from_secs(90)));
    let (error, _) = retryable(&channel, 3, "text");
    assert_eq!(error, "the provider answered 200, /ok not true");
    // An unreadable answer may have meant anything.
    let broken = [
        ("page", "is not JSON"),
        ("cut", "was cut off"),
        ("huge", "is too long"),
        ("drip", "took too long"),
    ];
    for (number, (address, why)) in broken.into_iter().enumerate() {
        let number = 4 + u32::try_from(number).unwrap();
        let (error, _) = retryable(&channel, number, address);
        assert_eq!(
            error,
            format!("the provider answered 200, but the response body {why}")
        );
        let again = 20 + number;
        assert!(ambiguous(&channel, again, address), "{address}");
    }
    // Status 400 means delivered by the configuration, but a code in the answer has priority.
    let (error, _) = retryable(&channel, 8, "down");
    assert_eq!(error, "the provider answered 500");
    assert_eq!(
        deliver(&channel, 9, "never", ""),
        DeliveryOutcome::Delivered
    );
    assert_eq!(deliver(&channel, 9, "ann", ""), DeliveryOutcome::Delivered);
}
