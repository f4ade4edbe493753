//! How a block writes down what it is.

use std::ops::RangeInclusive;

use crate::{
    Alternative, Carries, DecimalBounds, Description, IntegerBounds, Kind, Parameter, Port,
    TextBounds, Value,
};

impl Description {
    /// A block by its name in workflows, in kebab-case, and its own version: that of the crate is
    /// `env!("CARGO_PKG_VERSION")`.
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

    /// The name that people read.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        self.title = title.into();
        self
    }

    /// What it does, in a sentence or two.
    #[must_use]
    pub fn about(mut self, description: &str) -> Self {
        self.description = description.into();
        self
    }

    /// Adds a parameter.
    #[must_use]
    pub fn param(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// Adds a way out.
    #[must_use]
    pub fn port(mut self, port: Port) -> Self {
        self.ports.push(port);
        self
    }
}

impl Parameter {
    /// A parameter by its name in workflows, in kebab-case.
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

    /// A text of so many characters.
    #[must_use]
    pub fn text(name: &str, characters: RangeInclusive<u32>) -> Self {
        let (min_length, max_length) = characters.into_inner();
        let bounds = TextBounds {
            min_length,
            max_length,
        };
        Self::new(name, Kind::Text(bounds))
    }

    /// A whole number.
    #[must_use]
    pub fn integer(name: &str, bounds: RangeInclusive<i64>) -> Self {
        let (min, max) = bounds.into_inner();
        Self::new(name, Kind::Integer(IntegerBounds { min, max }))
    }

    /// A number.
    #[must_use]
    pub fn decimal(name: &str, bounds: RangeInclusive<f64>) -> Self {
        let (min, max) = bounds.into_inner();
        Self::new(name, Kind::Decimal(DecimalBounds { min, max }))
    }

    /// One of these.
    #[must_use]
    pub fn choice(name: &str, of: impl IntoIterator<Item = Alternative>) -> Self {
        Self::new(name, Kind::Choice(of.into_iter().collect()))
    }

    /// The name that people read.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        self.title = title.into();
        self
    }

    /// What it is for, in a sentence or two.
    #[must_use]
    pub fn about(mut self, description: &str) -> Self {
        self.description = description.into();
        self
    }

    /// A workflow without it is refused.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// What the block gets where the step gives nothing.
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

    /// An answer that is its name and nothing else: `when-empty: fail`.
    #[must_use]
    pub fn plain(name: &str, title: &str) -> Self {
        Self::new(name, title, Carries::Nothing)
    }

    /// An answer with a text: `when-empty: { code: WELCOME }`.
    #[must_use]
    pub fn text(name: &str, title: &str) -> Self {
        Self::new(name, title, Carries::Text)
    }

    /// An answer with a length of time: `reuse: { contact: 30d }`.
    #[must_use]
    pub fn duration(name: &str, title: &str) -> Self {
        Self::new(name, title, Carries::Duration)
    }
}

impl Port {
    /// A way out by its name in workflows, in kebab-case. A workflow must lead it somewhere.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            title: name.into(),
            description: String::new(),
            follows: false,
        }
    }

    /// The name that people read.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        self.title = title.into();
        self
    }

    /// When the block takes it.
    #[must_use]
    pub fn about(mut self, description: &str) -> Self {
        self.description = description.into();
        self
    }

    /// The next step of the list follows where the workflow says nothing else.
    #[must_use]
    pub fn follows(mut self) -> Self {
        self.follows = true;
        self
    }
}
