//! Findings of the doctor and profiles as JSON.

use runtime_proto::v1::{Finding, FindingState, ProfileSummary};
use serde_json::Value;

use super::{Object, short};

/// A finding.
pub fn finding(finding: &Finding) -> Value {
    Object::default()
        .set("name", finding.name.as_str())
        .set("wall", finding.wall.as_str())
        .set("state", finding_state(finding.state()))
        .set("seen", finding.seen.as_str())
        .set("breaks", finding.breaks.as_str())
        .set("mend", finding.mend.as_str())
        .into()
}

/// `ok`, `warning`, `broken`.
pub fn finding_state(state: FindingState) -> String {
    short(state.as_str_name(), "FINDING_STATE_").into_owned()
}

/// A profile in a list.
pub fn profile_summary(profile: &ProfileSummary) -> Value {
    Object::default()
        .set("name", profile.name.as_str())
        .set("description", profile.description.as_str())
        .set("origin", profile.origin.as_str())
        .set("digest", profile.digest.as_str())
        .set("extends", profile.extends.clone())
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_has_every_field() {
        let value =
            finding(&Finding { name: "x".into(), state: FindingState::Broken.into(), ..Default::default() });
        assert_eq!(value["state"], "broken");
        for field in ["name", "wall", "seen", "breaks", "mend"] {
            assert!(value[field].is_string(), "{field}");
        }
    }
}
