//! The workspace: scratch that goes with its job, or a directory of the caller's.

use runtime_tests::{Request, Stage, stories};
use std::{
    ffi::OsString,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::PathBuf,
};

stories!(
    a_scratch_workspace_takes_files_and_programs,
    a_second_run_finds_nothing_of_the_first,
    what_a_job_makes_in_a_directory_belongs_to_the_caller,
    a_job_may_do_with_the_callers_files_what_the_caller_may,
    a_read_only_directory_is_read_only,
    a_relative_directory_is_relative_to_the_caller,
    what_lies_beside_the_directory_is_out_of_reach,
);

fn run(stage: &Stage, args: &[&str], script: &str) -> runtime_tests::Output {
    stage.run(&Request::new([args, &["--", "sh", "-c", script]].concat()))
}

/// A directory of the actor's with one file in it that only its owner may read.
fn directory(stage: &Stage) -> PathBuf {
    let directory = stage.open_directory().join("data");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("given"), "from outside\n").unwrap();
    fs::set_permissions(directory.join("given"), fs::Permissions::from_mode(0o600)).unwrap();
    if stage.uid() != runtime_sys::process::effective_uid() {
        for path in [&directory, &directory.join("given")] {
            chown(path, Some(stage.uid()), Some(stage.uid())).unwrap();
        }
    }
    directory
}

fn on_directory(stage: &Stage, read_only: bool, script: &str) -> (PathBuf, runtime_tests::Output) {
    let directory = directory(stage);
    let mut wish = OsString::from(&directory);
    if read_only {
        wish.push(":ro");
    }
    let mut request = Request::new(["--dir"]);
    request.args.push(wish);
    request.args.extend(["--", "sh", "-c", script].map(Into::into));
    let output = stage.run(&request);
    (directory, output)
}

fn a_scratch_workspace_takes_files_and_programs(stage: &Stage) {
    let script = "mkdir -p a/b && cp /bin/true a/b/program && a/b/program && ln a/b/program a/other && mv a c && stat -c %U:%a c/other && echo x >/tmp/y && echo z >/dev/shm/z && cat /tmp/y /dev/shm/z";
    let output = run(stage, &[], script);
    assert_eq!(
        (output.status.code(), output.text().as_str()),
        (Some(0), "job:755\nx\nz\n"),
        "{}",
        output.errors()
    );
}

fn a_second_run_finds_nothing_of_the_first(stage: &Stage) {
    let plant = r#"
import ctypes
for place in ("/workspace", "/tmp", "/dev/shm"):
    open(place + "/.planted", "w").write("x")
libc = ctypes.CDLL(None, use_errno=True)
print(libc.semget(0x0defaced, 1, 0o1666) >= 0)
"#;
    let look = r#"
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print([os.listdir(place) for place in ("/workspace", "/tmp", "/dev/shm")], libc.semget(0x0defaced, 0, 0))
"#;
    let first = stage.run(&Request::new(["--", "/usr/bin/python3", "-c", plant]));
    assert_eq!(first.text(), "True\n", "{}", first.errors());
    let second = stage.run(&Request::new(["--", "/usr/bin/python3", "-c", look]));
    assert_eq!(second.text(), "[[], [], []] -1\n", "{}", second.errors());
}

fn what_a_job_makes_in_a_directory_belongs_to_the_caller(stage: &Stage) {
    let script = "id -u; cat given; mkdir made; echo inside >made/file; ln -s file made/link; mkfifo made/pipe; stat -c %u made made/file given";
    let (directory, output) = on_directory(stage, false, script);
    assert_eq!(output.text(), "1000\nfrom outside\n1000\n1000\n1000\n", "{}", output.errors());
    for made in ["made", "made/file", "made/link", "made/pipe"] {
        let found = fs::symlink_metadata(directory.join(made)).unwrap();
        assert_eq!(found.uid(), stage.uid(), "{made}");
        assert_eq!(found.gid(), stage.uid(), "{made}");
    }
    assert_eq!(fs::read_to_string(directory.join("made/file")).unwrap(), "inside\n");
}

fn a_job_may_do_with_the_callers_files_what_the_caller_may(stage: &Stage) {
    let (directory, output) = on_directory(
        stage,
        false,
        "chmod 640 given && echo more >>given && mv given moved && touch new && rm new",
    );
    assert_eq!(output.status.code(), Some(0), "{}", output.errors());
    let moved = directory.join("moved");
    assert_eq!(fs::read_to_string(&moved).unwrap(), "from outside\nmore\n");
    assert_eq!(fs::metadata(&moved).unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
}

fn a_read_only_directory_is_read_only(stage: &Stage) {
    let script =
        "cat given; echo x >given; touch new; rm given; chmod 777 given; echo tmp >/tmp/x && cat /tmp/x";
    let (directory, output) = on_directory(stage, true, script);
    assert_eq!(output.text(), "from outside\ntmp\n");
    assert_eq!(output.errors().matches("Read-only file system").count(), 4, "{}", output.errors());
    let given = directory.join("given");
    assert_eq!(fs::read_to_string(&given).unwrap(), "from outside\n");
    assert_eq!(fs::metadata(&given).unwrap().permissions().mode() & 0o7777, 0o600);
}

fn a_relative_directory_is_relative_to_the_caller(stage: &Stage) {
    let directory = directory(stage);
    let mut command = stage.command(stage.program("runtime"));
    command.current_dir(&directory).args(["run", "--embedded", "--dir", ".", "--", "cat", "given"]);
    assert_eq!(command.output().unwrap().stdout, b"from outside\n");
}

fn what_lies_beside_the_directory_is_out_of_reach(stage: &Stage) {
    fs::write(stage.open_directory().join("beside"), "secret").unwrap();
    let script = "ls ..; cat ../beside ../open/beside; ln -s ../beside link; cat link";
    let (_, output) = on_directory(stage, false, script);
    assert!(output.text().contains("workspace"), "{}", output.text());
    assert!(!output.text().contains("secret"), "{}", output.text());
    assert_eq!(output.errors().matches("No such file or directory").count(), 3, "{}", output.errors());
}
