//! Landlock: what file permissions and mounts leave open.

crate::stories! {
    a_job_cannot_signal_pid_1 => ["E39.signal_pid1", "E39.pidfd_pid1"],
    a_job_cannot_write_outside_its_directories_even_where_it_owns_the_file => ["F09.proc_self"],
    a_job_cannot_change_its_score_for_the_out_of_memory_killer => ["R12.oom_score_adj"],
}
