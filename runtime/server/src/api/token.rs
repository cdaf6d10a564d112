//! Tokens that clients carry from one call to the next: where a list or a watch goes on. Pure.
//!
//! A token names the filter that it was made under, so that it is refused with another one. For clients it is opaque;
//! it is neither secret nor proof of anything.

use super::errors::Reason;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use tonic::Status;

/// Digits of a filter's digest: two filters of one client are never taken for each other by chance.
const DIGEST_DIGITS: usize = 16;

/// What a list or a watch is narrowed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    /// The number of a state; 0 is any.
    pub(super) state: i32,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) profile: Option<String>,
    pub(super) org: Option<String>,
    pub(super) created_after_us: Option<u64>,
    pub(super) created_before_us: Option<u64>,
}

impl Filter {
    fn digest(&self) -> String {
        let Filter { state, labels, profile, org, created_after_us, created_before_us } = self;
        let mut hasher = Sha256::new();
        // Lengths keep the fields apart.
        let mut field = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        field(&state.to_le_bytes());
        for text in [profile, org] {
            field(&[u8::from(text.is_some())]);
            field(text.as_deref().unwrap_or_default().as_bytes());
        }
        for time in [created_after_us, created_before_us] {
            field(&[u8::from(time.is_some())]);
            field(&time.unwrap_or_default().to_le_bytes());
        }
        for (key, value) in labels {
            field(key.as_bytes());
            field(value.as_bytes());
        }
        let digest = hasher.finalize();
        digest.iter().take(DIGEST_DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The token of the page behind this id.
pub(super) fn page_token(filter: &Filter, last_id: &str) -> String {
    format!("p1.{}.{last_id}", filter.digest())
}

/// The id that a page begins behind; `None` for the first page.
///
/// # Errors
/// INVALID_ARGUMENT for what is no token of this filter.
pub(super) fn page_from_token(filter: &Filter, token: &str) -> Result<Option<String>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let wrong = |text: &str| Reason::BadPage.status(text);
    let not_ours = || wrong("the page token is not one of ours: pass it as it came");
    let (digest, id) =
        token.strip_prefix("p1.").and_then(|rest| rest.split_once('.')).ok_or_else(not_ours)?;
    if !is_id(id) || digest.len() != DIGEST_DIGITS {
        return Err(not_ours());
    }
    if digest != filter.digest() {
        return Err(wrong(
            "the page token belongs to another filter: pass the filter of the first page again",
        ));
    }
    Ok(Some(id.to_owned()))
}

/// Where a watch is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Changes after this one are still to be told.
    pub(super) change: u64,
    /// Of the jobs that were there at the beginning, those before this id are still to be told; `None` when all were.
    pub(super) before: Option<Before>,
}

/// How far the beginning of a watch has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Before {
    /// None has been told.
    All,
    /// This one was the last.
    Id(String),
}

/// The token that resumes a watch here.
pub(super) fn resume_token(filter: &Filter, place: &Place) -> String {
    let before = match &place.before {
        None => "",
        Some(Before::All) => "all",
        Some(Before::Id(id)) => id,
    };
    format!("w1.{}.{:x}.{before}", filter.digest(), place.change)
}

/// The reverse; `None` for a watch from the start.
///
/// # Errors
/// INVALID_ARGUMENT for what is no token of this filter.
pub(super) fn place_from_token(filter: &Filter, token: &str) -> Result<Option<Place>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let wrong = |text: &str| Reason::BadResumeToken.status(text);
    let not_ours = || wrong("the resume token is not one of ours: pass it as it came");
    let parts: Vec<&str> = token.split('.').collect();
    let ["w1", digest, change, before] = parts[..] else { return Err(not_ours()) };
    let change = u64::from_str_radix(change, 16).map_err(|_| not_ours())?;
    let before = match before {
        "" => None,
        "all" => Some(Before::All),
        id if is_id(id) => Some(Before::Id(id.to_owned())),
        _ => return Err(not_ours()),
    };
    if digest.len() != DIGEST_DIGITS || i64::try_from(change).is_err() {
        return Err(not_ours());
    }
    if digest != filter.digest() {
        return Err(wrong(
            "the resume token belongs to another filter: pass the filter of the first call again",
        ));
    }
    Ok(Some(Place { change, before }))
}

/// "job-" and a ULID in lower case: the form of every id.
pub(super) fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.strip_prefix("job-").is_some_and(|ulid| ulid.len() == 26 && ulid.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "job-01arz3ndektsv4rrffq69g5fav";

    fn filter() -> Filter {
        let labels = BTreeMap::from([("team".to_owned(), "blue".to_owned())]);
        Filter { labels, org: Some("acme".to_owned()), ..Filter::default() }
    }

    #[test]
    fn a_page_token_comes_back_under_its_own_filter_only() {
        let token = page_token(&filter(), ID);
        assert_eq!(page_from_token(&filter(), &token).unwrap().as_deref(), Some(ID));
        assert_eq!(page_from_token(&filter(), "").unwrap(), None);
        let mut others = vec![Filter::default(), Filter { state: 3, ..filter() }];
        others.push(Filter { profile: Some(String::new()), ..filter() });
        others.push(Filter { created_after_us: Some(0), ..filter() });
        others.push(Filter { created_before_us: Some(0), ..filter() });
        // The same words in other fields.
        others.push(Filter { org: None, profile: Some("acme".to_owned()), ..filter() });
        let swapped = BTreeMap::from([("teamb".to_owned(), "lue".to_owned())]);
        others.push(Filter { labels: swapped, ..filter() });
        for other in others {
            let refused = page_from_token(&other, &token).unwrap_err();
            assert!(refused.message().contains("another filter"), "{other:?}");
        }
    }

    #[test]
    fn a_resume_token_comes_back_with_its_place() {
        for place in [
            Place::default(),
            Place { change: 77, before: None },
            Place { change: i64::MAX as u64, before: Some(Before::All) },
            Place { change: 1, before: Some(Before::Id(ID.to_owned())) },
        ] {
            let token = resume_token(&filter(), &place);
            assert_eq!(place_from_token(&filter(), &token).unwrap(), Some(place));
            assert!(
                place_from_token(&Filter::default(), &token)
                    .unwrap_err()
                    .message()
                    .contains("another filter")
            );
        }
        assert_eq!(place_from_token(&filter(), "").unwrap(), None);
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let digest = filter().digest();
        for token in ["x", "p1.", "p1..", ID, &format!("p1.{digest}.job-x"), &format!("p1.{digest}.../../x")]
        {
            assert!(
                page_from_token(&filter(), token).unwrap_err().message().contains("not one of ours"),
                "{token}"
            );
        }
        for token in [
            "w1",
            "w1...",
            &format!("w1.{digest}.x."),
            &format!("w1.{digest}.ffffffffffffffff."),
            &format!("w1.{digest}.1.job-x"),
        ] {
            assert!(
                place_from_token(&filter(), token).unwrap_err().message().contains("not one of ours"),
                "{token}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_token_panic(text in ".{0,80}") {
            prop_assert!(matches!(page_from_token(&filter(), &text), Ok(None) | Err(_)));
            prop_assert!(matches!(place_from_token(&filter(), &text), Ok(None) | Err(_)));
        }
    }
}
