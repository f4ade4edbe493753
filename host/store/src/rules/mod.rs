//! The decisions that every engine makes inside its transactions, as functions of small rows.
//!
//! An engine reads the rows, asks a rule, and writes what the rule says. The rules know no SQL and
//! are tested without a database.
//!
//! | module | decides |
//! | --- | --- |
//! | [`attempts`] | what the end of an attempt does to its delivery |
//! | [`release`] | whether a code may return to the pool |
//! | [`starts`] | whether an event may start a workflow |
//! | [`upload`] | what a row of an upload may change |

pub mod attempts;
pub mod release;
pub mod starts;
pub mod upload;
