//! Decides. Spec, profile, policy and host facts become a launch plan: pure data to data, no libc, no clock, no files.
//!
//! Everything that crosses a border between our processes is a type of this crate: the messages of launcher and server
//! ([`link`]), the plan that init carries out ([`launch`]), the report of how a job ended ([`outcome`]).

pub mod doctor;
pub mod facts;
pub mod launch;
pub mod limit;
pub mod link;
pub mod outcome;
pub mod policy;
pub mod profile;
pub mod spec;
pub mod wall;
