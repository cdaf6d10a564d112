//! The documents name what exists: tests, walls, limits, profiles, probes, verbs, settings, faults. What they say of them is for people to check.

use runtime_plan::{
    fault::{self, CrashStep},
    library::Library,
    limit::LimitName,
    policy::Policy,
    wall::Wall,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const PENDING: &str = "[test pending]";

/// The repository. Where the tests were built elsewhere, the runner says where this package lies.
fn root() -> PathBuf {
    let package =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    package.parent().expect("the package lies in the repository").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Cells of each row of each table, heads and rules left out.
fn rows(text: &str) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for line in text.lines() {
        let Some(inner) = line.strip_prefix("| ").and_then(|line| line.strip_suffix('|')) else { continue };
        let cells: Vec<String> = inner.split(" | ").map(|cell| cell.trim().to_owned()).collect();
        if cells.iter().all(|cell| !cell.is_empty() && cell.bytes().all(|byte| byte == b'-')) {
            // The row above a rule is the head.
            rows.pop();
        } else {
            rows.push(cells);
        }
    }
    rows
}

/// Rows of the section under this heading.
fn section_rows(text: &str, heading: &str) -> Vec<Vec<String>> {
    let at = text.find(heading).unwrap_or_else(|| panic!("there is no heading {heading:?}"));
    let rest = &text[at + heading.len()..];
    rows(rest.split("\n## ").next().unwrap_or_default())
}

/// What stands in backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn identifier(text: &str) -> String {
    text.trim().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

/// Names of the tests that a source file declares: functions with a test attribute, and what the macros `stories!`
/// and `both!` make, which run a story as root and as an ordinary user.
fn declared_tests(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, name)) = line.split_once("fn ").filter(|_| is_test && !line.starts_with("//"))
        {
            names.insert(identifier(name));
            is_test = false;
        }
    }
    // `name,` makes two tests of the function `name`, `name => [probes]` two that try these probes.
    let code: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect();
    let calls = ["stories!", "both!"].into_iter().flat_map(|name| code.split(name).skip(1));
    for call in calls {
        let Some(list) = call.trim_start().strip_prefix(['(', '{']) else { continue };
        let mut depth = 0;
        let mut list: String = list
            .chars()
            .take_while(|c| {
                depth += i32::from(matches!(c, '(' | '{' | '[')) - i32::from(matches!(c, ')' | '}' | ']'));
                depth >= 0
            })
            .collect();
        while let (Some(start), Some(end)) = (list.find('['), list.find(']')) {
            list.replace_range(start..=end, "");
        }
        names.extend(list.split(',').map(identifier).filter(|name| !name.is_empty()));
    }
    names
}

/// Why a reference of the specification is wrong, if it is: `path::name` is a test, `path` a check that is no test.
fn fault(root: &Path, sources: &mut BTreeMap<String, BTreeSet<String>>, reference: &str) -> Option<String> {
    let (path, name) =
        reference.split_once("::").map_or((reference, None), |(path, name)| (path, Some(name)));
    if !root.join(path).is_file() {
        return Some(format!("{reference}: there is no file {path}"));
    }
    let name = name?;
    let tests = sources.entry(path.to_owned()).or_insert_with(|| declared_tests(&read(&root.join(path))));
    (!tests.contains(name)).then(|| format!("{reference}: there is no test {name} in {path}"))
}

