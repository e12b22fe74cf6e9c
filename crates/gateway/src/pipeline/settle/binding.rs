//! Decides which of the ids and seals in an answer are bound to the backend that made them; never what follows up on them.

use policy::{Bound, Entry};
use protocol::Dialect;

use super::{
    super::{decode::seals, route::Lease},
    Facts,
};

impl Facts {
    /// Binds an id, or the mark of a seal, to the backend that made it, here and in the journal: a follow-up may come after a
    /// restart.
    pub(in crate::pipeline) fn bind(&mut self, id: &str, lease: &Lease) {
        // There are many, and most leave nothing to choose. Responses may rest on them in more ways: they compact.
        let is_mere_seal = protocol::is_seal_mark(id) && lease.dialect() != Dialect::OpenAiResponses;
        if is_mere_seal && !seals::are_read_by_some_only(&self.gateway.view(), lease) {
            return;
        }
        let at = self.requested.wall.after(self.elapsed());
        let bound = Bound { id: id.into(), backend: lease.serving.backend.name.clone(), at };
        if self.gateway.bindings.bind(&bound)
            && let Err(unwritten) = self.room.write(&Entry::Bound(bound))
        {
            tracing::warn!(request_id = self.stamp.request_id(), %unwritten, "a binding is known to this process only");
        }
    }
}
