//! The threads of a client: one delivers, one syncs the queue file.

use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::thread;

use whisperr_core::{Notice, RECORD_BYTES_MAX, Transport, run};

use crate::shared::Shared;
use crate::storage::QueueStorage;

/// Told every notice, on the runner's thread.
pub(crate) type OnError = Box<dyn FnMut(&Notice) + Send>;

/// Starts the threads. They end when the client is stopped.
pub(crate) fn start<T>(
    shared: &Arc<Shared>,
    transport: T,
    on_error: Option<OnError>,
    debug: bool,
) -> std::io::Result<()>
where
    T: Transport + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some((syncer, _)) = shared.syncer() {
        let syncer = syncer.clone();
        let shared = Arc::downgrade(shared);
        thread::Builder::new().name("whisperr-sync".into()).spawn(move || {
            syncer.run(|synced| {
                // A client that is gone has nothing left to mend.
                let Some(shared) = shared.upgrade() else { return };
                if let Err(error) = synced {
                    log::warn!(target: "whisperr", "persistence: {error}; writing it again elsewhere");
                }
                let mut client = shared.client();
                let QueueStorage::File(file) = client.storage() else { return };
                let mended = file.maintain();
                let failed = synced.is_err() || mended.is_err();
                if failed && client.add_notice(Notice::Storage) {
                    drop(client);
                    shared.ring();
                }
            });
        })?;
    }
    let shared = Arc::clone(shared);
    thread::Builder::new().name("whisperr".into()).spawn(move || {
        shared.set_runner(thread::current().id());
        let ended = Ended(&shared);
        let mut transport = transport;
        let mut buffer = vec![0; RECORD_BYTES_MAX];
        let notify = notifier(on_error, debug);
        runtime.block_on(run(&*shared, shared.clock(), &mut transport, &mut buffer, notify));
        // A name look-up that hangs keeps a thread of the runtime busy: it is not waited for.
        runtime.shutdown_background();
        if let Some((syncer, _)) = shared.syncer() {
            // The last sync; its failure is the syncer's to tell, and nothing is lost by it but durability.
            let _durable = syncer.sync();
            syncer.stop();
        }
        if let QueueStorage::File(file) = shared.client().storage() {
            file.close();
        }
        *shared.client().storage() = QueueStorage::Closed;
        drop(ended);
    })?;
    Ok(())
}

/// Says that the thread ended, however it did.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn notifier(mut on_error: Option<OnError>, debug: bool) -> impl FnMut(Notice) {
    move |notice| {
        let kind = notice.kind().as_str();
        if debug {
            log::info!(target: "whisperr", "{kind}: {notice}");
        } else {
            log::debug!(target: "whisperr", "{kind}: {notice}");
        }
        if let Some(callback) = &mut on_error
            && catch_unwind(AssertUnwindSafe(|| callback(&notice))).is_err()
        {
            log::warn!(target: "whisperr", "the on_error callback panicked at {kind}");
        }
    }
}
