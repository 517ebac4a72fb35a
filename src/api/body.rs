//! The body of a request, read within its bounds.
//!
//! Must not know what is in it. Invariant: no more than [`BYTES_MAX`] of a body is ever held, and
//! no longer waited for than was said.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use tokio::time::timeout;

use super::error::ApiError;

/// Bytes of a body at most: a review with the longest texts and photos that are taken, in a script
/// of three bytes a character, is well within.
pub(super) const BYTES_MAX: usize = 64 << 10;

/// All of `body`, when it comes within `time_max`.
pub(super) async fn read<B>(body: B, time_max: Duration) -> Result<Bytes, ApiError>
where
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    // Told beforehand, nothing of it has to be read.
    if body.size_hint().lower() > BYTES_MAX as u64 {
        return Err(ApiError::LargeBody);
    }
    let all = timeout(time_max, Limited::new(body, BYTES_MAX).collect()).await;
    match all.map_err(|_| ApiError::SlowBody)? {
        Ok(all) => Ok(all.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::LargeBody),
        Err(_) => Err(ApiError::BrokenBody),
    }
}
