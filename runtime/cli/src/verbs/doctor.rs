//! `runtime doctor`: what each wall needs on this host. Asks the daemon where there is one, else looks for itself.

use runtime_plan::doctor as plan;
use runtime_proto::v1::{DoctorRequest, DoctorResponse, Finding, FindingState};
use runtime_sandbox::launcher::settings;

use crate::args::Global;
use crate::endpoint::{self, Choice, Endpoint, Wishes};
use crate::error::{Error, STATUS_FAILED};
use crate::output::{self, Tone};
use crate::places::Surroundings;
use crate::text::{escape, table};
use crate::{client, json};

/// Prints the findings; 0 when the default profile can run.
pub fn doctor(global: Global) -> Result<u8, Error> {
    let as_json = global.json;
    let places = Surroundings::now();
    let default = endpoint::look_at(&places.default_socket(), places.uid);
    let answer = match endpoint::choose_for_run(&Wishes::now(global.endpoint, false), default)? {
        Choice::Daemon(endpoint) => ask(&endpoint)?,
        Choice::Embedded => look(&places)?,
    };
    if as_json {
        answer.findings.iter().try_for_each(|finding| output::print_json(&json::node::finding(finding)))?;
    } else {
        output::print(&text(&answer, output::has_colour()))?;
    }
    Ok(if answer.default_profile_runs { 0 } else { STATUS_FAILED })
}

fn ask(endpoint: &Endpoint) -> Result<DoctorResponse, Error> {
    super::runtime()?.block_on(async {
        let mut node = client::node(client::connect(endpoint).await?);
        let answer = node.doctor(DoctorRequest {}).await;
        answer.map(tonic::Response::into_inner).map_err(|status| client::refused(&status))
    })
}

/// Makes attempts in child processes, hence before any thread exists.
fn look(places: &Surroundings) -> Result<DoctorResponse, Error> {
    let state_dir = places.state_dir().unwrap_or_else(|| places.run_dir.clone());
    let (findings, default_profile_runs) =
        settings::examine_without_daemon(places.profiles_dir().as_deref(), &state_dir)
            .map_err(|error| Error::Launcher { text: error.to_string() })?;
    Ok(DoctorResponse { findings: findings.into_iter().map(to_message).collect(), default_profile_runs })
}

fn to_message(finding: plan::Finding) -> Finding {
    let state = match finding.state {
        plan::FindingState::Ok => FindingState::Ok,
        plan::FindingState::Warning => FindingState::Warning,
        plan::FindingState::Broken => FindingState::Broken,
    };
    Finding {
        name: finding.name,
        wall: finding.wall.map(|wall| wall.name().to_owned()).unwrap_or_default(),
        state: state.into(),
        seen: finding.seen,
        breaks: finding.breaks,
        mend: finding.mend,
    }
}

/// A line for each finding, and below those that are not well what breaks and what mends it.
fn text(answer: &DoctorResponse, colour: bool) -> String {
    let row = |finding: &Finding| {
        let name = escape::line(&finding.name);
        vec![
            json::node::finding_state(finding.state()),
            name,
            escape::line(&finding.wall),
            escape::line(&finding.seen),
        ]
    };
    let rows = answer.findings.iter().map(row).collect();
    let tones = [("ok", Tone::Good), ("warning", Tone::Doubtful), ("broken", Tone::Bad)];
    let mut text =
        output::paint_first(&table::plain(&["STATE", "THING", "WALL", "SEEN"], rows), &tones, colour);
    for finding in answer.findings.iter().filter(|finding| finding.state() != FindingState::Ok) {
        text.push_str(&format!("\n{}: {}\n", escape::line(&finding.name), escape::line(&finding.breaks)));
        // A mend may be several commands.
        for line in finding.mend.lines() {
            text.push_str(&format!("    {}\n", escape::line(line)));
        }
    }
    text.push_str(match answer.default_profile_runs {
        true => "\nThe default profile can run on this host.\n",
        false => "\nThe default profile cannot run on this host: mend what is broken above.\n",
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_well_shows_what_breaks_and_what_mends_it() {
        let bad = plan::Finding {
            name: "user_namespaces".into(),
            wall: Some(runtime_plan::wall::Wall::User),
            state: plan::FindingState::Broken,
            seen: "0".into(),
            breaks: "no job starts".into(),
            mend: "sysctl -w user.max_user_namespaces=1000\nsecond line".into(),
        };
        let good = plan::Finding {
            name: "seccomp".into(),
            wall: None,
            state: plan::FindingState::Ok,
            breaks: String::new(),
            mend: String::new(),
            seen: "yes".into(),
        };
        let answer =
            DoctorResponse { findings: vec![to_message(bad), to_message(good)], default_profile_runs: false };
        let text = text(&answer, false);
        for part in [
            "broken  user_namespaces  user  0",
            "user_namespaces: no job starts\n    sysctl -w",
            "    second line\n",
            "cannot run",
        ] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
        assert!(!text.contains("seccomp:"), "{text}");
    }
}
