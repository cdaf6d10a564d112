//! Puts the sets of a profile together, in order, into one answer per system call.

use crate::{
    profile::{SyscallEntry, SyscallPolicy},
    source::{ParseError, Place},
    suggest,
    syscall_name::HIGHEST_KNOWN,
    syscall_set::{SetEntry, SyscallSet},
};
use std::collections::BTreeMap;

/// The filter that the named sets make. A later set answers a call again only with `override = true`.
pub(crate) fn merge(
    sets: &BTreeMap<String, SyscallSet>,
    names: &[(String, Place)],
) -> Result<SyscallPolicy, Vec<ParseError>> {
    let mut errors = Vec::new();
    let mut chosen: BTreeMap<u32, &SetEntry> = BTreeMap::new();
    for (name, place) in names {
        let Some(set) = sets.get(name) else {
            let known: Vec<&str> = sets.keys().map(String::as_str).collect();
            errors.push(
                place.error(format!("there is no syscall set `{name}`: {}", suggest::hint(name, &known))),
            );
            continue;
        };
        for entry in &set.entries {
            let earlier = chosen.insert(entry.number, entry);
            match (earlier, entry.overrides) {
                (Some(earlier), false) => errors.push(entry.place.error(format!(
                    "`{}` is answered already at {}: remove one, or say `override = true`",
                    entry.name, earlier.place
                ))),
                (None, true) => errors.push(entry.place.error(format!(
                    "`{}` overrides nothing: no earlier set of the profile answers it; leave `override` out",
                    entry.name
                ))),
                (Some(earlier), true) if (earlier.answer, &earlier.rules) == (entry.answer, &entry.rules) => {
                    let message = format!("`{}` says what {} says: remove it", entry.name, earlier.place);
                    errors.push(entry.place.error(message));
                }
                _ => {}
            }
        }
    }
    if chosen.is_empty() && errors.is_empty() {
        let message = "the filter would refuse every call: name the sets that it is made of";
        errors.extend(names.first().map(|(_, place)| place.error(message)));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let entries = chosen.into_iter().map(|(number, entry)| {
        let value =
            SyscallEntry { name: entry.name.clone(), answer: entry.answer, rules: entry.rules.clone() };
        (number, value)
    });
    Ok(SyscallPolicy {
        sets: names.iter().map(|(name, _)| name.clone()).collect(),
        entries: entries.collect(),
        highest_known: HIGHEST_KNOWN,
    })
}
