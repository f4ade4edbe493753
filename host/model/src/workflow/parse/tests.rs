//! Files that the parser accepts and rejects. Each test shows a file and its exact diagnostics.

mod accepted;
mod random;
mod rejected;
mod schema;
mod warnings;

use super::parse;
use crate::block::{Alternative, Carries, Description, Kind, Parameter, Port, Value};
use crate::message::{ChannelKind, Message};
use crate::pool::{CodeGroup, CodeGroupWarning};
use crate::workflow::{Catalog, CatalogBlock, CatalogMessage, MessageNeeds, Workflow};
use promoflow_document::{Parsed, TemplateError};

/// The two standard blocks and three messages.
struct TestCatalog {
    blocks: Vec<Description>,
}

impl Catalog for TestCatalog {
    fn block(&self, name: &str) -> Option<CatalogBlock<'_>> {
        let description = self.blocks.iter().find(|block| block.name == name)?;
        Some(CatalogBlock {
            digest: format!("digest-of-{name}"),
            description,
            sets_values: name == "get-promocode",
        })
    }

    fn block_names(&self) -> Vec<String> {
        self.blocks.iter().map(|block| block.name.clone()).collect()
    }

    fn message(&self, id: &str) -> Option<CatalogMessage> {
        let channel = match id {
            "birthday-email" | "birthday-without-code" => ChannelKind::Email,
            "birthday-sms" => ChannelKind::Sms,
            _ => return None,
        };
        Some(CatalogMessage { channel })
    }

    fn message_needs(&self, id: &str) -> Option<MessageNeeds> {
        let text = match id {
            "birthday-sms" => "Hi $firstNmae, $!total, $nme",
            _ => "",
        };
        let message = serde_json::json!({ "id": id, "channel": "sms", "text": text });
        let message: Message = serde_json::from_value(message).unwrap();
        Some(MessageNeeds {
            template_references: message.template_references(),
            ..MessageNeeds::default()
        })
    }

    fn event_values(&self, event: &str) -> Vec<String> {
        let names: &[&str] = match event {
            "birthday" => &["total"],
            "e" => &["discount", "days"],
            _ => &[],
        };
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn contact_values(&self) -> Vec<String> {
        vec!["firstName".to_owned()]
    }

    fn code_group_warning(&self, code_group: &CodeGroup) -> Option<CodeGroupWarning> {
        (code_group.code_type == "Birthday").then(|| CodeGroupWarning {
            why: "no codes".to_owned(),
            hint: "birthday".to_owned(),
        })
    }

    fn message_ids(&self) -> Vec<String> {
        ["birthday-email", "birthday-without-code", "birthday-sms"]
            .map(String::from)
            .to_vec()
    }
}

fn test_catalog() -> TestCatalog {
    let parameter = |name: &str, kind, required, default: Option<&str>| Parameter {
        name: name.into(),
        title: format!("the {name}"),
        description: String::new(),
        kind,
        required,
        default: default.map(|text| Value::Text(text.into())),
    };
    let alternative = |name: &str, carries| Alternative {
        name: name.into(),
        title: String::new(),
        carries,
    };
    let port = |name: &str, follows| Port {
        name: name.into(),
        title: String::new(),
        description: String::new(),
        follows,
    };
    let block = |name: &str, parameters, ports| Description {
        name: name.into(),
        version: "1.0.0".into(),
        title: String::new(),
        description: String::new(),
        parameters,
        ports,
    };
    let text = || Kind::Text {
        min_length: 1,
        max_length: 20,
    };
    let when_empty = Kind::Choice(vec![
        alternative("fail", Carries::Nothing),
        alternative("port", Carries::Nothing),
        alternative("code", Carries::Text),
    ]);
    let reuse = Kind::Choice(vec![
        alternative("never", Carries::Nothing),
        alternative("contact", Carries::Duration),
    ]);
    TestCatalog {
        blocks: vec![
            block(
                "get-promocode",
                vec![
                    parameter("type", text(), true, None),
                    parameter("discount", Kind::Integer { min: 0, max: 99 }, true, None),
                    parameter("days", Kind::Integer { min: 0, max: 3650 }, false, None),
                    parameter("when-empty", when_empty, false, Some("fail")),
                    parameter("reuse", reuse, false, Some("never")),
                ],
                vec![port("next", true), port("exhausted", false)],
            ),
            block(
                "send-message",
                vec![
                    parameter("channel", Kind::Channel, false, Some("email")),
                    parameter("message", Kind::Message, true, None),
                    parameter(
                        "to",
                        Kind::Text {
                            min_length: 1,
                            max_length: 300,
                        },
                        false,
                        None,
                    ),
                    parameter("otherwise", Kind::Any, false, None),
                    parameter("allowed-hours", Kind::Hours, false, None),
                    parameter("time-zone", Kind::TimeZone, false, None),
                    parameter("json", Kind::Any, false, None),
                ],
                vec![port("next", true)],
            ),
        ],
    }
}

/// A fake template engine: `#oops` is an error, and `$` a reference.
fn templates(text: &str) -> Result<bool, TemplateError> {
    for (number, line) in text.split('\n').enumerate() {
        if let Some(byte) = line.find("#oops") {
            return Err(TemplateError {
                hint: None,
                message: "unknown directive `#oops`".into(),
                line: number + 1,
                column: line[..byte].chars().count() + 1,
            });
        }
    }
    Ok(text.contains('$'))
}

fn parsed(file: &str) -> Parsed<Workflow> {
    parse("w.yaml", file.as_bytes(), &test_catalog(), &templates)
}

/// Returns the only workflow of a file without diagnostics.
#[track_caller]
fn workflow(file: &str) -> Workflow {
    let (mut workflows, warnings) = parsed(file).into_result().unwrap();
    assert_eq!(warnings, []);
    assert_eq!(workflows.len(), 1);
    workflows.remove(0)
}
