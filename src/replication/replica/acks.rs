//! A copy's acknowledgements: always the latest, one request after the other.
//!
//! Must not know the stream, which they are not part of, so that one that is stuck does not hold them up.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::stream_reader::Ack;
use crate::client::{PrimaryAddress, PrimaryConnection, whole};
use crate::wire::protocol::{ACK, BASE};

/// The time for an answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// When the next one is tried after one that was lost.
const RETRY_TIME: Duration = Duration::from_secs(1);

/// Tells the primary how far the copy is durable: always the latest, one request after the other.
pub(crate) async fn send_acks(source: PrimaryAddress, mut acked: watch::Receiver<Option<Ack>>) {
    let mut client = PrimaryConnection::new(source);
    while acked.changed().await.is_ok() {
        let Some(Ack { session, seq, .. }) = *acked.borrow_and_update() else {
            continue;
        };
        let path = format!("{BASE}{ACK}?session={session}&seq={seq}");
        match client.post(&path, ANSWER_TIME_MAX).await {
            Ok(answer) => {
                // What it says does not matter; that it was read lets the connection be used again.
                let _ = whole(answer).await;
            }
            Err(error) => {
                // The next one says as much and more.
                tracing::debug!("an acknowledgement was lost: {error}");
                sleep(RETRY_TIME).await;
                acked.mark_changed();
            }
        }
    }
}
