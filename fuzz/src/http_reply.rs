use httparse::{Header, Response, Status};
use whisperr_core::Reply;

use net::{ReplyError, is_done, read};

/// The folder that holds the reader, which is private there and should stay so.
#[path = "../../whisperr-embassy/src/net"]
mod net {
    #[expect(unreachable_pub, reason = "the error is public there")]
    mod reply;

    pub(super) use reply::ReplyError;
    use reply::ReplyReader;
    use whisperr_core::Reply;

    /// What becomes of a reply in these pieces, behind which the server closes; and whether the connection could have
    /// carried another exchange.
    pub(super) fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(Reply, bool), ReplyError> {
        let mut reader = ReplyReader::new();
        let mut has_begun = false;
        for piece in pieces {
            reader.feed(piece)?;
            has_begun |= !piece.is_empty();
            assert_eq!(reader.has_begun(), has_begun);
            assert!(reader.has_head() || !reader.is_done());
        }
        if !reader.is_done() {
            reader.feed_end()?;
            assert!(reader.is_done());
        }
        Ok(reader.finish())
    }

    /// Whether the reader wants nothing behind these bytes.
    pub(super) fn is_done(bytes: &[u8]) -> bool {
        let mut reader = ReplyReader::new();
        reader.feed(bytes).unwrap();
        reader.is_done()
    }
}

/// Most bytes of heads, interim ones included.
const HEAD_BYTES: usize = 8 << 10;
/// Most bytes behind the head that are read.
const REST_BYTES: usize = 4 << 10;
/// Most bytes of the body that are kept.
const BODY_BYTES: usize = 512;
/// Most bytes of a line that are looked at.
const LINE_BYTES: usize = 80;

/// The headers that the reader looks at; of a longer line it knows that it is longer, and this oracle does not.
const NAMES: [&str; 5] = ["content-length", "transfer-encoding", "connection", "retry-after", "date"];

