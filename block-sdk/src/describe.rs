//! Builders for a block's description.

use std::ops::RangeInclusive;

use crate::{
    Alternative, Carries, DecimalBounds, Description, IntegerBounds, Kind, Parameter, Port,
    TextBounds, Value,
};

impl Description {
    /// Creates a description with the block's name in workflows, in kebab-case, and its own
    /// version, usually that of the crate: `env!("CARGO_PKG_VERSION")`.
    #[must_use]
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            title: name.into(),
            description: String::new(),
            parameters: Vec::new(),
            ports: Vec::new(),
        }
    }

    /// Sets the display name.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        self.title = title.into();
        self
    }

    /// Sets the purpose, in a sentence or two.
    #[must_use]
    pub fn description(mut self, description: &str) -> Self {
        self.description = description.into();
        self
    }

    /// Adds a parameter.
    #[must_use]
    pub fn param(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// Adds a port.
    #[must_use]
    pub fn port(mut self, port: Port) -> Self {
        self.ports.push(port);
        self
    }
}

impl Parameter {
    /// Creates a parameter with its name in workflows, in kebab-case.
    #[must_use]
    pub fn new(name: &str, kind: Kind) -> Self {
        Self {
            name: name.into(),
            title: name.into(),
            description: String::new(),
            kind,
            required: false,
            default: None,
        }
    }

    /// Creates a text parameter with that range of lengths, in characters.
    #[must_use]
    pub fn text(name: &str, characters: RangeInclusive<u32>) -> Self {
        let (min_length, max_length) = characters.into_inner();
        let bounds = TextBounds {
            min_length,
            max_length,
        };
        Self::new(name, Kind::Text(bounds))
    }

    /// Creates an integer parameter.
    #[must_use]
    pub fn integer(name: &str, bounds: RangeInclusive<i64>) -> Self {
        let (min, max) = bounds.into_inner();
        Self::new(name, Kind::Integer(IntegerBounds { min, max }))
    }

    /// Creates a decimal parameter.
    #[must_use]
    pub fn decimal(name: &str, bounds: RangeInclusive<f64>) -> Self {
        let (min, max) = bounds.into_inner();
        Self::new(name, Kind::Decimal(DecimalBounds { min, max }))
    }

    /// Creates a parameter with a choice of alternatives.
    #[must_use]
    pub fn choice(name: &str, of: impl IntoIterator<Item = Alternative>) -> Self {
        Self::new(name, Kind::Choice(of.into_iter().collect()))
    }

    /// Sets the display name.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        self.title = title.into();
        self
    }

    /// Sets the purpose, in a sentence or two.
    #[must_use]
    pub fn description(mut self, description: &str) -> Self {
        self.description = description.into();
        self
    }

    /// Rejects workflows without the parameter.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Sets the value if the step does not set the parameter.
    #[must_use]
    pub fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }
}

impl Alternative {
    fn new(name: &str, title: &str, carries: Carries) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            carries,
        }
    }

    /// Creates an alternative without a value: `when-empty: fail`.
    #[must_use]
    pub fn plain(name: &str, title: &str) -> Self {
        Self::new(name, title, Carries::Nothing)
    }

    /// Creates an alternative with text: `when-empty: { code: WELCOME }`.
    #[must_use]
    pub fn text(name: &str, title: &str) -> Self {
        Self::new(name, title, Carries::Text)
    }

    /// Creates an alternative with a duration: `reuse: { contact: 30d }`.
    #[must_use]
    pub fn duration(name: &str, title: &str) -> Self {
        Self::new(name, title, Carries::Duration)
    }
}

impl Port {
    /// Creates a port with its name in workflows, in kebab-case. A workflow must connect it.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            title: name.into(),
            description: String::new(),
            follows: false,
        }
    }

    /// Sets the display name.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        self.title = title.into();
        self
    }

    /// Sets when the block takes the port.
    #[must_use]
    pub fn description(mut self, description: &str) -> Self {
        self.description = description.into();
        self
    }

    /// Leads to the next step of the list unless the workflow connects the port.
    #[must_use]
    pub fn falls_through(mut self) -> Self {
        self.follows = true;
        self
    }
}
