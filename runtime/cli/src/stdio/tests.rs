use super::*;
use std::os::fd::OwnedFd;

fn pipe() -> (File, File) {
    let (reader, writer) = std::io::pipe().unwrap();
    (File::from(OwnedFd::from(reader)), File::from(OwnedFd::from(writer)))
}

fn null() -> File {
    File::options().read(true).write(true).open("/dev/null").unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn bytes_arrive_whole_in_order_and_on_their_stream() {
    let (out_reader, out) = pipe();
    let (err_reader, err) = pipe();
    let readers = [out_reader, err_reader].map(|mut reader| {
        std::thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map(|_| all)
        })
    });
    let writer = Writer::start_with(out, err).unwrap();
    let chunk: Bytes = (0..200_000u32).map(|n| n.to_le_bytes()[0]).collect();
    block_on(async move {
        for _ in 0..5 {
            writer.chunks.send((Stream::Stdout, chunk.clone())).await.unwrap();
            writer.chunks.send((Stream::Stderr, Bytes::from_static(b"\xffe\0"))).await.unwrap();
        }
        drop(writer.chunks);
        assert!(writer.done.await.unwrap().is_ok());
    });
    let [out, err] = readers.map(|reader| reader.join().unwrap().unwrap());
    assert_eq!(out.len(), 1_000_000);
    assert!(out.iter().enumerate().all(|(at, byte)| *byte == (at % 200_000).to_le_bytes()[0]));
    assert_eq!(err, b"\xffe\0".repeat(5));
}

#[test]
fn a_reader_that_went_away_is_told_from_a_write_that_failed() {
    let (reader, out) = pipe();
    drop(reader);
    let full = File::options().write(true).open("/dev/full").unwrap();
    for (out, gone) in [(out, true), (full, false)] {
        let writer = Writer::start_with(out, null()).unwrap();
        let failure = block_on(async {
            writer.chunks.send((Stream::Stdout, Bytes::from_static(b"x"))).await.unwrap();
            writer.done.await.unwrap().unwrap_err()
        });
        assert_eq!(matches!(failure, WriteFailure::ReaderGone), gone, "{failure:?}");
    }
}

#[test]
fn a_non_blocking_descriptor_loses_nothing() {
    let (mut reader, out) = pipe();
    runtime_sys::socket::set_nonblocking(out.as_fd(), true).unwrap();
    let writer = Writer::start_with(out, null()).unwrap();
    let read = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        let mut all = Vec::new();
        reader.read_to_end(&mut all).map(|_| all.len())
    });
    block_on(async {
        writer.chunks.send((Stream::Stdout, Bytes::from(vec![7; 300_000]))).await.unwrap();
        drop(writer.chunks);
        assert!(writer.done.await.unwrap().is_ok());
    });
    assert_eq!(read.join().unwrap().unwrap(), 300_000);
}

#[test]
fn input_comes_in_order_and_ends() {
    let (reader, mut writer) = pipe();
    let mut input = read_from(reader).unwrap();
    std::thread::spawn(move || writer.write_all(&vec![3; 200_000]));
    let total = block_on(async {
        let mut total = 0;
        loop {
            match input.recv().await.unwrap() {
                Input::Bytes(bytes) => total += bytes.len(),
                Input::End => break total,
                Input::Failed(error) => panic!("{error}"),
            }
        }
    });
    assert_eq!(total, 200_000);
}

#[test]
fn input_that_cannot_be_read_is_told() {
    let mut input = read_from(File::open("/").unwrap()).unwrap();
    assert!(matches!(block_on(input.recv()), Some(Input::Failed(_))), "a directory cannot be read");
}
