//! The decisions that every engine makes inside its transactions, as functions of small rows.
//!
//! An engine reads the rows, asks a rule, and writes what the rule says. The rules know no SQL and
//! are tested without a database.
//!
//! | module | decides |
//! | --- | --- |
//! | [`actions`] | what an operator's action on a run or a delivery does |
//! | [`alternatives`] | which alternative of a delivery is tried |
//! | [`attempts`] | what the end of an attempt does to its delivery |
//! | [`batch`] | how units are committed if their batch cannot be |
//! | [`contacts`] | which contact a row or an event is about |
//! | [`deliveries`] | how a staged delivery begins |
//! | [`release`] | whether a code may return to the pool |
//! | [`retirement`] | what retiring or reinstating does to a code |
//! | [`reuse`] | whether a contact's code may be reused, and what is recorded |
//! | [`runs`] | what a segment does to its run |
//! | [`slices`] | how the rows of a staged upload are stored until they are added |
//! | [`spellings`] | which codes differ only in letter case |
//! | [`starts`] | whether an event may start a workflow, and which runs it stops |
//! | [`upload`] | what a row of an upload may change |
//! | [`waiting`] | which waiting run gets a code, and when a wait is over |

pub mod actions;
pub mod alternatives;
pub mod attempts;
pub mod batch;
pub mod contacts;
pub mod deliveries;
pub mod release;
pub mod retirement;
pub mod reuse;
pub mod runs;
pub mod slices;
pub mod spellings;
pub mod starts;
pub mod upload;
pub mod waiting;
