//! The block's description.

use promoflow_block::{Description, Kind, Parameter, Port};

pub(crate) fn description() -> Description {
    Description::new("send-message", env!("CARGO_PKG_VERSION"))
        .title("Send message")
        .description("Sends a prepared message once the step is committed.")
        .param(
            Parameter::new("channel", Kind::Channel)
                .title("Channel")
                .description("The channel that delivers the message.")
                .required(),
        )
        .param(
            Parameter::new("message", Kind::Message)
                .title("Message")
                .description("The id of a prepared message of that channel.")
                .required(),
        )
        .param(Parameter::text("to", 0..=2000).title("To").description(
            "The address, or the name of the event parameter with the address; if missing, \
                 the usual parameter names are tried.",
        ))
        .param(Parameter::text("contact", 0..=2000).title("Contact").description(
            "Instead of an address: the contact's id, or the name of the event parameter with \
                 the id. The address comes from the contact.",
        ))
        .param(Parameter::text("language", 0..=100).title("Language").description(
            "The preferred language, such as uk, or the name of the event parameter with the \
                 language; defaults to the event's, then to the contact's.",
        ))
        .param(Parameter::new("otherwise", Kind::Any).title("Otherwise").description(
            "Alternatives in order, each with a channel, a message and optionally a `to`. Each is \
                 tried only after the one before failed permanently.",
        ))
        .param(
            Parameter::new("allowed-hours", Kind::Hours)
                .title("Allowed hours")
                .description("The hours in which the message may be sent, such as 09:00-21:00."),
        )
        .param(
            Parameter::new("time-zone", Kind::TimeZone)
                .title("Time zone")
                .description("The time zone of the allowed hours; defaults to the contact's."),
        )
        .port(
            Port::new("next")
                .title("Next")
                .description("The message is staged.")
                .falls_through(),
        )
        .port(
            Port::new("unreachable")
                .title("Unreachable")
                .description("The contact has no address for the channel."),
        )
        .port(
            Port::new("unsubscribed")
                .title("Unsubscribed")
                .description("The contact has unsubscribed from the channel."),
        )
}
