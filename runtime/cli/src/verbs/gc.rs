//! `runtime gc`: names and removes what dead launchers left on this host. It needs no daemon, and touches nothing of one that
//! lives.

use runtime_sandbox::gc::{self, Fate, Found, Leftover};
use serde_json::{Value, json};

use crate::args::{GcArgs, Global};
use crate::error::{Error, STATUS_FAILED};
use crate::output::{self, Tone};
use crate::text::{escape, table};

/// Lists, and removes unless it is only asked; 1 when something stays that should not.
pub fn gc(global: Global, args: GcArgs) -> Result<u8, Error> {
    let removes = !args.dry_run && !args.check;
    let found = gc::collect(removes).map_err(|error| Error::Launcher { text: error.to_string() })?;
    if global.json {
        found.leftovers.iter().try_for_each(|leftover| output::print_json(&to_json(leftover)))?;
    } else {
        output::print(&text(&found.leftovers, output::has_colour()))?;
    }
    for error in &found.errors {
        let error = Error::Launcher { text: error.clone() };
        output::complain(&error.show(global.json));
    }
    Ok(status(&found, removes, args.check))
}

fn status(found: &Found, removes: bool, check: bool) -> u8 {
    let stays = found.leftovers.iter().any(|leftover| leftover.fate != Fate::Removed);
    if !found.errors.is_empty() || (stays && (removes || check)) { STATUS_FAILED } else { 0 }
}

/// What became of it, in one word.
fn state(fate: &Fate) -> &'static str {
    match fate {
        Fate::Left => "left",
        Fate::Removed => "removed",
        Fate::Stuck(_) => "stuck",
    }
}

fn to_json(leftover: &Leftover) -> Value {
    let mut value = json!({
        "kind": leftover.kind.name(),
        "what": leftover.what,
        "state": state(&leftover.fate),
    });
    let why = match &leftover.fate {
        Fate::Stuck(why) => Some(why),
        Fate::Left | Fate::Removed => None,
    };
    for (key, known) in
        [("instance", leftover.instance.as_ref()), ("job", leftover.job.as_ref()), ("why", why)]
    {
        if let Some(known) = known {
            value[key] = json!(known);
        }
    }
    value
}

/// A line for each, and below why something is stuck.
fn text(leftovers: &[Leftover], colour: bool) -> String {
    if leftovers.is_empty() {
        return "Nothing is left of launchers that died.\n".to_owned();
    }
    let cell = |known: &Option<String>| known.as_deref().map_or("-".to_owned(), escape::line);
    let row = |it: &Leftover| {
        let kind = it.kind.name().to_owned();
        vec![state(&it.fate).to_owned(), kind, cell(&it.instance), cell(&it.job), escape::line(&it.what)]
    };
    let rows = leftovers.iter().map(row).collect();
    let tones = [("left", Tone::Doubtful), ("removed", Tone::Good), ("stuck", Tone::Bad)];
    let plain = table::plain(&["STATE", "KIND", "INSTANCE", "JOB", "WHAT"], rows);
    let mut text = output::paint_first(&plain, &tones, colour);
    for leftover in leftovers {
        if let Fate::Stuck(why) = &leftover.fate {
            text.push_str(&format!(
                "\n{} {}: {}\n",
                leftover.kind.name(),
                escape::line(&leftover.what),
                escape::line(why)
            ));
        }
    }
    text
}
