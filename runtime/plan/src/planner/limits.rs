//! Limits: what the caller asks for, else what the profile says, never above the policy's ceiling.

use super::refuse;
use crate::{
    limit::{LimitName, Limits},
    link::{Refusal, RefusalReason},
    policy::Policy,
    profile::Profile,
    spec::Spec,
};

/// The limits of this job. A request that is out of bounds is refused; a profile's own value above a ceiling is lowered.
pub(super) fn decide(spec: &Spec, profile: &Profile, policy: &Policy) -> Result<Limits, Refusal> {
    let mut limits = profile.limits.clone();
    if spec.terminal.is_some() && !is_fixed(LimitName::WallTime, profile, policy) {
        // Somebody sits there and thinks: a time that is right for a command that runs by itself would end that.
        limits.wall_time_ms = None;
    }
    for limit in LimitName::ALL {
        if let Some(asked) = spec.limits.get(limit) {
            check(limit, asked, profile, policy)?;
            limits.set(limit, asked);
        } else if let Some(ceiling) = policy.ceilings.get(limit)
            && limits.get(limit).is_none_or(|value| value > ceiling)
        {
            limits.set(limit, ceiling);
        }
        if limits.get(limit).is_none() && policy.must_set.contains(&limit) {
            return out_of_range(format!(
                "the policy `{}` takes no job without {limit}: ask for one, for example --limit {limit}=10min",
                policy.name
            ));
        }
    }
    bound_scratch(spec, &mut limits)?;
    Ok(limits)
}

/// Whether the profile's own value holds whatever kind of job it is.
fn is_fixed(limit: LimitName, profile: &Profile, policy: &Policy) -> bool {
    profile.fixed_limits.contains(&limit) || policy.must_set.contains(&limit)
}

fn check(limit: LimitName, asked: u64, profile: &Profile, policy: &Policy) -> Result<(), Refusal> {
    let shown = limit.show(asked);
    if profile.fixed_limits.contains(&limit) && profile.limits.get(limit) != Some(asked) {
        let value = profile.limits.get(limit).map_or_else(|| "none".to_owned(), |value| limit.show(value));
        return out_of_range(format!(
            "{limit}={shown} was asked for, and the profile `{}` fixes it at {value}: leave it out, or use another profile",
            profile.name
        ));
    }
    if asked < limit.floor() {
        return out_of_range(format!(
            "{limit}={shown} is below {}, the least that still runs a program: ask for more",
            limit.show(limit.floor())
        ));
    }
    match policy.ceilings.get(limit) {
        Some(ceiling) if asked > ceiling => out_of_range(format!(
            "{limit}={shown} is above the ceiling of {} in the policy `{}`: ask for less, or have the ceiling raised",
            limit.show(ceiling),
            policy.name
        )),
        _ => Ok(()),
    }
}

/// Scratch counts against memory, and must be full (ENOSPC) before memory is (death): by itself it is at most half of it.
fn bound_scratch(spec: &Spec, limits: &mut Limits) -> Result<(), Refusal> {
    if spec.limits.scratch_bytes.is_none() {
        limits.scratch_bytes =
            limits.scratch_bytes.min(limits.memory_bytes / 2).max(LimitName::Scratch.floor());
        return Ok(());
    }
    if limits.scratch_bytes > limits.memory_bytes {
        return out_of_range(format!(
            "scratch={} is above memory={}, which it counts against: ask for more memory or less scratch",
            LimitName::Scratch.show(limits.scratch_bytes),
            LimitName::Memory.show(limits.memory_bytes)
        ));
    }
    Ok(())
}

fn out_of_range<T>(message: String) -> Result<T, Refusal> {
    refuse(RefusalReason::LimitOutOfRange, message)
}
