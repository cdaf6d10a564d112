//! A few connections that read, each on a thread that may block. A reader sees every write that was answered before
//! it began, and never waits for the writer.

use super::{Shared, StoreError, file};
use rusqlite::Connection;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Reads at the same time.
const READERS_MAX: usize = 4;

#[derive(Debug)]
pub(super) struct Readers {
    shared: Arc<Shared>,
    idle: Arc<Mutex<Vec<Connection>>>,
    places: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(shared: Arc<Shared>) -> Readers {
        let places = Arc::new(Semaphore::new(READERS_MAX));
        Readers { shared, idle: Arc::default(), places }
    }

    /// Asks on a thread of its own.
    ///
    /// # Errors
    /// The file is damaged or locked, the disk fails, or the store is closed.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (shared, idle) = (Arc::clone(&self.shared), Arc::clone(&self.idle));
        let asked = tokio::task::spawn_blocking(move || {
            let _place = place;
            let reused = lock(&idle).pop();
            let answer = reused.map_or_else(|| file::open_reader(&shared.file), Ok).and_then(|connection| {
                let answer = question(&connection);
                if answer.is_ok() {
                    lock(&idle).push(connection);
                }
                answer
            });
            answer.map_err(|error| {
                let error = StoreError::of("read", &shared.file, &error);
                shared.note_damage(&error);
                error
            })
        });
        asked.await.map_err(|_| StoreError::Closed)?
    }

    /// Lets nobody ask any more, and closes what is idle, once those that ask have their answers.
    pub(super) async fn close(&self) {
        let all = u32::try_from(READERS_MAX).unwrap_or(u32::MAX);
        if let Ok(places) = self.places.acquire_many(all).await {
            self.places.close();
            drop(places);
        }
        lock(&self.idle).clear();
    }
}

fn lock(idle: &Mutex<Vec<Connection>>) -> std::sync::MutexGuard<'_, Vec<Connection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
