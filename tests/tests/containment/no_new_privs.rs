//! no_new_privs: no exec adds a privilege.

crate::stories! {
    a_job_cannot_gain_privilege_by_exec => ["E15.no_new_privs"],
}
