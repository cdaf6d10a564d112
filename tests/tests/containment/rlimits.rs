//! Limits of each process.

crate::stories! {
    a_job_cannot_start_a_helper_of_the_host_by_crashing => ["E18.core_limit"],
    a_job_cannot_use_up_open_files => ["R10"],
    a_job_cannot_lock_memory => ["R12.mlock"],
    a_job_cannot_make_huge_files => ["R18.sparse"],
}
