//! "Did you mean": the known name that is nearest to a wrong one.

/// How alike two names must be, 0 to 1, before one is offered for the other: `memroy` and `memory` are, `cpu` and `net` are not.
const LIKENESS_MIN: f64 = 0.75;

/// The nearest of `known`, when one is near.
pub(crate) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_ascii_lowercase().replace('-', "_");
    let mut best = None;
    for name in known {
        let likeness = strsim::jaro_winkler(&wrong, &name.to_ascii_lowercase().replace('-', "_"));
        if likeness >= LIKENESS_MIN && best.is_none_or(|(highest, _)| likeness > highest) {
            best = Some((likeness, name));
        }
    }
    best.map(|(_, name)| name)
}

/// The end of an error's sentence: the nearest name, or all of them.
pub(crate) fn hint(wrong: &str, known: &[&str]) -> String {
    match nearest(wrong, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => "there are none".to_owned(),
        None => format!("known are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_offered_and_a_far_one_is_not() {
        let known = ["memory", "pids", "wall_time", "required-when-rootful"];
        for (wrong, right) in [
            ("memroy", Some("memory")),
            ("Pids", Some("pids")),
            ("walltime", Some("wall_time")),
            ("required_when_rootful", Some("required-when-rootful")),
            ("xyzzy", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, known), right, "{wrong}");
        }
    }

    #[test]
    fn without_a_near_name_all_are_listed() {
        assert_eq!(hint("xyzzy", &["one", "two"]), "known are one, two");
    }
}
