//! Tests with mail servers that misbehave at each stage, over real connections.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use promoflow_config::{Config, Transport};
use promoflow_model::message::RenderedMessage;

/// The misbehaviour of a server.
#[derive(Clone, Copy, Debug)]
enum Misbehaviour {
    Silence,
    /// Sends an endless reply, one line at a time.
    Lines,
    /// Sends an endless line, one byte at a time.
    Bytes,
    /// Sends an endless line as fast as it is read.
    Endless,
    /// Sends endless lines as fast as they are read.
    EndlessLines,
    HangUp,
}

impl Misbehaviour {
    fn run(self, stream: &mut TcpStream) {
        let (bytes, pause): (&[u8], _) = match self {
            Misbehaviour::HangUp => return,
            Misbehaviour::Silence => (b"", 50),
            Misbehaviour::Lines => (b"250-x\r\n", 50),
            Misbehaviour::Bytes => (b"2", 50),
            Misbehaviour::Endless => (&[b'2'; 4096], 0),
            Misbehaviour::EndlessLines => (&b"250-x\r\n".repeat(1000)[..], 0),
        };
        let began = Instant::now();
        // The reader must end the exchange.
        while began.elapsed() < Duration::from_secs(30) && stream.write_all(bytes).is_ok() {
            if bytes.is_empty() && stream.peek(&mut [0]).is_ok_and(|read| read == 0) {
                return;
            }
            thread::sleep(Duration::from_millis(pause));
        }
    }
}

/// Starts a server that serves each connection with `serve`. Returns its port.
fn server(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream));
        }
    });
    port
}

/// Replies normally until a line that starts with `stage`, and then runs `instead`. `""` is before
/// the greeting, `.` is the end of an email.
fn until(stage: &str, mut stream: TcpStream, instead: impl Fn(&mut TcpStream)) {
    if stage.is_empty() {
        return instead(&mut stream);
    }
    stream.write_all(b"220 here\r\n").unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let (mut line, mut in_mail) = (String::new(), false);
    loop {
        line.clear();
        if lines.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if in_mail && line != ".\r\n" {
            continue;
        }
        if line.starts_with(stage) {
            return instead(&mut stream);
        }
        let reply: &[u8] = match line.get(..4).unwrap_or(".") {
            "EHLO" => b"250-here\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n",
            "DATA" => b"354 go on\r\n",
            "STAR" => b"220 go on\r\n",
            "AUTH" => b"235 welcome\r\n",
            _ => b"250 ok\r\n",
        };
        in_mail = line.starts_with("DATA");
        if stream.write_all(reply).is_err() {
            return;
        }
    }
}

fn smtp(port: u16, more: &str) -> Smtp {
    let text = format!(
        "[[channel]]\ntype = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\n\
         from = \"shop@example.com\"\ntimeout-seconds = 2\n{more}"
    );
    let config = Config::parse("p.toml", &text).unwrap();
    let Transport::Smtp(smtp) = &config.channels[0].transport else {
        panic!("{config:?}")
    };
    Smtp::new(smtp).unwrap()
}

fn deliver(smtp: &Smtp) -> DeliveryOutcome {
    let content = RenderedMessage {
        subject: Some("A code".into()),
        text: Some("A-1\n.\n".into()),
        ..RenderedMessage::default()
    };
    smtp.deliver(&outbound(&content))
}

fn outbound(content: &RenderedMessage) -> OutboundMessage<'_> {
    OutboundMessage {
        unsubscribe: None,
        id: "delivery-1",
        installation: "a",
        kind: ChannelKind::Email,
        address: "ann@example.com",
        content,
    }
}

/// Delivers a message and returns whether the outcome is ambiguous. The attempt must end soon.
fn ambiguous(smtp: &Smtp, case: &str) -> (bool, String) {
    let began = Instant::now();
    let outcome = deliver(smtp);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{case}: {took:?}");
    match outcome {
        DeliveryOutcome::RetryableFailure {
            ambiguous, error, ..
        } => (ambiguous, error),
        other => panic!("{case}: {other:?}"),
    }
}

