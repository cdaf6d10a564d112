use super::*;
use std::fs::File;
use std::io::{Read, Seek};

fn null() -> File {
    File::options().write(true).open("/dev/null").unwrap()
}

fn chunk(stream: OutputStream, offset_bytes: u64, data: &'static [u8]) -> OutputChunk {
    OutputChunk { stream: stream.into(), offset_bytes, time: None, data: data.into() }
}

/// Shows the chunks of stdout on what is a terminal or not.
fn shown(chunks: &[(u64, &'static [u8])], look: Look, terminal: bool) -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let writer = Writer::start_with(file.try_clone().unwrap(), null()).unwrap();
        let mut screen = Screen::with(writer, look, [terminal; 2]).at_the_start();
        for (offset, data) in chunks {
            screen.take(chunk(OutputStream::Stdout, *offset, data)).unwrap();
            let queue = screen.queue();
            while !screen.has_room() {
                screen.hand_over(queue.reserve().await.unwrap());
            }
        }
        assert!(screen.flush().await.is_ok());
    });
    let mut all = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut all).unwrap();
    all
}

#[test]
fn only_a_terminal_gets_its_output_escaped_and_not_when_it_shall_be_raw() {
    let chunks: &[(u64, &'static [u8])] = &[(0, b"a\x1b[2J\xc3"), (6, b"\xa9\xff\xe2")];
    let bytes = b"a\x1b[2J\xc3\xa9\xff\xe2";
    assert_eq!(shown(chunks, Look::default(), false), bytes);
    assert_eq!(shown(chunks, Look { raw: true, ..Look::default() }, true), bytes);
    assert_eq!(shown(chunks, Look::default(), true), "a\\x1b[2Jé\\xff\\xe2".as_bytes());
}

fn screen() -> Screen {
    Screen::with(Writer::start_with(null(), null()).unwrap(), Look::default(), [false; 2])
}

#[test]
fn a_hole_and_a_repetition_are_errors_and_the_cursor_follows() {
    for offset in [5, 2] {
        let mut screen = screen().at_the_start();
        screen.take(chunk(OutputStream::Stderr, 0, b"abc")).unwrap();
        let error = screen.take(chunk(OutputStream::Stderr, offset, b"x")).unwrap_err();
        assert_eq!(error.code(), "PROTOCOL");
        assert_eq!(screen.cursors(), [Some(0), Some(offset + 1)]);
    }
    assert!(screen().take(chunk(OutputStream::Unspecified, 0, b"x")).is_err());
}

#[test]
fn a_stream_whose_start_is_not_known_begins_where_it_begins() {
    let mut screen = screen();
    assert_eq!(screen.cursors(), [None, None]);
    screen.take(chunk(OutputStream::Stdout, 70, b"abc")).unwrap();
    assert_eq!(screen.cursors(), [Some(73), None]);
    assert!(screen.take(chunk(OutputStream::Stdout, 80, b"x")).is_err());
}

#[test]
fn a_gap_moves_the_cursor_and_is_told_in_one_line() {
    let mut screen = screen().at_the_start();
    let gap = OutputGap {
        stream: OutputStream::Stdout.into(),
        offset_bytes: 0,
        length_bytes: 1 << 20,
        reason: GapReason::JobCap.into(),
    };
    screen.skip(&gap).unwrap();
    let (stream, line) = screen.waiting.pop_front().unwrap();
    assert_eq!(stream, Stream::Stderr);
    let expected = b"runtime: 1.0 MiB of stdout from byte 0 on are kept no longer: the job was to keep less (--keep-output)\n";
    assert_eq!(line.as_ref(), expected);
    screen.take(chunk(OutputStream::Stdout, 1 << 20, b"x")).unwrap();
    assert!(screen.skip(&gap).is_err(), "it is told once");
}
