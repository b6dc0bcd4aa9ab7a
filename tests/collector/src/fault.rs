use crate::endpoint::Endpoint;

/// One way to misbehave towards the ingestion endpoints.
///
/// Queue it with [`Collector::fault`](crate::Collector::fault), as it is until it is cleared, or
/// with [`times`](Self::times), [`once`](Self::once) and [`at`](Self::at). Each request takes the
/// first queued fault that matches it, so a fault without an end hides the ones behind it.
/// [`BodyLimit`](Self::BodyLimit) and [`RejectEventType`](Self::RejectEventType) are standing
/// rules: they hold beside the queue, for every request that gets as far as being processed, and
/// are spent only by a request they refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Replies this without looking at the request; [`Fault::status`] is shorter.
    Status {
        /// 200 to 599; anything else is replied as 500.
        code: u16,
        /// The `Retry-After` header, verbatim, readable or not.
        retry_after: Option<String>,
        /// The body; by default `{"error":"fault"}`.
        body: Option<String>,
    },
    /// Waits, then goes on as without a fault. A client that gives up while it waits is never
    /// processed.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// Keeps the connection and never replies. The request is not processed.
    Hang,
    /// Closes the connection without a reply. The request is not processed.
    Close,
    /// Processes the request, accepts what it carries, and closes the connection without a reply.
    LoseReply,
    /// Replies 413 to a body larger than this. A standing rule.
    BodyLimit {
        /// The largest body still taken. A limit above the collector's own changes nothing.
        bytes: usize,
    },
    /// Refuses every request that carries an event of this type, as a whole. A standing rule.
    RejectEventType {
        /// The type.
        event_type: String,
        /// The status; 400 in [`Fault::reject_event_type`].
        code: u16,
    },
    /// Takes the request, but counts the events of this type as `rejected` and does not store
    /// them. Matches only requests that carry the type.
    CountRejected {
        /// The type.
        event_type: String,
    },
    /// Processes the request, replies 200 and drips a body that never ends.
    Endless,
    /// Replies 200 with a web page, like a captive portal. The request is not processed.
    Html,
    /// Replies 302. The request is not processed.
    Redirect {
        /// The `Location` header.
        to: String,
    },
}

impl Fault {
    /// A [`Fault::Status`] with `code`; see [`StatusFault`] for what it may carry.
    #[must_use]
    pub const fn status(code: u16) -> StatusFault {
        StatusFault { code, retry_after: None, body: None }
    }

    /// A [`Fault::Delay`] of `ms` milliseconds.
    #[must_use]
    pub const fn delay_ms(ms: u64) -> Self {
        Self::Delay { ms }
    }

    /// A [`Fault::RejectEventType`] with 400.
    #[must_use]
    pub fn reject_event_type(event_type: &str) -> Self {
        Self::RejectEventType { event_type: event_type.to_owned(), code: 400 }
    }

    /// Limits it to `times` requests.
    #[must_use]
    pub fn times(self, times: u32) -> FaultRule {
        FaultRule::from(self).times(times)
    }

    /// Limits it to one request.
    #[must_use]
    pub fn once(self) -> FaultRule {
        self.times(1)
    }

    /// Limits it to requests to `endpoint`.
    #[must_use]
    pub fn at(self, endpoint: Endpoint) -> FaultRule {
        FaultRule::from(self).at(endpoint)
    }

    const fn is_standing(&self) -> bool {
        matches!(self, Self::BodyLimit { .. } | Self::RejectEventType { .. })
    }
}

/// A [`Fault::Status`] in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusFault {
    code: u16,
    retry_after: Option<String>,
    body: Option<String>,
}

impl StatusFault {
    /// Adds a `Retry-After` header, verbatim.
    #[must_use]
    pub fn retry_after(mut self, value: &str) -> Self {
        self.retry_after = Some(value.to_owned());
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self
    }

    /// Limits it to `times` requests.
    #[must_use]
    pub fn times(self, times: u32) -> FaultRule {
        Fault::from(self).times(times)
    }

    /// Limits it to one request.
    #[must_use]
    pub fn once(self) -> FaultRule {
        self.times(1)
    }

    /// Limits it to requests to `endpoint`.
    #[must_use]
    pub fn at(self, endpoint: Endpoint) -> FaultRule {
        Fault::from(self).at(endpoint)
    }
}

impl From<StatusFault> for Fault {
    fn from(status: StatusFault) -> Self {
        let StatusFault { code, retry_after, body } = status;
        Self::Status { code, retry_after, body }
    }
}

/// A [`Fault`] with how often and where it applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRule {
    /// The fault.
    pub fault: Fault,
    /// How many requests it applies to; `None` until it is cleared.
    pub times: Option<u32>,
    /// The endpoint it applies to; `None` for all three.
    pub endpoint: Option<Endpoint>,
}

impl FaultRule {
    /// Limits it to `times` requests.
    #[must_use]
    pub const fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Limits it to one request.
    #[must_use]
    pub const fn once(self) -> Self {
        self.times(1)
    }

