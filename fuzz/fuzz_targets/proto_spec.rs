//! Bytes from a stranger, as the body of a spec: decoding and checking them never panics, what passes the check passes it
//! again, and what stands beside the spec keeps its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use runtime_plan::spec::{Spec, UncheckedSpec};
use runtime_proto::v1::JobSpec;
use runtime_server::api::convert::{Caller, request_from_wire};

fuzz_target!(|bytes: &[u8]| {
    let Ok(wire) = JobSpec::decode(bytes) else { return };
    for caller in [Caller::Stays, Caller::Leaves] {
        let Ok(request) = request_from_wire(wire.clone(), String::new(), caller) else { continue };
        let again = Spec::check(UncheckedSpec::from(request.spec.clone()));
        assert_eq!(again.as_ref(), Ok(&request.spec));
        assert!(request.labels.len() <= 64 && (-100..=100).contains(&request.priority));
        assert!(
            request.labels.iter().all(|(key, value)| (1..=63).contains(&key.len()) && value.len() <= 255)
        );
        assert!(request.key.is_none() && (1..=64).contains(&request.org.len()));
    }
});
