//! Each case on a line, and the count at the end.

use std::io::{self, Write};

/// Why a case fails, for a person.
pub(crate) type Reason = String;

/// Prints what happens as it happens, and counts it.
pub struct Report<'w> {
    out: &'w mut dyn Write,
    printed: io::Result<()>,
    ok: usize,
    failures: Vec<String>,
}

impl core::fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Report")
            .field("ok", &self.ok)
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}

impl<'w> Report<'w> {
    /// A report of nothing yet.
    pub fn new(out: &'w mut dyn Write) -> Self {
        Self { out, printed: Ok(()), ok: 0, failures: Vec::new() }
    }

    /// How many runs of cases were ok.
    #[must_use]
    pub const fn ok(&self) -> usize {
        self.ok
    }

    /// Which runs of cases failed, and why.
    #[must_use]
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// Whether something ran, nothing failed, and all of it could be printed.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.ok > 0 && self.failures.is_empty() && self.printed.is_ok()
    }

    pub(crate) fn line(&mut self, line: &str) {
        let printed = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
        if self.printed.is_ok() {
            self.printed = printed;
        }
    }

    pub(crate) fn case(&mut self, title: &str, result: Result<(), Reason>) {
        match result {
            Ok(()) => {
                self.ok = self.ok.saturating_add(1);
                self.line(&format!("{title} ... ok"));
            }
            Err(reason) => {
                self.line(&format!("{title} ... FAILED"));
                reason.lines().for_each(|line| self.line(&format!("    {line}")));
                self.failures.push(format!("{title}: {reason}"));
            }
        }
    }

    pub(crate) fn end(&mut self) {
        let (ok, failed) = (self.ok, self.failures.len());
        self.line(&format!("conformance: {ok} ok, {failed} FAILED"));
    }
}
