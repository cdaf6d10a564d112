//! The user namespace: host uid 0 is in no map, groups are fixed, and pools of the kernel are the job's own.

crate::stories! {
    a_job_cannot_have_ids_of_the_host => ["E15.uid_map", "E15.gid_map", "E44.setgroups_deny", "P01.user"],
    a_job_cannot_use_up_inotify => ["R13"],
}