    /// Limits it to requests to `endpoint`.
    #[must_use]
    pub const fn at(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    fn applies(&self, endpoint: Endpoint) -> bool {
        self.times != Some(0) && self.endpoint.is_none_or(|at| at == endpoint)
    }
}

impl From<Fault> for FaultRule {
    fn from(fault: Fault) -> Self {
        Self { fault, times: None, endpoint: None }
    }
}

impl From<StatusFault> for FaultRule {
    fn from(status: StatusFault) -> Self {
        Fault::from(status).into()
    }
}

/// The faults that wait for requests, in the order they were queued.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<FaultRule>,
}

impl Faults {
    pub(crate) fn push(&mut self, rule: FaultRule) {
        self.rules.push(rule);
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.rules.len()
    }

    /// Spends the first queued fault for a request; `carries` tells which event types it carries.
    pub(crate) fn take(&mut self, endpoint: Endpoint, carries: impl Fn(&str) -> bool) -> Option<Fault> {
        self.spend(|rule| {
            !rule.fault.is_standing()
                && rule.applies(endpoint)
                && match &rule.fault {
                    Fault::CountRejected { event_type } => carries(event_type),
                    _ => true,
                }
        })
    }

    /// The smallest standing body limit.
    pub(crate) fn body_limit(&self, endpoint: Endpoint) -> Option<usize> {
        self.body_limits(endpoint).min()
    }

    /// Spends the smallest standing body limit.
    pub(crate) fn spend_body_limit(&mut self, endpoint: Endpoint) {
        if let Some(limit) = self.body_limit(endpoint) {
            self.spend(|rule| rule.fault == Fault::BodyLimit { bytes: limit } && rule.applies(endpoint));
        }
    }

    /// Spends the first standing rejection of a type the request carries: the type, the status.
    pub(crate) fn take_rejection(
        &mut self,
        endpoint: Endpoint,
        carries: impl Fn(&str) -> bool,
    ) -> Option<(String, u16)> {
        let fault = self.spend(|rule| {
            rule.applies(endpoint)
                && matches!(&rule.fault, Fault::RejectEventType { event_type, .. } if carries(event_type))
        })?;
        match fault {
            Fault::RejectEventType { event_type, code } => Some((event_type, code)),
            _ => None,
        }
    }

    fn body_limits(&self, endpoint: Endpoint) -> impl Iterator<Item = usize> {
        self.rules.iter().filter(move |rule| rule.applies(endpoint)).filter_map(|rule| match rule.fault {
            Fault::BodyLimit { bytes } => Some(bytes),
            _ => None,
        })
    }

    fn spend(&mut self, matches: impl Fn(&FaultRule) -> bool) -> Option<Fault> {
        let rule = self.rules.iter_mut().find(|rule| matches(rule))?;
        let fault = rule.fault.clone();
        rule.times = rule.times.map(|times| times.saturating_sub(1));
        self.rules.retain(|rule| rule.times != Some(0));
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queued_faults_are_spent_in_order() {
        let mut faults = Faults::default();
        faults.push(Fault::Close.times(2));
        faults.push(Fault::Hang.once());
        faults.push(Fault::Html.into());

        let taken: Vec<_> = (0..5).map(|_| take(&mut faults)).collect();

        assert_eq!(taken, [Fault::Close, Fault::Close, Fault::Hang, Fault::Html, Fault::Html].map(Some));
    }

    #[test]
    fn a_fault_for_another_endpoint_is_passed_over() {
        let mut faults = Faults::default();
        faults.push(Fault::Close.once().at(Endpoint::Identify));
        faults.push(Fault::Hang.once());

        assert_eq!(take(&mut faults), Some(Fault::Hang));
        assert_eq!(take(&mut faults), None);
        assert_eq!(faults.take(Endpoint::Identify, |_| false), Some(Fault::Close));
    }

    #[test]
    fn no_times_at_all_means_no_fault() {
        let mut faults = Faults::default();
        faults.push(Fault::Close.times(0));

        assert_eq!(take(&mut faults), None);
    }

    #[test]
    fn a_count_of_rejected_events_waits_for_its_type() {
        let mut faults = Faults::default();
        let fault = Fault::CountRejected { event_type: "a".into() };
        faults.push(fault.clone().once());

        assert_eq!(faults.take(Endpoint::EventsBatch, |name| name == "b"), None);
        assert_eq!(faults.take(Endpoint::EventsBatch, |name| name == "a"), Some(fault));
    }

    #[test]
    fn standing_rules_stay_beside_the_queue() {
        let mut faults = Faults::default();
        faults.push(Fault::BodyLimit { bytes: 10 }.once());
        faults.push(Fault::BodyLimit { bytes: 20 }.into());
        faults.push(Fault::reject_event_type("a").once());

        assert_eq!(take(&mut faults), None);
        assert_eq!(faults.body_limit(Endpoint::EventsBatch), Some(10));
        faults.spend_body_limit(Endpoint::EventsBatch);
        assert_eq!(faults.body_limit(Endpoint::EventsBatch), Some(20));
        assert_eq!(faults.take_rejection(Endpoint::EventsBatch, |name| name == "b"), None);
        assert_eq!(faults.take_rejection(Endpoint::EventsBatch, |name| name == "a"), Some(("a".into(), 400)));
        assert_eq!(faults.len(), 1);
    }

    fn take(faults: &mut Faults) -> Option<Fault> {
        faults.take(Endpoint::EventsBatch, |_| false)
    }
}
