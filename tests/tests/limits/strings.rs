//! Arguments and environment, at their bounds and over them.

use runtime_tests::{Output, Request, Stage, stories};

stories!(
    the_longest_argument_arrives,
    an_argument_over_the_bound_is_refused,
    the_longest_variable_arrives,
    arguments_and_variables_together_are_bounded,
    many_short_arguments_arrive,
);

/// The kernel's bound on one string, with its NUL.
const STRING_BYTES_MAX: usize = 131_072;
/// The bound on all of them together.
const ALL_BYTES_MAX: usize = 1_572_864;

fn run(stage: &Stage, before: &[String], after: &[String]) -> Output {
    let args = before.iter().cloned().chain(["--".to_owned()]).chain(after.iter().cloned());
    stage.run(&Request::new(args))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn assert_refused(output: &Output, bytes: usize) {
    let errors = output.errors();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(125), 0), "{errors}");
    assert!(errors.starts_with("runtime: ") && errors.lines().count() == 1, "{errors}");
    assert!(
        errors.contains(&bytes.to_string()) && errors.contains("pass the data on stdin or in a file"),
        "{errors}"
    );
}

fn the_longest_argument_arrives(stage: &Stage) {
    let code = "import sys; print(len(sys.argv[1]), set(sys.argv[1]))";
    let mut command = words(&["/usr/bin/python3", "-c", code]);
    command.push("x".repeat(STRING_BYTES_MAX - 1));
    let output = run(stage, &[], &command);
    assert_eq!(output.text(), "131071 {'x'}\n", "{}", output.errors());
}

fn an_argument_over_the_bound_is_refused(stage: &Stage) {
    // The shell's exec could not hand on such an argument either: the kernel refuses our own start. A variable is handed on
    // in two pieces, each within the bound.
    let mut request = Request::new(["--env", "LONG", "--", "true"]);
    request.env.push(("LONG".to_owned(), "x".repeat(STRING_BYTES_MAX - "LONG=".len() - 1)));
    assert_eq!(stage.run(&request).status.code(), Some(0));
    let over = format!("LONGER={}", "x".repeat(STRING_BYTES_MAX - "LONGER=".len()));
    let mut command = stage.command(stage.program("runtime"));
    let error = command.args(["run", "--embedded", "--env", &over, "--", "true"]).output().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(7), "E2BIG of our own start: {error}");
}

fn the_longest_variable_arrives(stage: &Stage) {
    let assignment = format!("LONG={}", "y".repeat(STRING_BYTES_MAX - "LONG=".len() - 1));
    let code = "import os; print(len(os.environ['LONG']), set(os.environ['LONG']))";
    let output = run(stage, &words(&["--env", &assignment]), &words(&["/usr/bin/python3", "-c", code]));
    assert_eq!(output.text(), "131066 {'y'}\n", "{}", output.errors());
}

fn arguments_and_variables_together_are_bounded(stage: &Stage) {
    let code = "import sys; print(sum(len(word) for word in sys.argv[1:]))";
    let mut command = words(&["/usr/bin/python3", "-c", code]);
    let mut left = ALL_BYTES_MAX - command.iter().map(|word| word.len() + 1).sum::<usize>();
    while left > 0 {
        let bytes = left.min(100_000);
        command.push("z".repeat(bytes - 1));
        left -= bytes;
    }
    let output = run(stage, &[], &command);
    let expected: usize = command[3..].iter().map(String::len).sum();
    assert_eq!(output.text(), format!("{expected}\n"), "{}", output.errors());
    command.last_mut().unwrap().push('z');
    assert_refused(&run(stage, &[], &command), ALL_BYTES_MAX + 1);
}

fn many_short_arguments_arrive(stage: &Stage) {
    let count = 65_536 - 3;
    let mut command = words(&["/usr/bin/python3", "-c", "import sys; print(len(sys.argv) - 1)"]);
    command.extend((0..count).map(|number| number.to_string()));
    let output = run(stage, &[], &command);
    assert_eq!(output.text(), format!("{count}\n"), "{}", output.errors());
    command.push("one more".to_owned());
    assert_refused(&run(stage, &[], &command), 65_536);
}
