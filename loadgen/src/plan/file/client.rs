//! What a plan says of how connections behave.

use contract::quantity;

use super::keys::Keys;
use crate::plan::{PlanError, accepted, client::ClientOptions};

pub(super) fn read(load: &Keys<'_>) -> Result<ClientOptions, PlanError> {
    Ok(ClientOptions {
        h2_stream_window: load.read_as(&accepted::H2_STREAM_WINDOW, quantity::size)?,
        h2_connection_window: load.read_as(&accepted::H2_CONNECTION_WINDOW, quantity::size)?,
        h2_max_frame_size: load.read_as(&accepted::H2_MAX_FRAME_SIZE, quantity::size)?,
        h2_header_table_size: load.read_as(&accepted::H2_HEADER_TABLE_SIZE, quantity::size)?,
        pipeline: load.read_as(&accepted::PIPELINE, whole)?,
        idle_connections: load.read_as(&accepted::IDLE_CONNECTIONS, whole)?,
        follow: load.read_as(&accepted::FOLLOW, whole)?,
        recv_rate: load.read_as(&accepted::RECV_RATE, quantity::size)?,
        send_rate: load.read_as(&accepted::SEND_RATE, quantity::size)?,
    })
}

fn whole(text: &str) -> Option<usize> {
    quantity::count(text).and_then(|count| usize::try_from(count).ok())
}
