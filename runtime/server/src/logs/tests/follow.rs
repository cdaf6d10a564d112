//! Readers that follow a job that floods.

use super::desk::pattern;
use super::*;

/// Follows a log to its end, and returns what it read with the bytes of gaps as zeros; slowly if asked to.
async fn follow(directory: PathBuf, mut written: watch::Receiver<Written>, slow: bool) -> (Vec<u8>, u64) {
    let mut reader = Reader::open(&directory, From::default(), &written.borrow()).unwrap();
    let (mut bytes, mut missing) = (Vec::new(), 0);
    loop {
        let so_far = *written.borrow_and_update();
        while let Some(chunk) = reader.next(&so_far).unwrap() {
            match chunk {
                Chunk::Data(data) => {
                    assert_eq!(data.offset as usize, bytes.len());
                    bytes.extend_from_slice(&data.data);
                }
                Chunk::Gap(gap) => {
                    assert_eq!(gap.offset as usize, bytes.len());
                    bytes.resize(bytes.len() + gap.length as usize, 0);
                    missing += gap.length;
                }
            }
            if slow {
                tokio::time::sleep(std::time::Duration::from_millis(3)).await;
            }
        }
        if so_far.ended {
            return (bytes, missing);
        }
        if written.changed().await.is_err() {
            // The sender went with its last word.
            assert!(written.borrow().ended);
        }
    }
}

async fn flood(options: Options) -> (Vec<u8>, Vec<(Vec<u8>, u64)>) {
    let mut log = start_with(options);
    let readers: Vec<_> = (0..8)
        .map(|number| tokio::spawn(follow(log.directory.clone(), log.written.clone(), number == 0)))
        .collect();
    let said = pattern(7, 24 << 20);
    let mut out = log.stdout.take().unwrap();
    let copy = said.clone();
    tokio::task::spawn_blocking(move || copy.chunks(100_003).for_each(|piece| out.write_all(piece).unwrap()))
        .await
        .unwrap();
    log.end().await;
    let mut read = Vec::new();
    for reader in readers {
        read.push(reader.await.unwrap());
    }
    (said, read)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_readers_one_of_them_slow_all_read_every_byte() {
    let (said, read) = flood(Options::default()).await;
    for (bytes, missing) in read {
        assert_eq!(missing, 0);
        assert!(bytes == said);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_a_capped_log_read_what_they_are_in_time_for_and_are_told_of_the_rest() {
    let keep = 1 << 20;
    let (said, read) = flood(Options { keep_bytes: Some(keep), ..Options::default() }).await;
    for (bytes, _) in read {
        assert_eq!(bytes.len(), said.len());
        // Head and tail are there for everybody; what is between is either true or told as missing.
        assert!(bytes[..(keep / 4) as usize] == said[..(keep / 4) as usize]);
        assert!(bytes[said.len() - (keep / 4) as usize..] == said[said.len() - (keep / 4) as usize..]);
    }
}
