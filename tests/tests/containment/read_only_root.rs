//! The read-only root: what is outside of /workspace, /tmp and /dev/shm stays as it is.

crate::stories! {
    a_job_cannot_write_outside_its_directories => ["F09.root", "F09.read_only_mounts"],
}