#[test]
fn every_promise_names_a_test_that_exists_or_says_that_it_is_pending() {
    let root = root();
    let mut sources = BTreeMap::new();
    let mut faults = Vec::new();
    let rows = rows(&read(&root.join("tests/SPECIFICATION.md")));
    assert!(rows.len() > 50, "{} rows: the tables were not found", rows.len());
    for row in &rows {
        let [promise, _number, shown] = row.as_slice() else {
            faults.push(format!("three cells are wanted: {row:?}"));
            continue;
        };
        let references = quoted(shown);
        if shown == PENDING {
            continue;
        }
        if references.is_empty() || shown.contains(PENDING) {
            faults.push(format!("{promise:?}: name tests or say {PENDING}, not {shown:?}"));
        }
        faults.extend(references.iter().filter_map(|reference| fault(&root, &mut sources, reference)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_check_of_the_specification_sees_what_is_wrong() {
    let source = "#[test]\nfn one() {}\nfn helper() {}\n#[tokio::test(flavor = \"x\")]\n// why\nasync fn two() {}\n\
                  stories!(\n    three,\n    four,\n);\ncrate::stories! {\n    five => [\"E01\", \"E02\"],\n}\nfn three() {}";
    let names: Vec<String> = declared_tests(source).into_iter().collect();
    assert_eq!(names, ["five", "four", "one", "three", "two"]);
    let mut sources = BTreeMap::from([("Cargo.toml".to_owned(), declared_tests(source))]);
    assert_eq!(fault(&root(), &mut sources, "Cargo.toml::one"), None);
    assert_eq!(fault(&root(), &mut sources, "Cargo.toml"), None);
    assert!(fault(&root(), &mut sources, "Cargo.toml::helper").unwrap().contains("no test helper"));
    assert!(fault(&root(), &mut sources, "no/such.rs::one").unwrap().contains("no file"));
    assert_eq!(rows("| a | b |\n| --- | --- |\n| `c::d` | e, `f` |\n"), [["`c::d`", "e, `f`"]]);
    assert_eq!(quoted("`c::d`, then `e`"), ["c::d", "e"]);
}

#[test]
fn every_promise_of_the_threat_model_has_a_row() {
    let root = root();
    let model = read(&root.join("runtime/THREAT_MODEL.md"));
    let promised: BTreeSet<String> = model
        .lines()
        .filter_map(|line| line.strip_prefix("- **P"))
        .filter_map(|rest| rest.split_once("**").map(|(number, _)| format!("P{number}")))
        .collect();
    assert!(promised.len() > 15, "{promised:?}");
    let specified: BTreeSet<String> = rows(&read(&root.join("tests/SPECIFICATION.md")))
        .iter()
        .filter_map(|row| row.first()?.split_once(' ').map(|(first, _)| first.to_owned()))
        .filter(|first| first.strip_prefix('P').is_some_and(|number| number.parse::<u32>().is_ok()))
        .collect();
    assert_eq!(specified, promised);
}

#[test]
fn the_readme_lists_every_wall_in_order() {
    let rows = section_rows(&read(&root().join("README.md")), "\n## The walls\n");
    let named: Vec<String> = rows.iter().flat_map(|row| quoted(&row[0])).collect();
    assert_eq!(named, Wall::ALL.map(Wall::name));
}

/// A number as the readme writes it: `4 096`, `500 MB, at most half of memory`, `10 min`.
fn value(limit: LimitName, cell: &str) -> u64 {
    let text: String = cell.split(',').next().unwrap_or_default().chars().filter(|c| *c != ' ').collect();
    let text = if text == "0" && limit == LimitName::Swap { "0B".to_owned() } else { text };
    limit.parse(&text).unwrap_or_else(|error| panic!("{limit}: {cell:?}: {error}"))
}

#[test]
fn the_readme_lists_every_limit_with_its_default_and_its_ceiling() {
    let library = Library::built_in().unwrap();
    let limits = &library.profile("default").unwrap().limits;
    let ceilings = Policy::built_in().unwrap().ceilings;
    let rows = section_rows(&read(&root().join("README.md")), "\n## Limits\n");
    let named: Vec<String> = rows.iter().flat_map(|row| quoted(&row[0])).collect();
    assert_eq!(named, LimitName::ALL.map(LimitName::name));
    for (limit, row) in LimitName::ALL.into_iter().zip(&rows) {
        match limits.get(limit) {
            Some(default) => assert_eq!(value(limit, &row[2]), default, "{limit}"),
            None => assert_eq!(row[2], "the ceiling", "{limit}"),
        }
        assert_eq!(Some(value(limit, &row[3])), ceilings.get(limit), "{limit}");
    }
}

#[test]
fn the_readme_describes_every_profile_as_the_profile_does() {
    let library = Library::built_in().unwrap();
    let told: Vec<(String, String)> =
        library.summaries().into_iter().map(|profile| (profile.name, profile.description)).collect();
    let rows = section_rows(&read(&root().join("README.md")), "\n## Profiles\n");
    let written: Vec<(String, String)> =
        rows.iter().map(|row| (quoted(&row[0]).concat(), row[1].clone())).collect();
    assert_eq!(written, told);
}

/// What the program says of itself.
fn help(arguments: &[&str]) -> String {
    let said = Command::new(env!("CARGO_BIN_EXE_runtime-under-test")).args(arguments).arg("--help").output();
    String::from_utf8(said.unwrap().stdout).unwrap()
}

/// First words of the quoted texts in this column of a table.
fn first_words(rows: &[Vec<String>], column: usize) -> BTreeSet<String> {
    let words = rows.iter().filter_map(|row| row.get(column)).flat_map(|cell| quoted(cell));
    words.filter_map(|text| text.split([' ', '=']).next().map(str::to_owned)).collect()
}

#[test]
fn the_readme_lists_every_verb() {
    let commands = help(&[]);
    let commands = commands.split("\nCommands:\n").nth(1).and_then(|rest| rest.split("\n\n").next());
    // A longer description goes on in a line that is further in.
    let verbs: BTreeSet<String> = commands
        .expect("the help lists its verbs")
        .lines()
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')))
        .filter_map(|line| line.split(' ').next().map(str::to_owned))
        .collect();
    assert!(verbs.len() > 15, "{verbs:?}");
    let rows = section_rows(&read(&root().join("README.md")), "\n## As a daemon\n");
    let rows: Vec<Vec<String>> = rows.into_iter().filter(|row| row.len() == 2).collect();
    assert_eq!(first_words(&rows, 0), verbs);
}

#[test]
fn the_readme_lists_every_setting_of_the_daemon() {
    let mut flags: BTreeSet<String> = help(&["serve"])
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("--"))
        .map(|rest| format!("--{}", rest.split([' ', ',']).next().unwrap_or_default()))
        .collect();
    // Of every verb, or told in the text.
    for elsewhere in ["--endpoint", "--json", "--config"] {
        assert!(flags.remove(elsewhere), "{flags:?}");
    }
    let rows = section_rows(&read(&root().join("README.md")), "\n### Settings\n");
    assert_eq!(first_words(&rows, 0), flags);
}

#[test]
fn the_page_of_faults_lists_every_fault_and_every_step() {
    // A name that is near none is answered with all of them.
    let all = fault::parse("zzzzzzzzzzzz=1").unwrap_err().to_string();
    let all = all.split("known are ").nth(1).expect("all names");
    let names: BTreeSet<String> = all.split(", ").map(str::to_owned).collect();
    let steps = CrashStep::ALL.map(|step| step.name().to_owned()).into_iter();
    let rows = rows(&read(&root().join("runtime/FAULTS.md")));
    assert_eq!(first_words(&rows, 0), names.into_iter().chain(steps).collect());
}

#[test]
fn the_probes_that_the_threat_model_names_exist() {
    let listed = Command::new(env!("CARGO_BIN_EXE_probe")).arg("list").output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let exist: BTreeSet<&str> = listed
        .lines()
        .filter_map(|line| line.split(['.', '\t']).next())
        .filter(|id| !id.is_empty())
        .collect();
    let rows = section_rows(&read(&root().join("runtime/THREAT_MODEL.md")), "\n## Against what, with what\n");
    let named: BTreeSet<String> = rows.iter().flat_map(|row| quoted(&row[2])).collect();
    let unknown: Vec<&String> = named.iter().filter(|id| !exist.contains(id.as_str())).collect();
    assert!(unknown.is_empty(), "there are no probes {unknown:?}");
    // P: what works inside; the others are attacks, and each is in a row.
    let missing: Vec<&&str> =
        exist.iter().filter(|id| !id.starts_with('P') && !named.contains(**id)).collect();
    assert!(missing.is_empty(), "the table says nothing of {missing:?}");
}
