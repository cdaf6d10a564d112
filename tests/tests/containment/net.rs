//! The network namespace: `lo` and nothing else.

crate::stories! {
    a_job_cannot_reach_any_network => [
        "N01.public", "N01.metadata", "N01.private", "N01.public6", "N01.broadcast", "N01.interfaces", "P01.net",
    ],
    a_job_cannot_reach_services_of_the_host => ["N01.host_port", "E34.abstract"],
}
