//! Words for people: outcomes, amounts, tables, and the escaping of what strangers wrote. Pure; nothing is printed here.

pub mod amount;
pub mod escape;
pub mod outcome;
pub mod table;
