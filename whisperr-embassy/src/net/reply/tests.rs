extern crate std;

use std::format;
use std::string::String;
use std::vec::Vec;

use super::*;

/// What becomes of a reply that arrives in these pieces, and whether the connection can be used again. The server
/// closes behind them.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(Reply, bool), ReplyError> {
    let mut reader = ReplyReader::new();
    for piece in pieces {
        reader.feed(piece)?;
    }
    if !reader.is_done() {
        reader.feed_end()?;
    }
    Ok(reader.finish())
}

/// The same for a reply whose end is known although the connection stays.
fn is_reusable(bytes: &[u8]) -> Option<bool> {
    let mut reader = ReplyReader::new();
    reader.feed(bytes).unwrap();
    reader.is_done().then(|| reader.finish().1)
}

const COUNTS: &str = r#"{"accepted":3,"rejected":2}"#;

fn counted(status: u16) -> Reply {
    Reply::new(status).body(COUNTS.as_bytes())
}

#[test]
fn every_framing_ends_where_it_says() {
    let date = b"Sun, 06 Nov 1994 08:49:37 GMT";
    for (name, reply, expected) in [
        ("length", format!("HTTP/1.1 202 Accepted\r\nContent-Length: 27\r\n\r\n{COUNTS}"), (counted(202), true)),
        ("bare line feeds", format!("HTTP/1.1 202\ncontent-length:27\n\n{COUNTS}"), (counted(202), true)),
        ("no reason", format!("HTTP/1.1 202\r\nCONTENT-LENGTH:27 \r\n\r\n{COUNTS}"), (counted(202), true)),
        (
            "chunks",
            "HTTP/1.1 202 A\r\nTransfer-Encoding: Chunked\r\n\r\nE;x=\"y\"\r\n{\"accepted\":3,\r\n00d\r\n\"rejected\":2}\
             \r\n0\r\nX: y\r\n\r\n"
                .into(),
            (counted(202), true),
        ),
        ("until the end", format!("HTTP/1.1 202 A\r\n\r\n{COUNTS}"), (counted(202), false)),
        ("nothing", "HTTP/1.1 202 A\r\nContent-Length: 0\r\n\r\n".into(), (Reply::new(202), true)),
        ("204", "HTTP/1.1 204 No Content\r\n\r\n".into(), (Reply::new(204), true)),
        ("304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n".into(), (Reply::new(304), true)),
        (
            "interim replies",
            format!(
                "HTTP/1.1 100 Continue\r\nRetry-After: 9\r\n\r\nHTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n\
                 HTTP/1.1 202 A\r\nContent-Length: 27\r\n\r\n{COUNTS}"
            ),
            (counted(202), true),
        ),
        ("another protocol", "HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\nx".into(), (Reply::new(101), false)),
        ("1.0", format!("HTTP/1.0 202 A\r\nContent-Length: 27\r\n\r\n{COUNTS}"), (counted(202), false)),
        (
            "close",
            format!("HTTP/1.1 202 A\r\nConnection: x, Close\r\nContent-Length: 27\r\n\r\n{COUNTS}"),
            (counted(202), false),
        ),
        (
            "headers of interest",
            "HTTP/1.1 503 S\r\nretry-AFTER:  30 \r\nDATE: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: 31\r\n\
             Content-Length: 0\r\n\r\n"
                .into(),
            (Reply::new(503).retry_after(b"30").date(date), true),
        ),
        (
            "the longest value of interest",
            "HTTP/1.1 429 T\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n".into(),
            (Reply::new(429).retry_after(date), true),
        ),
    ] {
        assert_eq!(read([reply.as_bytes()]), Ok(expected), "{name}");
        for at in 0..=reply.len() {
            let (first, second) = reply.as_bytes().split_at(at);
            assert_eq!(read([first, second]), Ok(expected), "{name}, split at {at}");
        }
        assert_eq!(read(reply.as_bytes().chunks(1)), Ok(expected), "{name}, byte by byte");
        if expected.1 {
            assert_eq!(is_reusable(reply.as_bytes()), Some(true), "{name}");
            let more = format!("{reply}H");
            assert_eq!(read([more.as_bytes()]), Ok((expected.0, false)), "{name}, and more behind it");
        } else if name != "close" && name != "1.0" {
            assert_eq!(is_reusable(reply.as_bytes()), None, "{name}: it ends with the connection");
        }
    }
}

#[test]
fn a_reply_that_contradicts_itself_counts_and_ends_the_connection() {
    for headers in [
        "Content-Length: 27\r\nContent-Length: 28",
        "Content-Length: 27, 27",
        "Content-Length: +27",
        "Content-Length: 0x1b",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Content-Length: 27\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 27",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "Content-Length : 27",
        " Content-Length: 27",
        "Content-Length: 27\r\n folded",
        "Content-Length 27",
    ] {
        let reply = format!("HTTP/1.1 202 A\r\n{headers}\r\n\r\n{COUNTS}");

        assert_eq!(read([reply.as_bytes()]), Ok((counted(202), false)), "{headers}");
    }
    assert_eq!(
        is_reusable(
            format!("HTTP/1.1 202 A\r\nContent-Length: 27\r\nContent-Length: 27\r\n\r\n{COUNTS}").as_bytes()
        ),
        Some(true)
    );
}