#[test]
fn an_endless_reply_fails_the_attempt_at_every_stage() {
    let mut cases = Vec::new();
    for stage in ["", "EHLO", "MAIL", "RCPT", "DATA", "."] {
        for misbehaviour in [
            Misbehaviour::Silence,
            Misbehaviour::Lines,
            Misbehaviour::Bytes,
            Misbehaviour::Endless,
            Misbehaviour::EndlessLines,
            Misbehaviour::HangUp,
        ] {
            cases.push((stage, misbehaviour));
        }
    }
    thread::scope(|scope| {
        for (stage, misbehaviour) in cases {
            scope.spawn(move || {
                let case = format!("{stage} {misbehaviour:?}");
                let port = server(move |stream| until(stage, stream, |to| misbehaviour.run(to)));
                let (ambiguous, error) = ambiguous(&smtp(port, "security = \"none\"\n"), &case);
                // From the sender on, the server has seen a part of the email.
                let heard = !matches!(stage, "" | "EHLO");
                assert_eq!(ambiguous, heard, "{case}: {error}");
                let wanted = match misbehaviour {
                    Misbehaviour::Silence | Misbehaviour::Lines | Misbehaviour::Bytes => "in time",
                    Misbehaviour::Endless | Misbehaviour::EndlessLines => "more than 65536 bytes",
                    Misbehaviour::HangUp => "",
                };
                assert!(error.contains(wanted), "{case}: {error}");
            });
        }
    });
}

#[test]
fn an_endless_tls_handshake_fails_the_attempt_unambiguously() {
    let hello = |stream: &mut TcpStream, bytes: &[u8], pause| {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(20) && stream.write_all(bytes).is_ok() {
            thread::sleep(Duration::from_millis(pause));
        }
    };
    // An endless handshake byte by byte; endless records; no TLS; silence.
    let odd: [(&str, &[u8], u64); 4] = [
        ("drip", b"\x16", 50),
        ("records", b"\x15\x03\x03\x00\x02\x01\x00", 0),
        ("clear", b"250 ok\r\n", 50),
        ("silence", b"", 50),
    ];
    thread::scope(|scope| {
        for (name, bytes, pause) in odd {
            for security in ["tls", "starttls"] {
                scope.spawn(move || {
                    let port = server(move |stream| {
                        let stage = if security == "tls" { "" } else { "STARTTLS" };
                        until(stage, stream, |to| {
                            if security == "starttls" {
                                to.write_all(b"220 go on\r\n").unwrap();
                                // A delay, because bytes sent at once would be read before the
                                // handshake.
                                thread::sleep(Duration::from_millis(100));
                            }
                            hello(to, bytes, pause);
                        });
                    });
                    let case = format!("{name} {security}");
                    let smtp = smtp(port, &format!("security = \"{security}\"\n"));
                    let (ambiguous, error) = ambiguous(&smtp, &case);
                    assert!(!ambiguous, "{case}: {error}");
                });
            }
        }
    });
}

#[test]
fn a_server_that_reads_no_data_fails_the_attempt() {
    let port = server(|stream| {
        until("DATA", stream, |to| {
            to.write_all(b"354 go on\r\n").unwrap();
            thread::sleep(Duration::from_secs(20));
        });
    });
    let smtp = smtp(port, "security = \"none\"\n");
    let content = RenderedMessage {
        subject: Some("Long".into()),
        // More than the socket buffers hold.
        text: Some("long ".repeat(4 << 20)),
        ..RenderedMessage::default()
    };
    let began = Instant::now();
    let outcome = smtp.deliver(&outbound(&content));
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    assert!(
        matches!(outcome, DeliveryOutcome::RetryableFailure { .. }),
        "{outcome:?}"
    );
}

#[test]
fn rejects_plaintext_injected_after_starttls() {
    let port = server(|stream| {
        until("STARTTLS", stream, |to| {
            to.write_all(b"220 go on\r\n250 injected\r\n").unwrap();
            thread::sleep(Duration::from_secs(1));
        });
    });
    let (ambiguous, error) = ambiguous(&smtp(port, ""), "injected");
    assert!(
        !ambiguous && error.contains("invalid SMTP reply"),
        "{error}"
    );
}

