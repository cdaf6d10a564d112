//! The masks of /proc: what tells of the host, or changes it, is hidden or read-only.

crate::stories! {
    a_job_cannot_open_masked_files => ["E16.masked_files", "E16.masked_dirs", "I04.partitions"],
    a_job_cannot_write_sysctls => ["E16.user_sysctl", "E16.net_sysctl", "E16.read_only"],
    a_job_cannot_read_kernel_addresses => ["I03.kallsyms", "I03.iomem"],
}
