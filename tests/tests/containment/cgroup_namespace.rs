//! The cgroup namespace: a job sees itself at `/`.

crate::stories! {
    a_job_cannot_see_where_the_host_put_it => ["E04.cgroup_path", "P01.cgroup"],
}