#[test]
fn an_endless_login_fails_the_attempt() {
    let port = server(|stream| {
        until("AUTH", stream, |to| {
            let mut lines = BufReader::new(to.try_clone().unwrap());
            let mut line = String::new();
            while to.write_all(b"334 bW9yZQ==\r\n").is_ok() {
                line.clear();
                if lines.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
            }
        });
    });
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "letmein").unwrap();
    let login = format!(
        "security = \"none\"\nusername = \"u\"\npassword = {{ file = {:?} }}\n",
        secret.path()
    );
    let (ambiguous, _) = ambiguous(&smtp(port, &login), "login");
    assert!(!ambiguous);
}

#[test]
fn logs_in_with_a_mechanism_that_the_server_offers() {
    for (offered, wanted) in [
        ("plain", &["AUTH PLAIN AHUAbGV0bWVpbg=="][..]),
        ("LOGIN", &["AUTH LOGIN", "dQ==", "bGV0bWVpbg=="]),
        ("CRAM-MD5", &[]),
    ] {
        let (sender, received) = channel();
        let sender = Mutex::new(sender);
        let port = server(move |mut stream| {
            stream.write_all(b"220 here\r\n").unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut asked = 0;
            for line in lines.map_while(Result::ok) {
                let reply = match line.split(' ').next() {
                    Some("EHLO") => format!("250-here\r\n250 AUTH {offered}\r\n"),
                    Some("MAIL" | "RCPT" | "QUIT") => break,
                    _ => {
                        asked += 1;
                        let done = asked == wanted.len();
                        sender.lock().unwrap().send(line).unwrap();
                        if done {
                            "235 in\r\n"
                        } else {
                            "334 bW9yZQ==\r\n"
                        }
                        .to_owned()
                    }
                };
                stream.write_all(reply.as_bytes()).unwrap();
            }
        });
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "letmein").unwrap();
        let login = format!(
            "security = \"none\"\nusername = \"u\"\npassword = {{ file = {:?} }}\n",
            secret.path()
        );
        let (_, error) = ambiguous(&smtp(port, &login), offered);
        let received: Vec<String> = received.try_iter().collect();
        assert_eq!(received, wanted, "{error}");
        let unsupported = error.contains("a login by PLAIN or LOGIN is not supported");
        assert_eq!(unsupported, wanted.is_empty(), "{error}");
    }
}

#[test]
fn reuses_connections_and_replaces_closed_ones() {
    for closing in ["", "421 closing\r\n"] {
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let port = server(move |stream| {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            let emails = AtomicUsize::new(0);
            // The first connection is closed when it is used again.
            let is_last = move || number == 0 && emails.fetch_add(1, Ordering::SeqCst) == 1;
            serve_emails(stream, "", is_last, closing);
        });
        let smtp = smtp(port, "security = \"none\"\n");
        assert_eq!(deliver(&smtp), DeliveryOutcome::Delivered);
        assert_eq!(connections.load(Ordering::SeqCst), 1);
        assert_eq!(deliver(&smtp), DeliveryOutcome::Delivered);
        assert_eq!(connections.load(Ordering::SeqCst), 2, "replaced");
        assert_eq!(deliver(&smtp), DeliveryOutcome::Delivered);
        assert_eq!(connections.load(Ordering::SeqCst), 2, "kept");
    }
}

