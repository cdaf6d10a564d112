//! A syscall set: one file of answers to system calls, each with its reason. What a file says twice, says for nothing, or says
//! of a system call that does not exist is an error.
//!
//! ```toml
//! description = "One sentence."
//!
//! [[entry]]
//! names = ["clone"]            # or: name = "newcall", number = 470
//! answer = "allow"             # or an errno: "EPERM", "ENOSYS"; what no set names is answered EPERM
//! why = "Threads and processes."
//! override = true              # only where an earlier set of the profile has answered the call
//!
//! [[entry.rule]]               # exceptions; the first whose conditions all hold decides
//! when = [{ argument = 0, any_bit = 0x7e020000 }]
//! answer = "EPERM"
//! why = "No namespaces."
//! ```
//!
//! Conditions compare the low 32 bits (what the kernel looks at for `int`) unless `bits = 64`.

use crate::{
    profile::{Answer, ArgumentCondition, ArgumentRule, Compare},
    source::{ParseError, Place, SourceFile},
    suggest, syscall_name,
    toml_reader::{Placed, Reader, Table},
};
use std::ops::Range;

/// A set, read and checked by itself.
#[derive(Debug, Clone)]
pub(crate) struct SyscallSet {
    pub(crate) entries: Vec<SetEntry>,
}

/// One system call of a set.
#[derive(Debug, Clone)]
pub(crate) struct SetEntry {
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) answer: Answer,
    pub(crate) rules: Vec<ArgumentRule>,
    /// It takes the place of what an earlier set says.
    pub(crate) overrides: bool,
    pub(crate) place: Place,
}

/// What no set names is answered: what an unprivileged user hears.
pub(crate) const DEFAULT_ANSWER: Answer = Answer::Errno(1);

/// Comparisons by the name of their key.
const COMPARES: [(&str, Compare); 7] = [
    ("equal", Compare::Equal),
    ("not_equal", Compare::NotEqual),
    ("greater", Compare::Greater),
    ("greater_or_equal", Compare::GreaterOrEqual),
    ("less", Compare::Less),
    ("less_or_equal", Compare::LessOrEqual),
    ("any_bit", Compare::AnyBit),
];

/// Reads a set.
pub(crate) fn parse(file: &SourceFile) -> Result<SyscallSet, Vec<ParseError>> {
    let reader = Reader::new(file);
    let mut entries: Vec<SetEntry> = Vec::new();
    if let Some(document) = reader.document() {
        let table = Table::new(&reader, &document, "a syscall set", 0..0);
        check_description(&table);
        let tables = table.tables("entry", "an entry");
        if tables.as_ref().is_none_or(Vec::is_empty) {
            table.missing("entry", "a set has at least one [[entry]]");
        }
        for entry in tables.unwrap_or_default() {
            for parsed in parse_entry(&entry) {
                match entries.iter().find(|earlier| earlier.number == parsed.number) {
                    Some(earlier) => {
                        let message =
                            format!("`{}` is named twice: here and at {}", parsed.name, earlier.place);
                        entry.error(&entry.span(), message);
                    }
                    None => entries.push(parsed),
                }
            }
        }
        table.finish();
    }
    let errors = reader.into_errors();
    if errors.is_empty() { Ok(SyscallSet { entries }) } else { Err(errors) }
}

/// The system calls of one `[[entry]]`.
fn parse_entry(table: &Table<'_, '_>) -> Vec<SetEntry> {
    let calls = parse_calls(table);
    let answer = parse_answer(table);
    let overrides = table.boolean("override").is_some_and(|flag| flag.value);
    check_why(table);
    let rules: Vec<ArgumentRule> =
        table.tables("rule", "a rule").unwrap_or_default().iter().filter_map(parse_rule).collect();
    table.finish();
    let Some(answer) = answer else { return Vec::new() };
    if answer == DEFAULT_ANSWER && rules.is_empty() && !overrides {
        table
            .error(&table.span(), "the entry is redundant: EPERM is what every call hears that no set names");
    }
    if rules.last().is_some_and(|rule| rule.answer == answer) {
        let answer = syscall_name::answer_name(answer);
        table.error(&table.span(), format!("the last rule is redundant: the entry answers {answer} anyway"));
    }
    let entries = calls.into_iter().map(|(name, number, span)| SetEntry {
        number,
        name,
        answer,
        rules: rules.clone(),
        overrides,
        place: table.place(&span),
    });
    entries.collect()
}

