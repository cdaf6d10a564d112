//! `runtime selftest`: runs this very program inside a sandbox of this host and lets it try to break out.
//!
//! It takes the way that every job takes (`run --embedded`), in a process of its own, and reads what the attacks print.

mod facts;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::args::{Global, SelftestArgs};
use crate::endpoint::{self, DefaultSocket};
use crate::error::{Error, STATUS_FAILED};
use crate::json::Object;
use crate::output::{self, Tone};
use crate::places::Surroundings;
use crate::text::{escape, table};
use facts::Facts;

/// The name of this program below /workspace.
const PROGRAM: &str = "runtime";
/// Characters of a detail in the table.
const DETAIL_CHARACTERS_MAX: usize = 100;

/// Tries everything and prints a table; 0 when nothing was reached.
pub fn selftest(global: Global, args: &SelftestArgs) -> Result<u8, Error> {
    let folder = tempfile::tempdir().map_err(|error| Error::io("make", "a temporary directory", error))?;
    copy_program(&folder.path().join(PROGRAM))?;
    let places = Surroundings::now();
    let daemon = match endpoint::look_at(&places.default_socket(), places.uid) {
        DefaultSocket::Ours(path) => Some(path),
        DefaultSocket::Absent(_) | DefaultSocket::Foreign { .. } => None,
    };
    let facts = Facts::plant(places.uid, daemon.as_deref())?;
    let results = parse(&attack(folder.path(), &args.profile, &facts)?)?;
    let summary = Summary::of(&results);
    if global.json {
        results.iter().try_for_each(|result| output::print_json(&result.json()))?;
    } else {
        print(&results, &summary)?;
    }
    Ok(if summary.breached + summary.untried < results.len() && summary.breached == 0 {
        0
    } else {
        STATUS_FAILED
    })
}

fn copy_program(to: &Path) -> Result<(), Error> {
    let failed = |error| Error::io("copy this program to", to.display().to_string(), error);
    std::fs::copy("/proc/self/exe", to).map_err(failed)?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o755)).map_err(failed)
}

fn attack(folder: &Path, profile: &str, facts: &Facts) -> Result<String, Error> {
    let mut directory = folder.as_os_str().to_owned();
    directory.push(":ro");
    let output = Command::new("/proc/self/exe")
        .args(["run", "--embedded", "--profile", profile, "--dir"])
        .arg(directory)
        .args(facts.variables.iter().map(|variable| format!("--env={variable}")))
        .args(["--", &format!("/workspace/{PROGRAM}"), runtime_probes::VERB, "all"])
        .env("RUNTIME_SELFTEST", &facts.canary)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Error::io("start", "this program again", error))?;
    if !output.status.success() {
        let text = format!(
            "the attacks did not run to their end ({}); `runtime doctor` says what this host lacks",
            output.status
        );
        return Err(Error::Launcher { text });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What one attack did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// It was refused.
    Contained,
    /// It worked.
    Breached,
    /// It could not be tried here.
    Untried,
}

impl Held {
    const fn word(self) -> &'static str {
        match self {
            Held::Contained => "contained",
            Held::Breached => "breached",
            Held::Untried => "not tried",
        }
    }
}

/// One line of the attacks' output.
#[derive(Debug, PartialEq, Eq)]
struct Attack {
    id: String,
    held: Held,
    detail: String,
}

impl Attack {
    fn json(&self) -> Value {
        Object::default()
            .set("id", self.id.as_str())
            .set("verdict", self.held.word())
            .set("detail", self.detail.as_str())
            .into()
    }
}

/// Reads `ID<TAB>verdict<TAB>detail` lines. No line at all, or a line of another form, is an error: silence is no proof.
fn parse(text: &str) -> Result<Vec<Attack>, Error> {
    let strange = |what: String| Error::Protocol { what };
    let attacks = text.lines().map(|line| {
        let mut fields = line.splitn(3, '\t');
        let (id, verdict, detail) = (fields.next(), fields.next(), fields.next());
        let held = match verdict {
            Some("contained") => Held::Contained,
            Some("breached") => Held::Breached,
            Some("broken") => Held::Untried,
            _ => return Err(strange(format!("an attack printed {:?}", escape::cut(line, 80)))),
        };
        Ok(Attack {
            id: id.unwrap_or_default().to_owned(),
            held,
            detail: detail.unwrap_or_default().to_owned(),
        })
    });
    let attacks = attacks.collect::<Result<Vec<_>, _>>()?;
    if attacks.is_empty() { Err(strange("no attack was tried".to_owned())) } else { Ok(attacks) }
}

/// How many of each.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    contained: usize,
    breached: usize,
    untried: usize,
}

impl Summary {
    fn of(attacks: &[Attack]) -> Summary {
        let count = |held| attacks.iter().filter(|attack| attack.held == held).count();
        Summary {
            contained: count(Held::Contained),
            breached: count(Held::Breached),
            untried: count(Held::Untried),
        }
    }
}

fn print(attacks: &[Attack], summary: &Summary) -> Result<(), Error> {
    let row = |attack: &Attack| {
        let detail = escape::cut(&escape::line(&attack.detail), DETAIL_CHARACTERS_MAX);
        vec![attack.held.word().to_owned(), escape::line(&attack.id), detail]
    };
    let text = table::plain(&["VERDICT", "ATTACK", "DETAIL"], attacks.iter().map(row).collect());
    let tones = [("contained", Tone::Good), ("not tried", Tone::Doubtful), ("breached", Tone::Bad)];
    output::print(&output::paint_first(&text, &tones, output::has_colour()))?;
    let Summary { contained, breached, untried } = summary;
    output::print(&format!(
        "\n{contained} contained, {breached} breached, {untried} not tried on this host\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_the_attacks_are_read() {
        let attacks =
            parse("E01.a\tcontained\tEPERM\nE02.b\tbroken\tno\tdevice\nE03.c\tbreached\t\n").unwrap();
        assert_eq!(
            attacks[1],
            Attack { id: "E02.b".into(), held: Held::Untried, detail: "no\tdevice".into() }
        );
        assert_eq!(Summary::of(&attacks), Summary { contained: 1, breached: 1, untried: 1 });
        assert_eq!(attacks[2].json()["verdict"], "breached");
    }

    #[test]
    fn silence_and_noise_are_no_proof() {
        for text in ["", "E01.a\n", "E01.a\tfine\tx\n", "panicked at\n"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
