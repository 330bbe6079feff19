//! Fields of a reply as HPACK: those that come again and again are encoded once.

use contract::field::INSTANCE;
use http2::Prepared;
use wire::Name;

use crate::{exchange::FieldWriter, message::reply::Fixed};

/// Fields as HPACK.
pub(super) struct Fields<'a, 'b> {
    pub(super) block: &'a mut http2::Block<'b>,
    pub(super) prepared: &'a mut PreparedFields,
}

/// The constant fields of the last kind of reply, encoded.
#[derive(Default)]
pub(super) struct PreparedFields {
    pub(super) of: Fixed,
    pub(super) prepared: Prepared,
}

impl FieldWriter for Fields<'_, '_> {
    fn constants(&mut self, fixed: Fixed, instance: &str) {
        if !std::ptr::eq(self.prepared.of, fixed) {
            *self.prepared = PreparedFields { of: fixed, prepared: Prepared::default() };
        }
        self.block.prepared(&mut self.prepared.prepared, |block| {
            for (name, value) in fixed {
                block.constant(name.as_bytes(), value.as_bytes());
            }
            block.constant(INSTANCE.as_bytes(), instance.as_bytes());
        });
    }

    fn varying(&mut self, name: &str, value: &[u8]) {
        self.block.varying(name.as_bytes(), value);
    }

    fn varying_known(&mut self, name: &Name, value: &[u8]) {
        self.block.varying_known(name, value);
    }
}
