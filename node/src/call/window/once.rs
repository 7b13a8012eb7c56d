//! One run for all attempts of a call.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{CallKey, Outcome, Seen, Window, WindowLimits};

/// Runs each call once, however often it is sent. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Once(Arc<Mutex<Window<Run>>>);

/// A run that attempts may join. It ends when the last of them is dropped.
#[derive(Clone)]
struct Run {
    run: WeakShared<BoxFuture<'static, Outcome>>,
    wanted: Arc<Wanted>,
}

/// Who still wants a run.
struct Wanted {
    attempts: AtomicUsize,
    cancelled: CancellationToken,
}

/// One attempt that wants it.
struct Wish(Option<Arc<Wanted>>);

impl Once {
    /// One that has run nothing.
    pub fn new(limits: WindowLimits) -> Self {
        Self(Arc::new(Mutex::new(Window::new(limits))))
    }

    /// Runs `make` unless the call runs already or ran of late; then it waits for that run, or has its outcome. `make`
    /// is given a token that fires once every attempt has been `cancelled`, and must not panic.
    ///
    /// Dropping the future abandons the run when no other attempt waits for it.
    pub async fn run<F>(
        &self,
        call: CallKey,
        cancelled: &CancellationToken,
        make: impl FnOnce(CancellationToken) -> F,
    ) -> Outcome
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let (mut run, mut wish) = match self.join(call, make) {
            Ok(joined) => joined,
            Err(outcome) => return outcome,
        };
        let outcome = tokio::select! {
            biased;
            outcome = &mut run => outcome,
            () = cancelled.cancelled() => {
                drop(wish);
                return run.await;
            }
        };
        wish.0 = None;
        outcome
    }

    /// Whether the call runs, or ran of late.
    pub fn knows(&self, call: &CallKey) -> bool {
        !matches!(self.lock().seen(Instant::now(), call), Seen::New)
    }

    /// The caller of a call has its whole outcome: that is not kept any longer.
    pub fn delivered(&self, call: &CallKey) {
        self.lock().delivered(call);
    }

    fn join<F>(
        &self,
        call: CallKey,
        make: impl FnOnce(CancellationToken) -> F,
    ) -> Result<(Shared<BoxFuture<'static, Outcome>>, Wish), Outcome>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let mut window = self.lock();
        match window.seen(Instant::now(), &call) {
            Seen::Ended(outcome) => return Err(outcome),
            Seen::Runs(run) => {
                if let Some(shared) = run.run.upgrade() {
                    return Ok((shared, run.wanted.wish()));
                }
            }
            Seen::New => {}
        }
        let cancelled = CancellationToken::new();
        let wanted = Arc::new(Wanted { attempts: AtomicUsize::new(0), cancelled: cancelled.clone() });
        let run = make(cancelled);
        let ending = Ending { once: self.clone(), call };
        let shared = async move {
            let outcome = run.await;
            ending.once.lock().ends(Instant::now(), call, &outcome);
            outcome
        };
        let shared = shared.boxed().shared();
        let weak = shared.downgrade().expect("it has not ended, since it has not begun");
        let wish = wanted.wish();
        window.begins(call, Run { run: weak, wanted });
        Ok((shared, wish))
    }

    fn lock(&self) -> MutexGuard<'_, Window<Run>> {
        self.0.lock().expect("nothing panics while it holds the window")
    }
}

impl Default for Once {
    fn default() -> Self {
        Self::new(WindowLimits::default())
    }
}

impl Wanted {
    fn wish(self: &Arc<Self>) -> Wish {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        Wish(Some(Arc::clone(self)))
    }
}

impl Drop for Wish {
    fn drop(&mut self) {
        if let Some(wanted) = &self.0
            && wanted.attempts.fetch_sub(1, Ordering::SeqCst) == 1
        {
            wanted.cancelled.cancel();
        }
    }
}

/// Lives as long as a run; one that is dropped before its end is forgotten.
struct Ending {
    once: Once,
    call: CallKey,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.once.lock().breaks_off(&self.call);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use mesh_gossip::MemberId;
    use tokio::sync::oneshot;

    use super::*;
    use crate::run::CallId;
    use crate::tool::Payload;

    const CALL: CallKey = (MemberId::from_bytes([1; 16]), CallId([7; 16]));

    fn done() -> Outcome {
        Ok(Payload::Value("1".into()))
    }

    async fn never(_: CancellationToken) -> Outcome {
        panic!("it ran twice")
    }

    #[tokio::test]
    async fn a_second_attempt_waits_for_the_run_of_the_first_and_a_third_has_its_result() {
        let once = Once::default();
        assert!(!once.knows(&CALL));
        let (end, ended) = oneshot::channel();
        let token = CancellationToken::new();
        let first = once.run(CALL, &token, |_| async move { ended.await.unwrap() });
        let second = once.run(CALL, &token, never);
        let run = async { tokio::join!(first, second) };
        let (outcomes, ()) = tokio::join!(run, async { end.send(done()).unwrap() });
        assert_eq!(outcomes, (done(), done()));
        assert_eq!(once.run(CALL, &token, never).await, done());
        assert!(once.knows(&CALL));
    }

    #[tokio::test]
    async fn the_second_keeps_the_run_alive_when_the_first_is_cancelled_and_dropped() {
        let once = Once::default();
        let (end, ended) = oneshot::channel();
        let (first_token, token) = (CancellationToken::new(), CancellationToken::new());
        let mut first = Box::pin(once.run(CALL, &first_token, |cancelled| async move {
            tokio::select! {
                outcome = ended => outcome.unwrap(),
                () = cancelled.cancelled() => panic!("somebody wants it"),
            }
        }));
        let mut second = Box::pin(once.run(CALL, &token, never));
        assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
        first_token.cancel();
        assert!(first.as_mut().now_or_never().is_none());
        drop(first);
        end.send(done()).unwrap();
        assert_eq!(second.await, done());
    }

    #[tokio::test]
    async fn the_run_is_told_when_nobody_wants_it_and_may_run_again_after_it_was_dropped() {
        let once = Once::default();
        let token = CancellationToken::new();
        let (told, mut hears) = oneshot::channel();
        let mut first = Box::pin(once.run(CALL, &token, |cancelled| async move {
            cancelled.cancelled().await;
            told.send(()).unwrap();
            std::future::pending().await
        }));
        assert!(first.as_mut().now_or_never().is_none());
        token.cancel();
        assert!(first.as_mut().now_or_never().is_none());
        hears.try_recv().unwrap();
        drop(first);
        let token = CancellationToken::new();
        assert_eq!(once.run(CALL, &token, |_| async { done() }).await, done());
    }
}