/// What one byte of an input stands for, from 0x80 on: a fuzzer that moves bytes then moves these, and finds
/// heads and chunks that fit together.
const WORDS: [&str; 24] = [
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 ",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "Content-Length: ",
    "Content-Length: 14\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: ",
    "close",
    ", ",
    "\r\n",
    "Retry-After: ",
    "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    "{\"rejected\":2}",
    "e\r\n{\"rejected\":2}\r\n",
    "7\r\n{\"rejec\r\n",
    "7\r\nted\":2}\r\n",
    "9\r\n         \r\n",
    "0\r\n\r\n",
    "0\r\n",
    ";x=\"y\"",
    "0000000000000000",
    "1000000000000000",
    "+",
    "A-Name-That-Is-So-Long-That-The-Reader-Has-No-Room-For-It-And-Then-Some-More-Of-It-Behind: ",
];

/// What a server sends, in any pieces: the reply does not depend on the pieces, and is what `httparse` and another
/// decoder of bodies make of it, as far as they go.
///
/// Each byte of the first line of the input is the length of a piece; what they leave is the last piece. In what
/// follows, some bytes stand for words.
///
/// # Panics
/// When it does or is not.
pub fn http_reply(data: &[u8]) {
    let (lengths, sent) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(0));
    let sent = spell(sent.strip_prefix(b"\n").unwrap_or(sent));
    let sent = sent.as_slice();

    let outcome = read([sent]);
    let mut rest = sent;
    let mut pieces: Vec<&[u8]> = Vec::new();
    for length in lengths {
        let (piece, behind) = rest.split_at(rest.len().min(usize::from(*length)));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    assert_eq!(read(pieces.iter().copied()), outcome, "in pieces of {lengths:?}");
    assert_eq!(read(sent.chunks(1)), outcome, "byte by byte");

    agrees(sent, outcome);
}

fn spell(input: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(input.len());
    for byte in input {
        let word = byte.checked_sub(0x80).and_then(|word| WORDS.get(usize::from(word)));
        match (byte, word) {
            (_, Some(word)) => text.extend_from_slice(word.as_bytes()),
            // So that short inputs reach the limits: a header of 128 bytes, and 64 spaces.
            (0xf0, None) => {
                text.extend_from_slice(b"X: ");
                text.resize(text.len().saturating_add(123), b'y');
                text.extend_from_slice(b"\r\n");
            }
            (0xf1, None) => text.resize(text.len().saturating_add(64), b' '),
            _ => text.push(*byte),
        }
    }
    text
}

/// How the bytes behind the head end.
#[derive(Debug)]
enum End {
    /// Behind so many bytes; another exchange can follow.
    Known(usize),
    /// With the connection.
    WithConnection,
    /// There is more than one reading of them.
    Unsure,
}

/// Compares with what another reader makes of it. Where that one sees no reply, the reader may be more patient.
fn agrees(sent: &[u8], outcome: Result<(Reply, bool), ReplyError>) {
    // A header has at least three bytes: one of its name, the colon, the end of the line.
    let mut headers = vec![httparse::EMPTY_HEADER; (sent.len() / 3).saturating_add(1)];
    let mut at = 0_usize;
    let (head, head_len) = loop {
        let rest = sent.get(at..).unwrap_or_default();
        // Before a status line `httparse` skips empty lines, which RFC 9112 allows servers only.
        if !b"HTTP/1.".iter().zip(rest).all(|(expected, byte)| expected == byte) {
            return;
        }
        let mut response = Response::new(&mut headers);
        match response.parse(rest) {
            Ok(Status::Complete(len)) => {
                let line_at = at;
                at = at.saturating_add(len);
                let head = Head::of(&response);
                if head.status < 100 {
                    // The status is judged at the end of its line, if that is ever read.
                    let line = sent.iter().skip(line_at).take_while(|byte| **byte != b'\n').count();
                    let is_read = line_at.saturating_add(line) < HEAD_BYTES;
                    let expected = if is_read { ReplyError::NotHttp } else { ReplyError::HeadTooLarge };
                    assert_eq!(outcome, Err(expected));
                    return;
                }
                if head.status > 199 || head.status == 101 {
                    let lines = sent.get(line_at..at).unwrap_or_default();
                    if at <= HEAD_BYTES && has_long_line_of_interest(lines) {
                        assert_eq!(outcome.map(|(reply, _)| reply.status()), Ok(head.status));
                        return;
                    }
                    break (head, at);
                }
            }
            Ok(Status::Partial) => {
                assert!(outcome.is_err(), "{outcome:?} without the end of the head");
                return;
            }
            Err(_) => return,
        }
    };
    if head_len > HEAD_BYTES {
        assert_eq!(outcome, Err(ReplyError::HeadTooLarge));
        return;
    }
    let (reply, is_reusable) = outcome.unwrap();
    assert_eq!(reply.status(), head.status);

    let rest = sent.get(head_len..).unwrap_or_default();
    let within = rest.get(..rest.len().min(REST_BYTES)).unwrap_or_default();
    let (end, body) = head.body(within);
    if let Some(mut body) = body {
        body.truncate(BODY_BYTES);
        assert_eq!(reply, head.reply.body(&body), "{head:?}, {end:?}");
    }
    match end {
        End::Known(len) => {
            assert_eq!(is_reusable, head.persists && len == rest.len(), "{head:?}, {end:?}");
            let whole = head_len.saturating_add(len);
            assert!(is_done(sent.get(..whole).unwrap_or_default()), "{head:?}, {end:?}");
            let before = sent.get(..whole.saturating_sub(1)).unwrap_or_default();
            assert!(!is_done(before), "{head:?}, before {end:?}");
        }
        End::WithConnection => assert!(!is_reusable, "{head:?}"),
        End::Unsure => {}
    }
}

fn has_long_line_of_interest(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').filter(|line| line.len() > LINE_BYTES).any(|line| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        NAMES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    })
}

/// The final head, as `httparse` read it.
#[derive(Debug)]
struct Head {
    status: u16,
    /// With everything but the body.
    reply: Reply,
    framing: Framing,
    /// As far as the head says.
    persists: bool,
}

#[derive(Debug)]
enum Framing {
    Unsaid,
    Length(usize),
    Chunked,
    /// Contradictory or unknown.
    Broken,
}

impl Head {
    fn of(response: &Response<'_, '_>) -> Self {
        let status = response.code.unwrap();
        let values = |name: &str| -> Vec<&[u8]> {
            let is_it = |header: &&Header<'_>| header.name.eq_ignore_ascii_case(name);
            response.headers.iter().filter(is_it).map(|header| header.value).collect()
        };
        let lengths: Vec<Option<usize>> = values("content-length").into_iter().map(length).collect();
        let codings = values("transfer-encoding");
        let framing = match (lengths.as_slice(), codings.as_slice()) {
            ([], []) => Framing::Unsaid,
            ([Some(length), others @ ..], []) if others.iter().all(|other| *other == Some(*length)) => {
                Framing::Length(*length)
            }
            ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
            _ => Framing::Broken,
        };
        let options = values("connection").join(&b',');
        let mut options = options.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let closes = options.any(|option| option.eq_ignore_ascii_case(b"close"));
        let mut reply = Reply::new(status);
        if let Some(value) = values("retry-after").first() {
            reply = reply.retry_after(value);
        }
        if let Some(value) = values("date").first() {
            reply = reply.date(value);
        }
        // Of a name that long the reader does not know that it is one; to end the connection is always safe.
        let has_long_name = response.headers.iter().any(|header| header.name.len() >= LINE_BYTES);
        Self { status, reply, framing, persists: response.version == Some(1) && !closes && !has_long_name }
    }

    /// The end of the body in what follows the head, and its content so far; `None` where nobody promises what is
    /// content.
    fn body(&self, rest: &[u8]) -> (End, Option<Vec<u8>>) {
        match (self.status, &self.framing) {
            (101, _) => (End::WithConnection, Some(rest.to_vec())),
            (204 | 304, _) => (End::Known(0), Some(Vec::new())),
            (_, Framing::Length(length)) => match rest.get(..*length) {
                Some(body) => (End::Known(*length), Some(body.to_vec())),
                None => (End::WithConnection, Some(rest.to_vec())),
            },
            (_, Framing::Chunked) => dechunk(rest),
            (_, Framing::Unsaid) => (End::WithConnection, Some(rest.to_vec())),
            (_, Framing::Broken) => (End::WithConnection, None),
        }
    }
}

/// `Content-Length`: digits and nothing else, as many as fit.
fn length(value: &[u8]) -> Option<usize> {
    let digits = core::str::from_utf8(value).ok()?;
    digits.parse().ok().filter(|_| value.iter().all(u8::is_ascii_digit))
}

/// Decodes chunks (RFC 9112, section 7.1), as strictly as they are written there: what the reader makes of a line
/// that ends without a carriage return, or with a control character in it, is its own affair.
fn dechunk(rest: &[u8]) -> (End, Option<Vec<u8>>) {
    let mut body = Vec::new();
    let mut at = 0_usize;
    loop {
        let line = match line(rest, at) {
            Ok(Some(line)) => line,
            Ok(None) => return (End::WithConnection, Some(body)),
            Err(Loose) => return (End::Unsure, None),
        };
        at = at.saturating_add(line.len()).saturating_add(2);
        let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
        if size.len() >= LINE_BYTES || size.iter().any(u8::is_ascii_whitespace) {
            // So many zeros, or the space that some write before an extension.
            return (End::Unsure, None);
        }
        let size =
            core::str::from_utf8(size).ok().filter(|size| size.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(size) = size.and_then(|size| usize::from_str_radix(size, 16).ok()) else {
            return (End::WithConnection, Some(body));
        };
        if size == 0 {
            break;
        }
        let behind = rest.get(at..).unwrap_or_default();
        body.extend(behind.iter().take(size));
        at = at.saturating_add(size);
        match rest.get(at..).unwrap_or_default() {
            [b'\r', b'\n', ..] => at = at.saturating_add(2),
            [] | [b'\r'] => return (End::WithConnection, Some(body)),
            _ => return (End::Unsure, None),
        }
    }
    loop {
        match line(rest, at) {
            Ok(Some([])) => return (End::Known(at.saturating_add(2)), Some(body)),
            Ok(Some(line)) => at = at.saturating_add(line.len()).saturating_add(2),
            Ok(None) => return (End::WithConnection, Some(body)),
            Err(Loose) => return (End::Unsure, None),
        }
    }
}

/// A line that strict readers refuse.
struct Loose;

/// The line that begins here, without its end; `None` when it does not end.
fn line(bytes: &[u8], at: usize) -> Result<Option<&[u8]>, Loose> {
    let bytes = bytes.get(at..).unwrap_or_default();
    match bytes
        .iter()
        .position(|byte| byte.is_ascii_control() && *byte != b'\t')
        .map(|end| bytes.split_at(end))
    {
        Some((line, [b'\r', b'\n', ..])) => Ok(Some(line)),
        None | Some((_, [b'\r'])) => Ok(None),
        Some(_) => Err(Loose),
    }
}
