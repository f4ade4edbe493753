//! What the block says of itself.

use promoflow_block::{Description, Kind, Parameter, Port};

pub(crate) fn description() -> Description {
    Description::new("send-message", env!("CARGO_PKG_VERSION"))
        .title("Send message")
        .about("Sends a prepared message, once the step is committed.")
        .param(
            Parameter::new("channel", Kind::Channel)
                .title("Channel")
                .about("How the message reaches its address.")
                .required(),
        )
        .param(
            Parameter::new("message", Kind::Message)
                .title("Message")
                .about("The id of a prepared message of that channel.")
                .required(),
        )
        .param(Parameter::text("to", 0..=2000).title("To").about(
            "The address, or the name of the event's parameter that has it; without it, \
                 the usual names are tried.",
        ))
        .param(Parameter::text("contact", 0..=2000).title("Contact").about(
            "Instead of an address: the contact's id, or the name of the event's parameter that \
                 has it. The directory of contacts tells the address.",
        ))
        .param(Parameter::text("language", 0..=100).title("Language").about(
            "The language to prefer, such as uk, or the name of the event's parameter that has \
                 it; without it, the event's or the contact's.",
        ))
        .param(Parameter::new("otherwise", Kind::Any).title("Otherwise").about(
            "Further ways in order, each a channel, a message and, where it needs one, a `to`: the \
                 next is tried only when the one before was refused for good.",
        ))
        .param(
            Parameter::new("allowed-hours", Kind::Hours)
                .title("Allowed hours")
                .about("The message leaves only in these hours: 09:00-21:00."),
        )
        .param(
            Parameter::new("time-zone", Kind::TimeZone)
                .title("Time zone")
                .about("The time zone of the allowed hours; without it, the contact's."),
        )
        .port(
            Port::new("next")
                .title("Next")
                .about("The message is staged.")
                .follows(),
        )
        .port(
            Port::new("unreachable")
                .title("Unreachable")
                .about("No address of the contact is known for the channel."),
        )
        .port(
            Port::new("unsubscribed")
                .title("Unsubscribed")
                .about("The contact has unsubscribed from the channel."),
        )
}