#[test]
fn a_line_that_is_too_long_to_be_kept_decides_nothing() {
    let pad = " ".repeat(LINE_BYTES);
    for (headers, reusable) in [
        (format!("Content-Length: 27\r\nX: {pad}y"), true),
        (format!("Content-Length: 27\r\nDate: {pad}Sun, 06 Nov 1994 08:49:37 GMT"), true),
        (format!("Content-Length: 27\r\nRetry-After: 1{pad}"), true),
        (format!("Content-Length: 27\r\nConnection: keep-alive,{pad}x"), false),
        (format!("Content-Length: 27{pad}"), false),
        (format!("Transfer-Encoding: chunked{pad}"), false),
    ] {
        let reply = format!("HTTP/1.1 202 A\r\n{headers}\r\n\r\n{COUNTS}");

        assert_eq!(read([reply.as_bytes()]), Ok((counted(202), reusable)), "{headers}");
    }
    let reason = format!("HTTP/1.1 202 {pad}\r\nContent-Length: 27\r\n\r\n{COUNTS}");
    assert_eq!(read([reason.as_bytes()]), Ok((counted(202), true)));
}

#[test]
fn what_is_not_http_is_no_reply() {
    for line in [
        "",
        "\r",
        "HTTP/2 200",
        "HTTP/2.0 200 OK",
        "HTTP/1. 200 OK",
        "HTTP/1.1200 OK",
        "HTTP/1.1 20",
        "HTTP/1.1 2000",
        "HTTP/1.1 099 Low",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1  200 OK",
        "http/1.1 200 OK",
        "ICY 200 OK",
        "SSH-2.0-x",
        "<html>",
        "\u{ff}\0\u{1}",
    ] {
        let reply = format!("{line}\r\nContent-Length: 0\r\n\r\n");

        assert_eq!(read([reply.as_bytes()]), Err(ReplyError::NotHttp), "{line:?}");
    }
}

#[test]
fn a_head_that_does_not_end_is_no_reply() {
    let whole = "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 202 A\r\nContent-Length: 0\r\n\r\n";
    for at in 0..whole.len() {
        assert_eq!(read([&whole.as_bytes()[..at]]), Err(ReplyError::Incomplete), "{at}");
    }
}

#[test]
fn a_head_has_a_largest_size_and_interim_replies_count() {
    let start = "HTTP/1.1 202 A\r\nContent-Length: 0\r\nX: ";
    let fits = HEAD_BYTES_MAX as usize - start.len() - 4;

    let head = |pad: usize| format!("{start}{}\r\n\r\n", "x".repeat(pad));
    assert_eq!(read([head(fits).as_bytes()]), Ok((Reply::new(202), true)));
    assert_eq!(read([head(fits + 1).as_bytes()]), Err(ReplyError::HeadTooLarge));

    let interim: String = "HTTP/1.1 100 Continue\r\n\r\n".repeat(400);
    assert_eq!(read([interim.as_bytes()]), Err(ReplyError::HeadTooLarge));
}

#[test]
fn of_a_long_body_the_start_is_kept_and_the_reading_ends() {
    let head = "HTTP/1.1 202 A\r\nContent-Length: 5000\r\n\r\n";
    let endless = format!("{head}{COUNTS}{}", " ".repeat(5000));
    let reply = read([endless.as_bytes()]).unwrap();
    // White space behind the object is not part of it.
    assert_eq!(reply, (counted(202), false));

    let most = format!(
        "HTTP/1.1 202 A\r\nContent-Length: {REST_BYTES_MAX}\r\n\r\n{}",
        " ".repeat(REST_BYTES_MAX as usize)
    );
    assert_eq!(is_reusable(most.as_bytes()), Some(true));
    let over = format!("HTTP/1.1 202 A\r\nContent-Length: 4097\r\n\r\n{}", " ".repeat(4097));
    assert_eq!(is_reusable(over.as_bytes()), Some(false));
    let drip = format!("HTTP/1.1 202 A\r\n\r\n{}", " ".repeat(REST_BYTES_MAX as usize + 1));
    assert_eq!(is_reusable(drip.as_bytes()), Some(false));
}

#[test]
fn a_body_that_breaks_off_leaves_the_status() {
    for reply in [
        "HTTP/1.1 429 T\r\nContent-Length: 27\r\n\r\n{",
        "HTTP/1.1 429 T\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 429 T\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        "HTTP/1.1 429 T\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n{}",
        "HTTP/1.1 429 T\r\nTransfer-Encoding: chunked\r\n\r\n\r\n{}",
        "HTTP/1.1 429 T\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n{}",
        "HTTP/1.1 429 T\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n",
        "HTTP/1.1 429 T\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y",
    ] {
        assert_eq!(read([reply.as_bytes()]), Ok((Reply::new(429), false)), "{reply:?}");
    }
}

#[test]
fn any_bytes_end_in_a_reply_or_an_error() {
    let parts: [&[u8]; 14] = [
        b"HTTP/1.1 ",
        b"202",
        b" OK",
        b"\r\n",
        b"\n",
        b"\r",
        b"Content-Length: ",
        b"Transfer-Encoding: chunked",
        b"5",
        b"f",
        b"0",
        b":",
        b";",
        b"\xff\0",
    ];
    let mut state = 7_u64;
    for _ in 0..20_000 {
        let mut bytes = Vec::from(&b"HTTP/1.1 202\r\n"[..]);
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut draw = state >> 8;
        if draw & 64 == 0 {
            bytes.clear();
        }
        for _ in 0..24 {
            bytes.extend_from_slice(parts[(draw % 14) as usize]);
            draw = (draw / 14) ^ draw.rotate_left(13);
        }

        let whole = read([bytes.as_slice()]);
        assert_eq!(read(bytes.chunks(3)), whole, "{bytes:?}");
    }
}
