//! The capabilities wall: all five sets are empty and stay so.

crate::stories! {
    a_job_holds_no_capability_and_gets_none_by_becoming_root_inside => ["E15.capabilities", "E15.setuid_0", "E15.setgid_0"],
    a_job_cannot_give_a_file_a_capability => ["E14"],
    a_job_cannot_change_its_groups => ["E44.setgroups"],
    a_job_cannot_read_page_frame_numbers => ["I03.pagemap"],
    a_job_cannot_push_others_aside => ["R12.real_time", "R12.nice", "R12.io_class", "R12.raise_limits"],
}
