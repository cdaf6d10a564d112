//! Builds the walls.
//!
//! ```text
//! launcher   one thread; holds the privilege; plans, starts, ends and reaps          [launcher]
//! ├─ zygote  clones sandboxes, holds nothing else                                    [zygote]
//! ├─ server  another crate, another uid: what it says is checked                     [launcher::server]
//! └─ init    pid 1 of a sandbox: raises the walls, starts the job, waits             [inside]
//! ```

pub mod doctor;
pub mod frame;
pub mod gc;
pub mod host;
mod inside;
pub mod launcher;
#[cfg(test)]
mod made_up;
mod zygote;
