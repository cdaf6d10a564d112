//! Words for people: outcomes, amounts, times, tables, and the escaping of what strangers wrote. Pure; nothing is printed here.

pub mod amount;
pub mod escape;
pub mod outcome;
pub mod signal;
pub mod stream;
pub mod table;
pub mod when;
