//! Bytes from a stranger, as the body of a spec: decoding and checking them never panics, and what passes the check
//! passes it again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use runtime_plan::spec::{Spec, UncheckedSpec};
use runtime_proto::v1::JobSpec;
use runtime_server::api::convert::spec_from_wire;

fuzz_target!(|bytes: &[u8]| {
    let Ok(wire) = JobSpec::decode(bytes) else { return };
    if let Ok(spec) = spec_from_wire(wire) {
        let again = Spec::check(UncheckedSpec::from(spec.clone()));
        assert_eq!(again.as_ref(), Ok(&spec));
    }
});
