//! Work on several models at once, on a machine with more threads than one model makes use of.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder, current_num_threads};

/// What `work` makes of each number below `count`, in their order: `jobs` of them at a time, each in a pool with its share
/// of the present one's threads, at least one.
///
/// # Errors
/// Threads that the system does not give.
pub fn side_by_side<T: Send>(
    count: usize,
    jobs: usize,
    work: impl Fn(usize) -> T + Sync,
) -> Result<Vec<T>, ThreadPoolBuildError> {
    let jobs = jobs.min(count);
    if jobs < 2 {
        return Ok((0..count).map(work).collect());
    }
    let threads = (current_num_threads() / jobs).max(1);
    let pool = |_| ThreadPoolBuilder::new().num_threads(threads).build();
    let pools: Vec<ThreadPool> = (0..jobs).map(pool).collect::<Result<_, _>>()?;
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let take = |pool: &ThreadPool| {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                break;
            }
            let found = pool.install(|| work(index));
            done.lock().expect("nobody panics with it").push((index, found));
        }
    };
    thread::scope(|scope| pools.iter().for_each(|pool| _ = scope.spawn(|| take(pool))));
    let mut done = done.into_inner().expect("nobody panics with it");
    done.sort_unstable_by_key(|&(index, _)| index);
    Ok(done.into_iter().map(|(_, found)| found).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn all_is_done_in_order_and_so_many_at_once() {
        let pool = ThreadPoolBuilder::new().num_threads(6).build().unwrap();
        for (jobs, threads) in [(1, 6), (2, 3), (4, 1), (9, 1)] {
            let found = pool.install(|| side_by_side(7, jobs, |index| (index, current_num_threads()))).unwrap();
            assert_eq!(found, (0..7).map(|index| (index, threads)).collect::<Vec<_>>());
        }
        // None of three comes to its end before all have begun.
        let barrier = Barrier::new(3);
        assert_eq!(side_by_side(3, 3, |_| _ = barrier.wait()).unwrap().len(), 3);
        assert!(side_by_side(0, 3, |_| ()).unwrap().is_empty());
    }
}
