//! A bound on a wait that is mostly over before a timer could be set.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tokio::time::Instant;
use tokio::time::error::Elapsed;

/// As `tokio::time::timeout_at`, for a piece of a body. Hyper reads one when it is asked for it, and it is there at the next turn, most often. So the timer is set
/// at the second turn that brings nothing: setting one takes a lock that all threads share, and when it is to ring sooner than every other, a system call that
/// wakes the thread that waits for timers.
///
/// # Errors
///
/// The future was not done in time.
pub async fn within<F: Future>(until: Instant, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut asked = false;
    let soon = poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if asked => Poll::Ready(None),
        Poll::Pending => {
            asked = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    });
    match soon.await {
        Some(output) => Ok(output),
        None => tokio::time::timeout_at(until, future).await,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Done at this poll, and asks for each one before it.
    async fn at_poll(number: usize) -> usize {
        let mut polls = 0;
        poll_fn(|context| {
            polls += 1;
            context.waker().wake_by_ref();
            if polls < number { Poll::Pending } else { Poll::Ready(polls) }
        })
        .await
    }

    #[tokio::test]
    async fn what_is_done_in_time_is_answered_at_whichever_turn_it_is() {
        let later = Instant::now() + Duration::from_secs(60);
        for turns in 1..6 {
            assert_eq!(within(later, at_poll(turns)).await.ok(), Some(turns));
        }
    }

    #[tokio::test]
    async fn what_is_never_done_ends_at_the_bound_also_when_nothing_wakes_it() {
        let until = Instant::now() + Duration::from_millis(20);
        assert!(within(until, std::future::pending::<()>()).await.is_err());
        assert!(Instant::now() >= until);
    }

    #[test]
    fn what_is_there_at_the_second_turn_sets_no_timer() {
        // Without a timer in the runtime, setting one panics.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        assert_eq!(runtime.block_on(within(until, at_poll(2))).ok(), Some(2));
    }
}