#[test]
fn replaces_a_connection_after_many_emails() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let port = server(move |stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        serve_emails(stream, "", || false, "");
    });
    let smtp = smtp(port, "security = \"none\"\n");
    for _ in 0..501 {
        assert_eq!(deliver(&smtp), DeliveryOutcome::Delivered);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

/// Receives one email after another. Before an email for which `is_last` returns true, sends
/// `closing` and hangs up.
fn serve_emails(
    mut stream: TcpStream,
    extensions: &str,
    is_last: impl Fn() -> bool,
    closing: &str,
) {
    stream.write_all(b"220 here\r\n").unwrap();
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut in_mail = false;
    for line in lines.map_while(Result::ok) {
        if in_mail && line != "." {
            continue;
        }
        let reply = match line.get(..4).unwrap_or(".") {
            "MAIL" if is_last() => {
                stream.write_all(closing.as_bytes()).unwrap();
                return;
            }
            "EHLO" => format!("250-here\r\n{extensions}250 8BITMIME\r\n"),
            "DATA" => "354 go on\r\n".to_owned(),
            _ => "250 ok\r\n".to_owned(),
        };
        in_mail = line == "DATA";
        if stream.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn commands_go_in_one_packet_if_the_server_supports_pipelining() {
    let (sender, received) = channel();
    let sender = Mutex::new(sender);
    let port = server(move |mut stream| {
        use std::io::Read as _;
        let mut next = |reply: &str| {
            stream.write_all(reply.as_bytes()).unwrap();
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..read]).into_owned()
        };
        next("220 here\r\n");
        let packets = vec![
            next("250-here\r\n250 PIPELINING\r\n"),
            next("250 ok\r\n250 ok\r\n354 go on\r\n"),
        ];
        stream.write_all(b"250 taken\r\n").unwrap();
        sender.lock().unwrap().send(packets).unwrap();
    });
    assert_eq!(
        deliver(&smtp(port, "security = \"none\"\n")),
        DeliveryOutcome::Delivered
    );
    let packets = received.recv().unwrap();
    let commands = "MAIL FROM:<shop@example.com>\r\nRCPT TO:<ann@example.com>\r\nDATA\r\n";
    assert_eq!(packets[0], commands);
    assert!(packets[1].ends_with("\r\n.\r\n"), "{}", packets[1]);
}

#[test]
fn pipelined_commands_are_rejected_and_delivered_like_others() {
    let rejections = [
        ("550 5.1.1 no such user\r\n", "354 go on\r\n"),
        ("550 5.1.1 no such user\r\n", "503 no recipients\r\n"),
        ("450 4.2.0 later\r\n", "354 go on\r\n"),
    ];
    for (to_recipient, to_data) in rejections {
        let (sender, received) = channel();
        let sender = Mutex::new(sender);
        let port = server(move |mut stream| {
            stream.write_all(b"220 here\r\n").unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut data = Vec::new();
            for line in lines.map_while(Result::ok) {
                let reply = match line.get(..4).unwrap_or(".") {
                    "EHLO" => "250-here\r\n250 PIPELINING\r\n",
                    "RCPT" if line.contains("postmaster") => "250 ok\r\n",
                    "RCPT" => to_recipient,
                    "DATA" => to_data,
                    "MAIL" | "QUIT" => "250 ok\r\n",
                    _ => {
                        data.push(line);
                        continue;
                    }
                };
                if stream.write_all(reply.as_bytes()).is_err() {
                    break;
                }
            }
            // The receiver is gone after the first connection.
            let _gone = sender.lock().unwrap().send(data);
        });
        match (deliver(&smtp(port, "security = \"none\"\n")), to_recipient) {
            (DeliveryOutcome::PermanentFailure { error }, "550 5.1.1 no such user\r\n") => {
                assert!(error.contains("550 5.1.1"), "{error}");
            }
            (
                DeliveryOutcome::RetryableFailure {
                    ambiguous, error, ..
                },
                _,
            ) => {
                assert!(!ambiguous, "{error}");
                assert!(error.contains("450 4.2.0"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(received.recv().unwrap(), [""; 0], "no email was sent");
    }
}

#[test]
fn a_premature_reply_does_not_count_for_the_email() {
    let port = server(move |stream| {
        until("DATA", stream, |to| {
            to.write_all(b"354 go on\r\n250 taken\r\n").unwrap();
            thread::sleep(Duration::from_millis(500));
        });
    });
    let (_, error) = ambiguous(&smtp(port, "security = \"none\"\n"), "premature");
    assert!(error.contains("invalid SMTP reply"), "{error}");
}

#[test]
fn only_a_positive_reply_to_the_end_of_data_means_delivered() {
    for reply in ["354 more\r\n", "25\r\n", "HTTP/1.1 200 OK\r\n"] {
        let port = server(move |stream| {
            until(".", stream, |to| to.write_all(reply.as_bytes()).unwrap());
        });
        let (ambiguous, error) = ambiguous(&smtp(port, "security = \"none\"\n"), reply);
        assert!(ambiguous, "{reply}: {error}");
    }
}
