//! A thread that owns a blocking thing.

use tokio::sync::oneshot;

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// Owns `S` on a thread of its own; whoever holds this may have it work there.
///
/// The thread ends when this is closed or dropped and its last job is done.
pub(super) struct Owner<S> {
    jobs: std::sync::mpsc::SyncSender<Job<S>>,
    thread: std::thread::JoinHandle<()>,
}

impl<S: Send + 'static> Owner<S> {
    pub(super) fn spawn(mut owned: S) -> Self {
        let (jobs, inbox) = std::sync::mpsc::sync_channel::<Job<S>>(4);
        let thread = std::thread::spawn(move || {
            for job in inbox {
                job(&mut owned);
            }
        });
        Self { jobs, thread }
    }

    /// Waits until the thread has let go of what it owns.
    pub(super) async fn close(self) {
        drop(self.jobs);
        let thread = self.thread;
        // A job that panicked was noticed by whoever asked for it.
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    }

    /// Runs `job` on the thread and returns its result.
    ///
    /// # Panics
    ///
    /// When an earlier job panicked: the thing is in an unknown state, and must not be used.
    pub(super) async fn call<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut S) -> R + Send + 'static,
    ) -> R {
        let (reply, answer) = oneshot::channel();
        let sent = self.jobs.send(Box::new(move |owned| {
            // The caller may have been dropped meanwhile.
            let _ = reply.send(job(owned));
        }));
        sent.expect("the thread lives as long as its jobs do not panic");
        answer
            .await
            .expect("the thread answers every job that it takes")
    }
}
