//! What the block says of itself.

use promoflow_block::{Alternative, Description, Parameter, Port};

pub(crate) fn description() -> Description {
    Description::new("get-promocode", env!("CARGO_PKG_VERSION"))
        .title("Get promo code")
        .about("Takes the next promo code that matches out of the pool, for this run alone.")
        .param(
            Parameter::text("type", 1..=100)
                .title("Type")
                .about("The type of the promo code, as uploaded: birthday.")
                .required(),
        )
        .param(
            Parameter::integer("discount", 0..=99)
                .title("Discount")
                .about("The discount of the promo code, as uploaded.")
                .required(),
        )
        .param(
            Parameter::integer("days", 0..=36_500)
                .title("Days")
                .about("The code stays valid for at least that many days after today.")
                .required(),
        )
        .param(
            Parameter::text("as", 1..=100)
                .title("Save as")
                .about("The name under which messages and later steps find the code.")
                .default("promocode"),
        )
        .param(
            Parameter::choice("when-empty", when_empty())
                .title("When no code is left")
                .about("What happens when no code matches.")
                .default("port"),
        )
        .param(
            Parameter::choice("reuse", reuse())
                .title("Reuse")
                .about("Whether a code that was taken before serves again.")
                .default("never"),
        )
        .port(
            Port::new("next")
                .title("Next")
                .about("There is a code.")
                .follows(),
        )
        .port(
            Port::new("exhausted")
                .title("No code left")
                .about("No code matches."),
        )
}

fn when_empty() -> [Alternative; 4] {
    [
        Alternative::plain("port", "Go on at the port exhausted"),
        Alternative::plain("fail", "End the run with an error"),
        Alternative::plain("wait", "Wait until codes are uploaded"),
        Alternative::text("code", "Use this code, which may go to anybody"),
    ]
}

fn reuse() -> [Alternative; 3] {
    [
        Alternative::plain("never", "Always a new code"),
        Alternative::plain("run", "The same code throughout the run"),
        Alternative::duration("contact", "The same code for the contact, for so long"),
    ]
}
