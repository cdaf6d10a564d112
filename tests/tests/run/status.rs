//! The exit status of a run is its command's, whatever it is.

use runtime_tests::{Request, Stage, stories};

stories!(
    the_status_is_the_commands_own,
    a_signal_shows_as_a_shell_shows_it,
    a_command_that_the_filter_kills_is_told_so,
    a_core_is_not_dumped_onto_the_host,
);

fn the_status_is_the_commands_own(stage: &Stage) {
    for code in [0, 1, 2, 63, 124, 125, 126, 127, 128, 137, 143, 254, 255] {
        let output = stage.run(&Request::new(["--", "sh", "-c", &format!("exit {code}")]));
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(output.errors(), "", "of a command that exits by itself nothing is said");
        assert_eq!(output.report["outcome"]["exited"]["code"], code);
        assert_eq!(output.report["exit_status"], code);
    }
}

fn a_signal_shows_as_a_shell_shows_it(stage: &Stage) {
    for (signal, name) in
        [(1, "1 (HUP)"), (9, "9 (KILL)"), (11, "11 (SEGV)"), (13, "13 (PIPE)"), (15, "15 (TERM)"), (64, "64")]
    {
        let output = stage.run(&Request::new(["--", "sh", "-c", &format!("kill -{signal} $$")]));
        assert_eq!(output.status.code(), Some(128 + signal), "{}", output.errors());
        assert_eq!(output.errors(), format!("runtime: the command was ended by signal {name}\n"));
        assert_eq!(output.report["outcome"]["signalled"]["signal"], signal);
    }
}

fn a_command_that_the_filter_kills_is_told_so(stage: &Stage) {
    // An x86_64 kernel with i386 emulation would answer int 0x80 as i386; the filter kills what is not x86_64.
    let code = "import ctypes, mmap\nm = mmap.mmap(-1, 4096, prot=7)\nm.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')\nctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()";
    let output = stage.run(&Request::new(["--", "/usr/bin/python3", "-c", code]));
    assert!(
        [Some(128 + 31), Some(128 + 11)].contains(&output.status.code()),
        "neither SIGSYS nor, without the emulation, SIGSEGV: {:?} {}",
        output.status,
        output.errors()
    );
    assert!(output.errors().starts_with("runtime: "), "{}", output.errors());
    assert_eq!(output.errors().lines().count(), 1);
}

fn a_core_is_not_dumped_onto_the_host(stage: &Stage) {
    let dir = stage.open_directory().join("core");
    std::fs::create_dir(&dir).unwrap();
    let output = stage.run(&Request::new(["--", "sh", "-c", "ulimit -c; kill -ABRT $$"]));
    assert_eq!(output.status.code(), Some(128 + 6));
    assert_eq!(output.text(), "0\n");
    assert_eq!(output.report["outcome"]["signalled"]["core_dumped"], false);
}
