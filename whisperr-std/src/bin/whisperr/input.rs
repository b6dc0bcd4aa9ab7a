//! What a line of `pipe` says.

use serde_json::value::RawValue;
use whisperr_std::{Channel, ChannelKind, Error, Identify, Json, MessageId, Track, Whisperr};

use crate::channel::{KINDS, OwnedChannel};
use crate::members::Members;

/// One line, taken apart. Objects stay the text they were.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    Track {
        event: String,
        user: Option<String>,
        properties: Option<&'a RawValue>,
        context: Option<&'a RawValue>,
    },
    Identify {
        user: String,
        traits: Option<&'a RawValue>,
        email: String,
        phone: String,
        push_token: String,
        preferred_channel: Option<ChannelKind>,
        channels: Vec<OwnedChannel>,
    },
}

impl<'a> Input<'a> {
    /// Reads a line. The error names what is wrong and shows no value.
    pub(crate) fn parse(line: &'a [u8]) -> Result<Self, String> {
        let text = core::str::from_utf8(line)
            .map_err(|error| format!("the line is not UTF-8 at byte {}", error.valid_up_to()))?;
        let mut members = Members::parse(text, "the line", String::new())?;
        match (members.text("track")?, members.text("identify")?) {
            (Some(event), None) => {
                let input = Self::Track {
                    event,
                    user: members.text("user")?,
                    properties: members.take("properties")?,
                    context: members.take("context")?,
                };
                members.finish("a track line").map(|()| input)
            }
            (None, Some(user)) => {
                let input = Self::Identify {
                    user,
                    traits: members.take("traits")?,
                    email: members.text("email")?.unwrap_or_default(),
                    phone: members.text("phone")?.unwrap_or_default(),
                    push_token: members.text("push_token")?.unwrap_or_default(),
                    preferred_channel: kind(&mut members, "preferred_channel", "")?,
                    channels: channels(&mut members)?,
                };
                members.finish("an identify line").map(|()| input)
            }
            (Some(_), Some(_)) => Err("the line holds both track and identify".into()),
            (None, None) => Err("the line holds neither track nor identify".into()),
        }
    }

    /// Says it. Returns the message id of an event.
    pub(crate) fn say(&self, whisperr: &Whisperr) -> Result<Option<MessageId>, Error> {
        match self {
            Self::Track { event, user, properties, context } => {
                let event = Track::new(event).properties(object(*properties)).context(object(*context));
                let event = match user {
                    Some(user) => event.user(user),
                    None => event,
                };
                whisperr.track_event(&event).map(Some)
            }
            Self::Identify { user, traits, email, phone, push_token, preferred_channel, channels } => {
                let channels: Vec<Channel<'_>> = channels.iter().map(OwnedChannel::as_channel).collect();
                let identify = Identify::new(user)
                    .traits(object(*traits))
                    .email(email)
                    .phone(phone)
                    .push_token(push_token)
                    .channels(&channels);
                let identify = match preferred_channel {
                    Some(kind) => identify.preferred_channel(*kind),
                    None => identify,
                };
                whisperr.identify(identify).map(|()| None)
            }
        }
    }
}

fn object(value: Option<&RawValue>) -> Json<'_> {
    Json(value.map_or("{}", RawValue::get))
}

fn kind(members: &mut Members<'_>, name: &str, path: &str) -> Result<Option<ChannelKind>, String> {
    let Some(text) = members.text(name)? else { return Ok(None) };
    ChannelKind::parse(&text).map(Some).ok_or_else(|| format!("{path}{name} is none of {KINDS}"))
}

fn channels(members: &mut Members<'_>) -> Result<Vec<OwnedChannel>, String> {
    let list = members.list("channels")?;
    list.into_iter().enumerate().map(|(at, value)| channel(at, value)).collect()
}

