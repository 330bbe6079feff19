//! Names of header fields that one end writes and the other reads. Lower case, as HTTP/2 wants them.

/// Names the dummy-server instance that answered, so that a load balancer's choice can be seen.
pub const INSTANCE: &str = "x-dummy-instance";

/// Carries the id of a request, unique within a run.
pub const REQUEST_ID: &str = "x-request-id";

/// When a request was received and its reply begun; see [`crate::timing`].
pub const SERVER_TIMING: &str = "server-timing";
