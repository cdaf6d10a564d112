//! Jobs: who may start one more, which exist, and for each one that is not over one task that owns its life.
//!
//! ```text
//! api ─▶ registry ─▶ queue (pure) ─▶ task ─▶ link ─▶ launcher
//!            │                        │ └──▶ logs
//!            └──── store ◀────────────┘
//! ```
//!
//! Jobs that are not over are in memory, the others in the store only. What was answered to a client is on disk; what is not,
//! the launcher holds, and hands it to the next server.

mod changes;
mod job;
mod lookup;
mod pipes;
mod queue;
mod record;
mod recover;
mod registry;
mod request;
mod retention;
mod seal;
mod serving;
pub mod state;
mod stdin;
mod task;

pub use changes::What;
pub use job::{Command, End, Job, NotDone, Presence, Progress, StdinPiece};
pub use pipes::{Adoption, FromLauncher, Handover, JobPipes};
pub use record::{Finished, JobRecord, Started};
pub use recover::RecoverError;
pub use registry::{Parts, Registry};
pub use request::{Keep, NotDeleted, NotFound, NotTaken, OnDisconnect, Request, Taken};
pub use retention::Retention;
pub use serving::ServingState;
