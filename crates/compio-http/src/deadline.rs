//! A timer for a deadline that moves often and passes rarely: of an idle connection, of a request's head, of a response.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use compio::time::{Sleep, sleep_until};

/// Keeps its timer when the deadline moves to a later time: the timer ends early, and is set anew then.
#[derive(Debug, Default)]
pub(crate) struct DeadlineTimer(Option<Sleep>);

impl DeadlineTimer {
    /// Ready when the deadline has passed. Without a deadline, waits for the end of a timer that is set.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        if let Some(deadline) = deadline {
            let sleep = self.0.get_or_insert_with(|| sleep_until(deadline));
            if deadline < sleep.deadline() {
                sleep.reset(deadline);
            }
        }
        while let Some(sleep) = &mut self.0 {
            ready!(Pin::new(&mut *sleep).poll(cx));
            let end = sleep.deadline();
            self.0 = None;
            match deadline {
                Some(deadline) if deadline <= end => return Poll::Ready(()),
                Some(deadline) => self.0 = Some(sleep_until(deadline)),
                None => {}
            }
        }
        Poll::Pending
    }

    /// Whether a timer is set, which wakes the task of the last poll.
    #[cfg(feature = "client")]
    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        task::Poll,
        time::{Duration, Instant},
    };

    use compio::{task::block_on, time::sleep_until};

    use super::DeadlineTimer;

    /// The result of one poll.
    async fn has_passed(timer: &mut DeadlineTimer, deadline: Option<Instant>) -> bool {
        poll_fn(|cx| Poll::Ready(timer.poll(cx, deadline).is_ready())).await
    }

    #[test]
    fn deadline_that_moves_to_either_side_is_kept() {
        block_on(async {
            let far = Some(Instant::now() + Duration::from_secs(3600));
            let near = Instant::now() + Duration::from_millis(5);
            let mut timer = DeadlineTimer::default();
            assert!(!has_passed(&mut timer, None).await);
            assert!(!has_passed(&mut timer, far).await);
            assert!(!has_passed(&mut timer, None).await);
            assert!(timer.0.is_some());

            // Earlier than the timer.
            poll_fn(|cx| timer.poll(cx, Some(near))).await;
            assert!(near <= Instant::now());
            assert!(timer.0.is_none());

            // Later than the timer, which ends first.
            let near = Instant::now() + Duration::from_millis(5);
            has_passed(&mut timer, Some(near)).await;
            sleep_until(near).await;
            assert!(!has_passed(&mut timer, far).await);
            assert!(timer.0.is_some());

            // The timer ends while there is no deadline.
            let mut timer = DeadlineTimer::default();
            let near = Instant::now() + Duration::from_millis(5);
            has_passed(&mut timer, Some(near)).await;
            sleep_until(near).await;
            assert!(!has_passed(&mut timer, None).await);
            assert!(timer.0.is_none());
        });
    }
}
