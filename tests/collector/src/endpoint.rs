/// An ingestion endpoint (contract, section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the contract names these three, and a test matches on all")]
pub enum Endpoint {
    /// `POST /v1/events/batch`, 1 to 500 events.
    EventsBatch,
    /// `POST /v1/events/track`, one event.
    EventsTrack,
    /// `POST /v1/identify`.
    Identify,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::EventsBatch, Self::EventsTrack, Self::Identify];

    /// The path, as in the request line.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::EventsBatch => "/v1/events/batch",
            Self::EventsTrack => "/v1/events/track",
            Self::Identify => "/v1/identify",
        }
    }

    pub(crate) fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.path() == path)
    }
}
