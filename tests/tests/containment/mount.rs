//! The mount namespace and the root made by us: nothing of the host is there that the profile does not name.

crate::stories! {
    a_job_cannot_read_files_of_the_host => ["E02.host_file", "E13", "P01.mnt"],
    a_job_cannot_see_cgroup_file_systems => ["E04.cgroupfs"],
    a_job_cannot_open_devices_of_the_host => ["E17.numbers", "E28.node", "E33", "E37"],
    a_job_cannot_reach_sockets_of_the_host => ["E34.pathname", "E35"],
    a_job_cannot_reach_terminals_of_others => ["E30.others"],
    a_job_cannot_use_up_the_hosts_terminals => ["R13.terminals"],
    a_job_cannot_see_the_hardware => ["I05"],
    a_job_cannot_execute_from_shared_memory => ["F09.shm_exec"],
    a_job_cannot_fill_a_file_system_of_the_host => ["R07.tmp", "R07.shm", "R09"],
}

/// Tried with what it looks for planted, in `ipc`.
pub const TWO_JOBS: &[&str] = &["R20.look_files"];