/// Names, numbers and places of the calls that an entry is about.
fn parse_calls(table: &Table<'_, '_>) -> Vec<(String, u32, Range<usize>)> {
    let names = table.strings("names");
    let name = table.string("name");
    let number = table.number("number");
    match (names, name, number) {
        (Some(names), None, None) => names.into_iter().filter_map(|name| resolve(table, name)).collect(),
        (None, Some(name), None) => resolve(table, name).into_iter().collect(),
        (None, Some(name), Some(number)) => {
            if syscall_name::number(&name.value).is_some() {
                table.error(&number.span, format!("`{}` is known by name: leave `number` out", name.value));
                return Vec::new();
            }
            match u32::try_from(number.value) {
                Ok(value) if value <= syscall_name::HIGHEST_KNOWN => vec![(name.value, value, name.span)],
                _ => {
                    let highest = syscall_name::HIGHEST_KNOWN;
                    let message = format!(
                        "{} is above {highest}, the newest call of this build: such calls are answered ENOSYS",
                        number.value
                    );
                    table.error(&number.span, message);
                    Vec::new()
                }
            }
        }
        (None, None, _) => {
            table.missing("names", "name the system calls that it answers");
            Vec::new()
        }
        (Some(_), _, _) => {
            table.error(
                &table.span(),
                "an entry has either `names`, or `name` (with `number` for a call that has no known name)",
            );
            Vec::new()
        }
    }
}

fn resolve(table: &Table<'_, '_>, name: Placed<String>) -> Option<(String, u32, Range<usize>)> {
    if let Some(number) = syscall_name::number(&name.value) {
        return Some((name.value, number, name.span));
    }
    let hint = match suggest::nearest(&name.value, syscall_name::names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "give name and number if the kernel has it".to_owned(),
    };
    table.error(&name.span, format!("there is no system call `{}` on x86_64: {hint}", name.value));
    None
}

fn parse_answer(table: &Table<'_, '_>) -> Option<Answer> {
    let text = required_text(table, "answer", "write \"allow\" or an errno such as \"EPERM\"")?;
    let answer = syscall_name::answer(&text.value);
    if answer.is_none() {
        table.error(
            &text.span,
            format!("`{}` is no answer: write \"allow\" or an errno such as \"EPERM\"", text.value),
        );
    }
    answer
}

fn check_why(table: &Table<'_, '_>) {
    if let Some(why) = required_text(table, "why", "every answer has its reason")
        && why.value.trim().is_empty()
    {
        table.error(&why.span, "`why` is empty: every answer has its reason");
    }
}

fn check_description(table: &Table<'_, '_>) {
    if let Some(text) = required_text(table, "description", "one sentence that says what the set is for")
        && text.value.trim().is_empty()
    {
        table.error(&text.span, "`description` is empty: say in one sentence what the set is for");
    }
}

fn required_text(table: &Table<'_, '_>, key: &'static str, why: &str) -> Option<Placed<String>> {
    if table.get(key).is_none() {
        table.missing(key, why);
    }
    table.string(key)
}

fn parse_rule(table: &Table<'_, '_>) -> Option<ArgumentRule> {
    let answer = parse_answer(table);
    check_why(table);
    let conditions = table.tables("when", "a condition");
    if conditions.as_ref().is_none_or(Vec::is_empty) {
        table.missing("when", "a rule without a condition always holds; write it as the entry's answer");
    }
    let conditions = conditions.unwrap_or_default();
    let when: Vec<_> = conditions.iter().filter_map(parse_condition).collect();
    table.finish();
    (when.len() == conditions.len()).then_some(ArgumentRule { when, answer: answer? })
}

fn parse_condition(table: &Table<'_, '_>) -> Option<ArgumentCondition> {
    let argument = table.number("argument");
    let bits = table.number("bits");
    let mask = table.number("mask");
    let compares: Vec<_> = COMPARES
        .into_iter()
        .filter_map(|(key, compare)| table.number(key).map(|number| (compare, number)))
        .collect();
    table.finish();
    let Some(argument) = argument else {
        table.missing("argument", "which argument it compares, 0 to 5");
        return None;
    };
    let [(compare, value)] = compares.as_slice() else {
        let keys = COMPARES.map(|(key, _)| key).join(", ");
        table.error(&table.span(), format!("a condition has exactly one of {keys}"));
        return None;
    };
    let (compare, mask) = match (compare, mask) {
        (Compare::Equal, Some(mask)) => (Compare::MaskedEqual(mask.value), Some(mask.value)),
        (_, Some(mask)) => {
            table.error(&mask.span, "`mask` goes with `equal` only");
            return None;
        }
        (compare, None) => (*compare, None),
    };
    let dword = match bits.as_ref().map(|bits| bits.value) {
        None | Some(32) => true,
        Some(64) => false,
        Some(_) => {
            table.error(&table.span(), "`bits` is 32 (the default) or 64");
            return None;
        }
    };
    let wide = |number: u64| dword && number > u64::from(u32::MAX);
    let never = match compare {
        Compare::AnyBit => value.value == 0,
        Compare::MaskedEqual(mask) => value.value & !mask != 0,
        Compare::Less => value.value == 0,
        _ => false,
    };
    if argument.value > 5 {
        table.error(&argument.span, format!("argument {} does not exist: they are 0 to 5", argument.value));
    } else if wide(value.value) || mask.is_some_and(wide) {
        table.error(&value.span, "the number has more than 32 bits: add `bits = 64`");
    } else if never {
        table.error(&value.span, "the condition can never hold");
    } else {
        return Some(ArgumentCondition {
            argument: argument.value as u8,
            dword,
            compare,
            value: value.value,
        });
    }
    None
}

#[cfg(test)]
#[path = "syscall_set_tests.rs"]
mod tests;