fn channel(at: usize, value: &RawValue) -> Result<OwnedChannel, String> {
    let what = format!("channels[{at}]");
    let path = format!("{what}.");
    let mut members = Members::parse(value.get(), &what, path.clone())?;
    let kind = kind(&mut members, "type", &path)?.ok_or_else(|| format!("{path}type is missing"))?;
    let address = members.text("address")?.ok_or_else(|| format!("{path}address is missing"))?;
    let opted_in = members.boolean("opted_in")?.unwrap_or(true);
    let verified = members.boolean("verified")?;
    members.finish("a channel")?;
    Ok(OwnedChannel { kind, address, opted_in, verified })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_read_and_objects_keep_their_text() {
        let line = r#" {"context":{"x":[]},"user":"u\u0031","track":"a_b","properties":{"n": 1.00e5}} "#;
        let Ok(Input::Track { event, user, properties, context }) = Input::parse(line.as_bytes()) else {
            panic!("not taken");
        };
        assert_eq!((event.as_str(), user.as_deref()), ("a_b", Some("u1")));
        assert_eq!(properties.map(RawValue::get), Some(r#"{"n": 1.00e5}"#));
        assert_eq!(context.map(RawValue::get), Some(r#"{"x":[]}"#));

        let line = r#"{"identify":"u1","traits":{"a":1},"email":"e","phone":"p","push_token":"t",
            "preferred_channel":"sms","channels":[{"type":"sms","address":"1","opted_in":false,"verified":true},
            {"type":"email","address":"2"}]}"#;
        let Ok(Input::Identify { user, traits, email, phone, push_token, preferred_channel, channels }) =
            Input::parse(line.as_bytes())
        else {
            panic!("not taken");
        };
        assert_eq!([user, email, phone, push_token], ["u1", "e", "p", "t"]);
        assert_eq!(traits.map(RawValue::get), Some(r#"{"a":1}"#));
        assert_eq!(preferred_channel, Some(ChannelKind::Sms));
        let channel = |kind, address: &str, opted_in, verified| OwnedChannel {
            kind,
            address: address.into(),
            opted_in,
            verified,
        };
        let expected =
            [channel(ChannelKind::Sms, "1", false, Some(true)), channel(ChannelKind::Email, "2", true, None)];
        assert_eq!(channels, expected);
    }

    #[test]
    fn a_bad_line_is_refused_by_name_without_its_values() {
        for (line, expected) in [
            (&b"{\"track\":\"\xff\"}"[..], "the line is not UTF-8 at byte 10"),
            (b"nonsense", "the line is not valid JSON at byte 1"),
            (b"{\"track\":\"a\"", "the line is not valid JSON at byte 11"),
            (b"{\"track\":\"a\"} x", "the line is not valid JSON at byte 14"),
            (b"[\"secret\"]", "the line is not an object"),
            (b"\"secret\"", "the line is not an object"),
            (b"7", "the line is not an object"),
            (b"{}", "the line holds neither track nor identify"),
            (b"{\"user\":\"u\"}", "the line holds neither track nor identify"),
            (b"{\"track\":\"a\",\"identify\":\"u\"}", "the line holds both track and identify"),
            (b"{\"track\":7}", "track is not a string"),
            (b"{\"track\":null}", "track is not a string"),
            (b"{\"track\":\"\\ud800\"}", "track is not a string"),
            (b"{\"track\":\"a\",\"track\":\"a\"}", "track is given twice"),
            (b"{\"track\":\"a\",\"tr\\u0061ck\":\"a\"}", "track is given twice"),
            (b"{\"track\":\"a\",\"user\":7}", "user is not a string"),
            (b"{\"track\":\"a\",\"usr\":\"u\"}", "usr is no field of a track line"),
            (b"{\"track\":\"a\",\"traits\":{}}", "traits is no field of a track line"),
            (b"{\"identify\":\"u\",\"properties\":{}}", "properties is no field of an identify line"),
            (b"{\"identify\":[\"secret\"]}", "identify is not a string"),
            (b"{\"identify\":\"u\",\"email\":{}}", "email is not a string"),
            (
                b"{\"identify\":\"u\",\"preferred_channel\":\"fax\"}",
                "preferred_channel is none of email, sms, push",
            ),
            (b"{\"identify\":\"u\",\"channels\":{}}", "channels is not a list"),
            (b"{\"identify\":\"u\",\"channels\":[7]}", "channels[0] is not an object"),
            (b"{\"identify\":\"u\",\"channels\":[{\"address\":\"1\"}]}", "channels[0].type is missing"),
            (b"{\"identify\":\"u\",\"channels\":[{\"type\":\"sms\"}]}", "channels[0].address is missing"),
            (
                b"{\"identify\":\"u\",\"channels\":[{\"type\":\"fax\",\"address\":\"1\"}]}",
                "channels[0].type is none of email, sms, push",
            ),
            (
                b"{\"identify\":\"u\",\"channels\":[{\"type\":\"sms\",\"address\":\"1\",\"opted_in\":1}]}",
                "channels[0].opted_in is not true or false",
            ),
            (
                b"{\"identify\":\"u\",\"channels\":[{\"type\":\"sms\",\"address\":\"1\",\"kind\":\"x\"}]}",
                "channels[0].kind is no field of a channel",
            ),
        ] {
            let error = Input::parse(line).unwrap_err();
            assert_eq!(error, expected, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn a_long_name_is_not_repeated_whole() {
        let line = format!(r#"{{"track":"a","{}":1}}"#, "x".repeat(10_000));

        assert!(Input::parse(line.as_bytes()).unwrap_err().len() < 200);
    }
}
