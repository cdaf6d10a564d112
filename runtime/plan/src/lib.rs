//! Decides. Spec, profile, policy and host facts become a launch plan: pure data to data, no libc, no clock, no files.
//!
//! Everything that crosses a border between our processes is a type of this crate: the messages of launcher and server
//! ([`link`]), the plan that init carries out ([`launch`]), the report of how a job ended ([`outcome`]).

mod built_in;
pub mod daemon_config;
mod digest;
pub mod doctor;
pub mod facts;
pub mod fault;
pub mod launch;
mod launch_json;
pub mod library;
pub mod limit;
pub mod link;
pub mod outcome;
pub mod planner;
pub mod policy;
mod policy_file;
pub mod profile;
mod profile_file;
mod profile_merge;
pub mod quantity;
pub mod source;
pub mod spec;
mod suggest;
mod syscall_merge;
mod syscall_name;
mod syscall_set;
mod toml_reader;
pub mod wall;
pub mod walls_off;
