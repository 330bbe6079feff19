//! What is said of several differences, in either role.

pub(crate) const TAKEN: &str = "taken";
pub(crate) const REFUSED: &str = "refused";

pub(crate) const FIELDS: &str =
    "RFC 9110 section 5.4: the limit is the recipient's; ours is 1000, hyper's 100";
pub(crate) const NEVER_ENDS: &str =
    "RFC 9112 section 7.1: no overflow; such a chunk never ends, so it is refused immediately";
pub(crate) const LATER: &str =
    "RFC 9110 section 2.5: a later minor version is taken for the latest that is known";
pub(crate) const NO_TRAILER: &str = "RFC 9110 section 6.5.1: must not be sent as a trailer";
pub(crate) const CONTROLS: &str = "RFC 9112 section 7.1.1: a value is a token or a quoted string";
pub(crate) const EMPTY_MEMBERS: &str = "RFC 9110 section 5.6.1.2: empty members of a list must be ignored";
pub(crate) const TWICE: &str = "RFC 9112 section 6.1: chunked must not be applied more than once";
pub(crate) const SMUGGLING: &str =
    "RFC 9112 section 6.1: a server may refuse both together, which may be smuggling";
pub(crate) const WHOLE_LENGTH: &str = "RFC 9110 section 8.6: any number is legal, and this one fits";
