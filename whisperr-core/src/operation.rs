//! What an application says, as it says it.

use crate::channel::{Channel, ChannelKind};
use crate::device::Device;
use crate::encode::Borrowed;
use crate::push_token::PushToken;

/// An event: what happened, to whom, with which properties.
///
/// ```
/// use whisperr_core::{Track, props};
///
/// let event = Track::new("payment_failed")
///     .user("user_8842")
///     .properties(props! { "amount_cents" => 4900, "reason" => "card_declined" })
///     .context(props! { "firmware" => "1.4.2" });
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Track<'a, P = (), C = ()> {
    pub(crate) event_type: &'a str,
    pub(crate) user: Option<&'a str>,
    pub(crate) properties: P,
    pub(crate) context: C,
    pub(crate) device: Option<Device<'a>>,
    pub(crate) require_persistence: bool,
}

impl<'a> Track<'a> {
    /// An event of this type without properties, about the current user, or about the anonymous
    /// visitor while there is none. The name is checked when the event is tracked.
    #[must_use]
    pub const fn new(event_type: &'a str) -> Self {
        Self { event_type, user: None, properties: (), context: (), device: None, require_persistence: false }
    }
}

impl<'a, P, C> Track<'a, P, C> {
    /// Says whom the event is about; the current user stays who it is.
    #[must_use]
    pub fn user(mut self, id: &'a str) -> Self {
        self.user = Some(id);
        self
    }

    /// Sets the properties: see [`Properties`](crate::Properties) for what they may be.
    #[must_use]
    pub fn properties<Q>(self, properties: Q) -> Track<'a, Q, C> {
        let Self { event_type, user, properties: _, context, device, require_persistence } = self;
        Track { event_type, user, properties, context, device, require_persistence }
    }

    /// Sets the context, a free-form object beside the properties.
    #[must_use]
    pub fn context<D>(self, context: D) -> Track<'a, P, D> {
        let Self { event_type, user, properties, context: _, device, require_persistence } = self;
        Track { event_type, user, properties, context, device, require_persistence }
    }

    /// Lets the call succeed only once this is on the medium, by the medium's own word: for what an application
    /// journals, such as a change of consent. Waits for one sync.
    #[must_use]
    pub fn require_persistence(mut self) -> Self {
        self.require_persistence = true;
        self
    }

    /// The same event with its properties and context borrowed, to set what goes with it.
    #[must_use]
    pub const fn by_ref(&self) -> Track<'_, Borrowed<'_, P>, Borrowed<'_, C>> {
        let Self { event_type, user, properties, context, device, require_persistence } = self;
        let (properties, context) = (Borrowed::new(properties), Borrowed::new(context));
        let require_persistence = *require_persistence;
        Track { event_type, user: *user, properties, context, device: *device, require_persistence }
    }

    /// Sets the device, unless one is set.
    #[must_use]
    pub fn or_device(mut self, device: Device<'a>) -> Self {
        self.device = self.device.or(Some(device));
        self
    }

    /// Sets the device, whose defaults stand in properties and context where those do not say it themselves.
    #[must_use]
    pub fn device(mut self, device: Device<'a>) -> Self {
        self.device = Some(device);
        self
    }
}

/// Who the user is: traits, and the channels they may be reached on.
///
/// ```
/// use whisperr_core::{Channel, ChannelKind, Identify, props};
///
/// let user = Identify::new("user_8842")
///     .traits(props! { "plan" => "pro" })
///     .email("ada@example.com")
///     .preferred_channel(ChannelKind::Email)
///     .channels(&[Channel::sms("+15551234567").opted_out()]);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Identify<'a, T = ()> {
    pub(crate) user: &'a str,
    pub(crate) traits: T,
    pub(crate) preferred: Option<ChannelKind>,
    pub(crate) email: &'a str,
    pub(crate) phone: &'a str,
    pub(crate) push_token: PushToken<'a>,
    pub(crate) channels: &'a [Channel<'a>],
    pub(crate) device: Option<Device<'a>>,
    pub(crate) require_persistence: bool,
}

impl<'a> Identify<'a> {
    /// The user with this id, without traits or channels. The id is checked when the user is identified.
    #[must_use]
    pub const fn new(user: &'a str) -> Self {
        let push_token = PushToken::new("");
        Self {
            user,
            traits: (),
            preferred: None,
            email: "",
            phone: "",
            push_token,
            channels: &[],
            device: None,
            require_persistence: false,
        }
    }
}

impl<'a, T> Identify<'a, T> {
    /// Sets the traits, which the server merges: see [`Properties`](crate::Properties).
    #[must_use]
    pub fn traits<U>(self, traits: U) -> Identify<'a, U> {
        self.with(traits)
    }

    /// The same identify with these traits.
    const fn with<U>(&self, traits: U) -> Identify<'a, U> {
        let Self {
            user,
            traits: _,
            preferred,
            email,
            phone,
            push_token,
            channels,
            device,
            require_persistence,
        } = *self;
        Identify { user, traits, preferred, email, phone, push_token, channels, device, require_persistence }
    }

    /// Shortcut for an opted-in email channel; blank is ignored.
    #[must_use]
    pub fn email(mut self, address: &'a str) -> Self {
        self.email = address;
        self
    }

    /// Shortcut for an opted-in sms channel; blank is ignored.
    #[must_use]
    pub fn phone(mut self, number: &'a str) -> Self {
        self.phone = number;
        self
    }

    /// Shortcut for an opted-in push channel; blank is ignored.
    #[must_use]
    pub fn push_token(mut self, token: impl Into<PushToken<'a>>) -> Self {
        self.push_token = token.into();
        self
    }

    /// Sets the channel the user prefers.
    #[must_use]
    pub fn preferred_channel(mut self, kind: ChannelKind) -> Self {
        self.preferred = Some(kind);
        self
    }

    /// Sets the explicit channels; they follow the shortcuts on the wire.
    #[must_use]
    pub fn channels(mut self, channels: &'a [Channel<'a>]) -> Self {
        self.channels = channels;
        self
    }

    /// Lets the call succeed only once this is on the medium, by the medium's own word: for what an application
    /// journals, such as a change of consent. Waits for one sync.
    #[must_use]
    pub fn require_persistence(mut self) -> Self {
        self.require_persistence = true;
        self
    }

    /// The same identify with its traits borrowed, to set what goes with it.
    #[must_use]
    pub const fn by_ref(&self) -> Identify<'_, Borrowed<'_, T>> {
        self.with(Borrowed::new(&self.traits))
    }

    /// Sets the device, unless one is set.
    #[must_use]
    pub fn or_device(mut self, device: Device<'a>) -> Self {
        self.device = self.device.or(Some(device));
        self
    }

    /// Sets the device, whose time zone and locale stand in the traits where those do not say them.
    #[must_use]
    pub fn device(mut self, device: Device<'a>) -> Self {
        self.device = Some(device);
        self
    }

    /// The same identify without its traits.
    pub(crate) const fn plain(&self) -> Identify<'a> {
        self.with(())
    }
}

impl<'a> Identify<'a> {
    /// The explicit channels, without blank ones.
    pub(crate) fn explicit(&self) -> impl Iterator<Item = Channel<'a>> + Clone + use<'a> {
        self.channels.iter().copied().filter_map(Channel::trimmed)
    }
}
