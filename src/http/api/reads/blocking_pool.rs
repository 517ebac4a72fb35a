//! Work that blocks, on a bounded number of threads of the runtime's blocking pool.
//!
//! Must not know the work. Invariants: at most so many jobs run at once, and at most so many wait; they begin
//! in the order in which they came; one that panics ends no other.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::spawn_blocking;

type BlockingJob = Box<dyn FnOnce() + Send>;

/// Threads, and the queue of jobs. A thread goes from one job to the next by itself, and not by way of the
/// caller, which on one core takes two switches between threads for each.
pub(crate) struct BlockingPool {
    threads_max: usize,
    waiting_max: usize,
    state: Mutex<PoolState>,
}

#[derive(Default)]
struct PoolState {
    waiting: VecDeque<BlockingJob>,
    threads: usize,
}

impl BlockingPool {
    pub(crate) fn new(threads_max: usize, waiting_max: usize) -> Self {
        Self {
            threads_max,
            waiting_max,
            state: Mutex::default(),
        }
    }

    /// Queues `work`, which another thread does after all that came before. False if too much waits, and then
    /// it is not done.
    #[must_use]
    pub(crate) fn put(self: &Arc<Self>, work: impl FnOnce() + Send + 'static) -> bool {
        let mut state = self.state();
        if state.waiting.len() >= self.waiting_max {
            return false;
        }
        state.waiting.push_back(Box::new(work));
        if state.threads < self.threads_max {
            state.threads += 1;
            drop(state);
            let own = Arc::clone(self);
            spawn_blocking(move || own.run());
        }
        true
    }

    /// Runs waiting jobs, until there are none.
    fn run(&self) {
        while let Some(work) = self.next() {
            // The hook reports a panic; the job's result channel is dropped, which its caller sees.
            let _ = catch_unwind(AssertUnwindSafe(work));
        }
    }

    fn next(&self) -> Option<BlockingJob> {
        let mut state = self.state();
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.threads -= 1;
        }
        next
    }

    fn state(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::{Barrier, mpsc};
    use std::time::Duration;

    use tokio::runtime::Builder;
    use tokio::sync::oneshot;

    use super::*;

    const WAITING_MAX: usize = 100;

    impl BlockingPool {
        /// Queues work that may wait.
        fn must(self: &Arc<Self>, work: impl FnOnce() + Send + 'static) {
            assert!(self.put(work));
        }
    }

    /// Runs with a pool that has capacity for more threads than are allowed.
    fn run<T>(threads_max: usize, test: impl AsyncFnOnce(Arc<BlockingPool>) -> T) -> T {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(4 * threads_max)
            .build();
        let pool = Arc::new(BlockingPool::new(threads_max, WAITING_MAX));
        runtime.unwrap().block_on(test(pool))
    }

    #[test]
    fn no_more_run_at_once_than_there_are_threads_and_all_do() {
        run(3, async |pool| {
            let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            // The first ones wait for each other, so that there are as many.
            let together = Arc::new(Barrier::new(3));
            let mut all = Vec::new();
            for number in 0..60 {
                let (tell, told) = oneshot::channel();
                let (running, most) = (Arc::clone(&running), Arc::clone(&most));
                let together = Arc::clone(&together);
                pool.must(move || {
                    most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                    if number < 3 {
                        together.wait();
                    }
                    std::thread::sleep(Duration::from_millis(1));
                    running.fetch_sub(1, SeqCst);
                    tell.send(number).unwrap();
                });
                all.push(told);
            }
            for (number, told) in all.into_iter().enumerate() {
                assert_eq!(told.await, Ok(number));
            }
            assert_eq!(most.load(SeqCst), 3);
        });
    }

    #[test]
    fn work_begins_in_the_order_in_which_it_came() {
        run(1, async |pool| {
            let (tell, told) = mpsc::channel();
            let (done, is_done) = oneshot::channel();
            for number in 0..50 {
                let tell = tell.clone();
                pool.must(move || tell.send(number).unwrap());
            }
            pool.must(move || done.send(()).unwrap());
            is_done.await.unwrap();
            drop(tell);
            assert!(told.iter().eq(0..50));
        });
    }

    #[test]
    fn work_that_panics_is_seen_to_and_the_thread_goes_on() {
        run(1, async |pool| {
            // The thread is kept busy until all wait for it.
            let (go, wait) = mpsc::channel::<()>();
            pool.must(move || assert!(wait.recv().is_err()));
            let (held, let_go) = oneshot::channel::<()>();
            pool.must(move || {
                let _held = held;
                panic!("as it is meant to");
            });
            let (done, is_done) = oneshot::channel();
            pool.must(move || done.send(7).unwrap());
            drop(go);
            assert!(let_go.await.is_err());
            assert_eq!(is_done.await, Ok(7));
        });
    }

    #[test]
    fn work_beyond_what_may_wait_is_refused() {
        run(1, async |pool| {
            let (go, wait) = mpsc::channel::<()>();
            let (begun, has_begun) = oneshot::channel();
            assert!(pool.put(move || {
                begun.send(()).unwrap();
                assert!(wait.recv().is_err());
            }));
            has_begun.await.unwrap();
            for _ in 0..WAITING_MAX {
                assert!(pool.put(|| {}));
            }
            assert!(!pool.put(|| panic!("this was refused")));
            let (done, is_done) = oneshot::channel();
            drop(go);
            while pool.state().waiting.len() >= WAITING_MAX {
                std::thread::yield_now();
            }
            assert!(pool.put(move || done.send(()).unwrap()));
            is_done.await.unwrap();
        });
    }

    #[test]
    fn a_thread_that_has_nothing_to_do_ends_and_another_comes() {
        run(1, async |pool| {
            for number in 0..3 {
                let (done, is_done) = oneshot::channel();
                pool.must(move || done.send(number).unwrap());
                assert_eq!(is_done.await, Ok(number));
                while pool.state().threads > 0 {
                    std::thread::yield_now();
                }
            }
        });
    }
}
