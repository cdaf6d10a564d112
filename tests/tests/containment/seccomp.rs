//! The system call filter: what the kernel does not even begin to do.

crate::stories! {
    a_job_cannot_mount => ["E05"],
    a_job_cannot_use_the_new_mount_calls => ["E06"],
    a_job_cannot_make_namespaces => ["E07", "E08"],
    a_job_cannot_enter_namespaces => ["E09.own", "E09.own_pidfd"],
    a_job_cannot_open_files_by_handle => ["E10"],
    a_job_cannot_change_its_root => ["E11"],
    a_job_cannot_make_device_nodes => ["E12"],
    a_job_cannot_do_without_the_filter => ["E15.seccomp"],
    a_job_cannot_lower_its_core_limit_and_so_start_a_helper => [
        "E18.prlimit64", "E18.prlimit64_own_pid", "E18.setrlimit",
    ],
    a_job_cannot_open_rare_socket_families => ["E19", "E20", "E22"],
    a_job_cannot_splice_pages => ["E21"],
    a_job_cannot_use_io_uring_or_aio => ["E23", "R29.io_setup", "R29.io_submit"],
    a_job_cannot_call_the_kernel_as_i386 => ["E25"],
    a_job_cannot_load_programs_into_the_kernel => ["E26", "E27"],
    a_job_cannot_handle_page_faults_of_the_kernel => ["E28.userfaultfd"],
    a_job_cannot_reach_the_administrators_calls => [
        "E29.init_module", "E29.finit_module", "E29.delete_module", "E29.kexec_load", "E29.kexec_file_load",
        "E29.reboot", "E29.swapon", "E29.swapoff", "E29.acct", "E29.syslog", "E29.adjtimex", "E29.clock_adjtime",
        "E29.settimeofday", "E29.clock_settime", "E29.sethostname", "E29.setdomainname", "E29.iopl", "E29.ioperm",
        "E29.quotactl", "E29.quotactl_fd", "E29.vhangup", "E29.fanotify_init", "I03.dmesg",
    ],
    a_job_cannot_reach_rare_calls => [
        "E29.mbind", "E29.get_mempolicy", "E29.set_mempolicy", "E29.migrate_pages", "E29.move_pages",
        "E29.modify_ldt", "E29.ustat", "E29.sysfs", "E29.memfd_secret", "E29.process_madvise",
        "E29.process_mrelease", "E29.remap_file_pages", "E29.mq_open", "E29.lsm_list_modules",
        "E29.futex_requeue",
    ],
    a_job_cannot_type_into_a_terminal => [
        "E30.tiocsti", "E30.tiocsti_high", "E30.tioclinux", "E30.tioclinux_high", "E30.tiocsetd",
        "E30.tiocsetd_high", "E30.tioccons",
    ],
    a_job_cannot_weaken_its_own_memory_layout => ["E31"],
    a_job_cannot_trace_its_children => [
        "E38.ptrace_child", "E38.vm_readv_child", "E38.vm_writev_child", "E38.pidfd_getfd_child", "E38.kcmp_child",
    ],
    a_job_cannot_make_set_id_files => [
        "F10.chmod_suid", "F10.chmod_sgid", "F10.fchmod_suid", "F10.fchmod_sgid", "F10.fchmodat_suid",
        "F10.fchmodat_sgid", "F10.fchmodat2_suid", "F10.fchmodat2_sgid", "F10.open_suid", "F10.openat_suid",
        "F10.openat_sgid", "F10.openat2_suid", "F10.openat2_sgid", "F10.tmpfile_suid", "F10.creat_suid",
        "F10.creat_sgid", "F10.mknod_suid", "F10.mknodat_suid", "F10.mknodat_sgid", "F10.chmod_high",
    ],
    a_job_cannot_set_file_attributes => ["F12.file_setattr"],
    a_job_cannot_use_keyrings => ["R21"],
    a_job_cannot_see_what_others_have_in_the_page_cache => ["R24"],
}
