//! The plan as people and programs read it: `runtime run --plan`. Values of variables are not shown, only their names.

use crate::{
    digest,
    launch::{LaunchPlan, RootEntry},
    profile::{ArgumentCondition, ArgumentRule, Compare, SyscallPolicy},
    spec::StdinSource,
    syscall_name,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

impl LaunchPlan {
    /// SHA-256 of the plan, lower-case hex. It covers everything but the bytes of arguments and the values of variables: the
    /// digest goes into records that outlive the job, and a short secret could be guessed from it.
    pub fn digest(&self) -> String {
        let mut shown = self.clone();
        for argument in &mut shown.command.argv {
            argument.clear();
        }
        for variable in &mut shown.command.env {
            let name = variable.iter().position(|&byte| byte == b'=').unwrap_or(variable.len());
            variable.truncate(name);
        }
        digest::of("runtime plan 1", &shown)
    }

    /// The plan as indented JSON: bytes as text (lossy), system calls grouped by answer, variables by name only.
    pub fn to_json(&self) -> String {
        let mut value =
            serde_json::to_value(self).unwrap_or_else(|error| json!({ "error": error.to_string() }));
        if let Value::Object(plan) = &mut value {
            plan.insert("digest".to_owned(), json!(self.digest()));
            plan.insert("syscalls".to_owned(), syscalls(&self.syscalls));
            plan.insert("root".to_owned(), self.root.iter().map(root_entry).collect());
            if let Some(Value::Object(command)) = plan.get_mut("command") {
                command.insert("argv".to_owned(), texts(&self.command.argv));
                command.insert("path".to_owned(), texts(&self.command.path));
                command.insert("workdir".to_owned(), text(&self.command.workdir));
                if let StdinSource::File(path) = &self.command.stdin {
                    command.insert("stdin".to_owned(), json!({ "file": text(path) }));
                }
                command.insert("umask".to_owned(), octal(self.command.umask.into()));
                command.remove("env");
                let names =
                    self.command.env.iter().map(|variable| {
                        text(variable.split(|&byte| byte == b'=').next().unwrap_or_default())
                    });
                command.insert("env_names".to_owned(), names.collect());
            }
        }
        format!("{value:#}")
    }
}

fn text(bytes: &[u8]) -> Value {
    Value::String(String::from_utf8_lossy(bytes).into_owned())
}

fn texts(strings: &[Vec<u8>]) -> Value {
    strings.iter().map(|bytes| text(bytes)).collect()
}

fn octal(mode: u64) -> Value {
    Value::String(format!("{mode:04o}"))
}

fn root_entry(entry: &RootEntry) -> Value {
    let mut value = serde_json::to_value(entry).unwrap_or_else(|error| json!({ "error": error.to_string() }));
    for field in value.as_object_mut().into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut)
    {
        if let Some(mode) = field.get_mut("mode") {
            *mode = octal(mode.as_u64().unwrap_or_default());
        }
    }
    if let (RootEntry::File { contents, .. }, Some(file)) =
        (entry, value.get_mut("file").and_then(Value::as_object_mut))
    {
        file.insert("contents".to_owned(), text(contents));
    }
    value
}

/// Names by answer, and the calls that have rules apart.
fn syscalls(policy: &SyscallPolicy) -> Value {
    let mut answers: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut rules = Map::new();
    for entry in policy.entries.values() {
        if entry.rules.is_empty() {
            answers.entry(syscall_name::answer_name(entry.answer)).or_default().push(&entry.name);
        } else {
            let mut lines: Vec<String> = entry.rules.iter().map(rule).collect();
            lines.push(format!("else {}", syscall_name::answer_name(entry.answer)));
            rules.insert(entry.name.clone(), json!(lines));
        }
    }
    json!({
        "sets": policy.sets,
        "default": "EPERM",
        "above": { "number": policy.highest_known, "answer": "ENOSYS" },
        "answers": answers,
        "by_argument": rules,
    })
}

/// A rule in one line: `int arg0 & 0x7e020000 != 0: EPERM`. `int` compares the low 32 bits, `long` all 64.
fn rule(rule: &ArgumentRule) -> String {
    let conditions: Vec<String> = rule.when.iter().map(condition).collect();
    format!("{}: {}", conditions.join(" and "), syscall_name::answer_name(rule.answer))
}

fn condition(condition: &ArgumentCondition) -> String {
    let value = condition.value;
    let argument = format!("{} arg{}", if condition.dword { "int" } else { "long" }, condition.argument);
    match condition.compare {
        Compare::Equal => format!("{argument} == {value:#x}"),
        Compare::NotEqual => format!("{argument} != {value:#x}"),
        Compare::Greater => format!("{argument} > {value:#x}"),
        Compare::GreaterOrEqual => format!("{argument} >= {value:#x}"),
        Compare::Less => format!("{argument} < {value:#x}"),
        Compare::LessOrEqual => format!("{argument} <= {value:#x}"),
        Compare::MaskedEqual(mask) => format!("{argument} & {mask:#x} == {value:#x}"),
        Compare::AnyBit => format!("{argument} & {value:#x} != 0"),
    }
}
