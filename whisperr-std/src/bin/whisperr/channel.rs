//! A channel, as `--channel` and a line of `pipe` give it.

use whisperr_std::{Channel, ChannelKind};

use crate::exit::Failure;

/// The kinds of a channel, for errors.
pub(crate) const KINDS: &str = "email, sms, push";

/// A channel that owns its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnedChannel {
    pub(crate) kind: ChannelKind,
    pub(crate) address: String,
    pub(crate) opted_in: bool,
    pub(crate) verified: Option<bool>,
}

impl OwnedChannel {
    /// Reads `CHANNEL:ADDRESS[,opted-out][,verified]`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let (kind, rest) =
            text.split_once(':').ok_or_else(|| Failure::usage("--channel is not CHANNEL:ADDRESS"))?;
        let kind = ChannelKind::parse(kind)
            .ok_or_else(|| Failure::usage(format_args!("--channel is none of {KINDS}")))?;
        let mut parts = rest.split(',');
        let address = parts.next().unwrap_or_default().to_owned();
        let mut channel = Self { kind, address, opted_in: true, verified: None };
        for flag in parts {
            match flag {
                "opted-out" => channel.opted_in = false,
                "verified" => channel.verified = Some(true),
                _ => {
                    let text = "--channel has a flag that is neither opted-out nor verified";
                    return Err(Failure::usage(text));
                }
            }
        }
        Ok(channel)
    }

    pub(crate) fn as_channel(&self) -> Channel<'_> {
        let channel = Channel::new(self.kind, &self.address);
        let channel = if self.opted_in { channel } else { channel.opted_out() };
        match self.verified {
            Some(verified) => channel.verified(verified),
            None => channel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_follow_the_address() {
        for (text, opted_in, verified) in [
            ("push:a:b", true, None),
            ("push:a:b,opted-out", false, None),
            ("push:a:b,verified", true, Some(true)),
            ("push:a:b,verified,opted-out", false, Some(true)),
        ] {
            let expected =
                OwnedChannel { kind: ChannelKind::Push, address: "a:b".into(), opted_in, verified };
            assert_eq!(OwnedChannel::parse(text), Ok(expected), "{text}");
        }
    }
}
