//! Names of header fields that one end writes and the other reads. Lower case, as HTTP/2 wants them.

/// Names the dummy-server instance that answered, so that a load balancer's choice can be seen.
pub const INSTANCE: &str = "x-dummy-instance";

/// Carries the id of a request, unique within a run.
pub const REQUEST_ID: &str = "x-request-id";

/// Carries the id of a request in a verified run, in place of [`REQUEST_ID`]; see [`crate::ledger`].
pub const TOKEN: &str = "x-dummy-token";

/// The query key that carries it where the field is removed on the way.
pub const TOKEN_KEY: &str = "dummy-token";

/// The query key that makes the target of a canary unlike any other, so that no cache knows it.
pub const CANARY_KEY: &str = "dummy-canary";

/// Announces length and checksum of a request's body in a verified run; see [`Announced`](crate::ledger::Announced).
pub const UPLOAD: &str = "x-dummy-upload";

/// Repeats, in a verified run, the token that the server saw, and which sighting it was; see [`crate::ledger::Seen`].
pub const SEEN: &str = "x-dummy-seen";

/// When a request was received and its reply begun; see [`crate::timing`].
pub const SERVER_TIMING: &str = "server-timing";

/// Trailer: CRC-32C of a request's content, eight hexadecimal digits.
pub const CRC32C: &str = "x-dummy-crc32c";

/// Trailer: SHA-256 of a request's content, in hexadecimal digits.
pub const SHA256: &str = "x-dummy-sha256";
