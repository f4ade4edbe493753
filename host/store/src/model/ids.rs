//! Row ids.

macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.trim().parse().map($name)
            }
        }
    };
}

row_id!(
    /// A stored event.
    EventRowId
);
row_id!(
    /// A run.
    RunId
);
row_id!(
    /// A claim.
    ClaimId
);
row_id!(
    /// A delivery.
    DeliveryId
);
row_id!(
    /// An alert event that is sent to a webhook.
    NotificationId
);
row_id!(
    /// A stored version of a workflow.
    WorkflowVersionId
);
row_id!(
    /// A state of the configuration: all messages and workflows up to that number.
    ConfigVersion
);
row_id!(
    /// An upload.
    UploadId
);
