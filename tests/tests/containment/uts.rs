//! The uts namespace: the host's name is not the job's.

crate::stories! {
    a_job_cannot_learn_the_hosts_name => ["P01.uts", "P03"],
}
