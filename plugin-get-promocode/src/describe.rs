//! The block's description.

use promoflow_block::{Alternative, Description, Parameter, Port};

pub(crate) fn description() -> Description {
    Description::new("get-promocode", env!("CARGO_PKG_VERSION"))
        .title("Get promo code")
        .description("Claims the next matching promo code from the pool for this run.")
        .param(
            Parameter::text("type", 1..=100)
                .title("Type")
                .description("The type of the promo code as uploaded, such as birthday.")
                .required(),
        )
        .param(
            Parameter::integer("discount", 0..=99)
                .title("Discount")
                .description("The discount of the promo code as uploaded.")
                .required(),
        )
        .param(
            Parameter::integer("days", 0..=36_500)
                .title("Days")
                .description("The minimum number of days after today for which the code stays valid.")
                .required(),
        )
        .param(
            Parameter::text("as", 1..=100)
                .title("Save as")
                .description("The name of the value that the code is saved as, for messages and later steps.")
                .default("promocode"),
        )
        .param(
            Parameter::choice("when-empty", when_empty())
                .title("If no code is available")
                .description("What to do if no code matches.")
                .default("port"),
        )
        .param(
            Parameter::choice("reuse", reuse())
                .title("Reuse")
                .description("Whether a code that was claimed before may be used again.")
                .default("never"),
        )
        .port(
            Port::new("next")
                .title("Next")
                .description("A code was claimed.")
                .falls_through(),
        )
        .port(
            Port::new("exhausted")
                .title("No code available")
                .description("No code matches."),
        )
}

fn when_empty() -> [Alternative; 4] {
    [
        Alternative::plain("port", "Continue at the port exhausted"),
        Alternative::plain("fail", "End the run with an error"),
        Alternative::plain("wait", "Wait for an upload of codes"),
        Alternative::text("code", "Use this code, which any number of runs may get"),
    ]
}

fn reuse() -> [Alternative; 3] {
    [
        Alternative::plain("never", "Always a new code"),
        Alternative::plain("run", "The same code throughout the run"),
        Alternative::duration("contact", "The same code for the contact during this time"),
    ]
}
