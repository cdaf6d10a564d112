//! What no single wall keeps: the launcher does it in every launch, or the kernel by itself. `probe list --long` gives the
//! reason for each. Positives are here too: a sandbox in which nothing works contains everything.

crate::stories! {
    a_job_can_do_what_programs_expect => ["P02", "P04", "P05", "P06", "P07", "P08", "P09", "P10", "R27"],
    a_job_cannot_overwrite_programs_of_the_host => ["E01", "F09.elsewhere", "F09.overwrite", "E40"],
    a_job_cannot_climb_out_of_its_root => ["E02.cwd", "E02.fds"],
    a_job_cannot_use_cgroup_files => ["E03", "E04.cgroup_procs"],
    a_job_cannot_enter_namespaces_of_pid_1 => ["E09.pid1"],
    a_job_cannot_change_how_the_kernel_calls_programs => [
        "E16.core_pattern", "E16.modprobe", "E16.sysrq", "E16.uevent_helper", "E16.binfmt_misc", "E16.vm",
    ],
    a_job_cannot_be_given_a_false_device => ["E17.fakes", "E30.host_tty", "E30.master"],
    a_job_cannot_call_what_no_kernel_has => ["E24", "E29.uselib", "E29.set_thread_area", "E29.unknown"],
    a_job_cannot_shed_its_walls_by_exec => ["E32"],
    a_job_cannot_trace_pid_1 => [
        "E38.ptrace_pid1", "E38.vm_readv_pid1", "E38.vm_writev_pid1", "E38.pidfd_getfd_pid1", "E38.kcmp_pid1",
        "E38.mem_pid1",
    ],
    a_job_cannot_see_the_launchers_environment => ["E42", "I01.environ"],
    a_job_cannot_keep_the_launchers_groups => ["E44.groups"],
    a_job_cannot_link_or_move_files_of_the_host => ["F06"],
    a_job_cannot_change_a_project_id => ["F12.project_id"],
    a_job_cannot_make_a_set_id_directory => ["F10.mkdir_sgid", "F10.mkdirat_sgid"],
    a_job_cannot_read_memory_through_proc => ["I03.memory_nodes"],
    a_job_cannot_learn_where_it_is_kept => ["I04.mountinfo"],
    a_job_cannot_do_more_with_its_streams_than_read_and_write => ["L04", "L05"],
    a_job_cannot_get_more_than_its_scratch => ["R07.workspace", "R18.fallocate"],
    a_job_cannot_keep_memory_in_pipes => ["R06.pipes"],
}
