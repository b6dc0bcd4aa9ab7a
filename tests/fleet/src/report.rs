//! The Markdown section.

use core::fmt::Write;
use core::time::Duration;

use crate::figures::Figures;
use crate::fleet::{DEVICE_BYTES, Options};
use crate::scenario::{EVENT_PERIOD_MS, FLUSH_INTERVAL, Line, PLAYED_MAX_S, QUEUE_MAX, Scenario};

/// A row that was played.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "a plain fact")]
pub struct Row<'a> {
    /// Which.
    pub scenario: &'a Scenario,
    /// What it came to.
    pub figures: Figures,
    /// How long it took to play.
    pub took: Duration,
}

impl Row<'_> {
    /// The lines that are missed although nothing says why.
    #[must_use]
    pub fn surprises(&self) -> Vec<Line> {
        let missed = self.figures.missed(self.scenario).into_iter();
        missed.filter(|line| self.scenario.expected_miss(*line).is_none()).collect()
    }
}

/// The whole section: settings, table, notes.
#[must_use]
pub fn section(options: &Options, rows: &[Row<'_>]) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_settings(&mut text, options).and_then(|()| write_table(&mut text, rows));
    let _ = write_notes(&mut text, rows);
    text
}

fn write_settings(text: &mut String, options: &Options) -> core::fmt::Result {
    let Options { devices, seed, whole_outage } = options;
    let events = 1000.0 / EVENT_PERIOD_MS as f64;
    let base = Scenario::base_load(*devices);
    writeln!(text, "## Fleet\n")?;
    writeln!(
        text,
        "{devices} devices with the core's own delivery machine ({DEVICE_BYTES} bytes each), seed {seed}. \
         Each records {events} events/s, flush interval {} s, batches of at most 500, queue bound {QUEUE_MAX} or as the row says. \
         Base load {base:.0} requests/s, capacity = base load / util, a token bucket of one second. Over \
         capacity: 429 or 503 with `Retry-After` of 60-120 s, or as the row says.",
        FLUSH_INTERVAL.as_secs()
    )?;
    if !whole_outage {
        writeln!(
            text,
            "Outages of more than {} h are played for that long, and the rest only lets queues grow.",
            PLAYED_MAX_S / 3600
        )?;
    }
    writeln!(
        text,
        "\nAll from when the capacity is back. Peak: arrivals / capacity over 1 s and 10 s, judged over 10 s. \
         Over: seconds in windows of 10 s above the capacity. Rejected per served (also: answered too late): \
         until drained, in the first hour without a backlog. Used: until 99 % of the devices are drained. Drained: \
         99.9 % of the devices, the last, and the least time there is (backlog batches / capacity). Settled: \
         from then on no minute has more arrivals than 1.1 times the capacity, which is what 0.10 rejected per \
         served allows. Age: 99.9th percentile of the oldest event of acknowledged batches. Waves: \
         autocorrelation of arrivals in 10 s at the cap, less the mean around. **Bold**: the line is missed.\n"
    )
}

fn write_table(text: &mut String, rows: &[Row<'_>]) -> core::fmt::Result {
    writeln!(
        text,
        "| row | peak | over | rejected / served | used | drained (last; least) | settled | age | waves | rejected at end | wake-ups |"
    )?;
    writeln!(text, "|---|---|---|---|---|---|---|---|---|---|---|")?;
    for Row { scenario, figures, took } in rows {
        let mark = |line: Line, value: String| match (scenario.is_judged_by(line), figures.meets(line)) {
            (false, _) => "-".to_owned(),
            (true, true) => format!("{value} pass"),
            (true, false) => format!("**{value} MISS**"),
        };
        let drained = match (figures.drained, figures.drained_last) {
            (Some(most), Some(last)) => format!("{most:.0} s ({last:.0}; {:.0})", figures.least_drain),
            (Some(most), None) => format!("{most:.0} s (not all; {:.0})", figures.least_drain),
            _ => format!("not ({:.0})", figures.least_drain),
        };
        let million = figures.steps as f64 / 1e6;
        writeln!(
            text,
            "| {}: {} | {:.2}x, {} | {} s | {} | {} | {} | {} | {:.1} h | {} | {} | {million:.0}M, {:.1}M/s |",
            scenario.name,
            scenario.title,
            figures.peak_1s,
            mark(Line::Peak, format!("{:.2}x", figures.peak_10s)),
            figures.over_capacity,
            mark(Line::Rejected, format!("{:.3}", figures.rejected_per_served)),
            mark(Line::Used, format!("{:.2}", figures.used)),
            mark(Line::Drained, drained),
            mark(Line::Settled, format!("{:.0} s", figures.settled)),
            figures.age / 3600.0,
            mark(Line::Waves, format!("{:.2}", figures.waves)),
            mark(Line::Recovered, format!("{:.3}", figures.rejected_at_end)),
            million / took.as_secs_f64().max(1e-9),
        )?;
    }
    Ok(())
}

fn write_notes(text: &mut String, rows: &[Row<'_>]) -> core::fmt::Result {
    writeln!(
        text,
        "\nPolicies without jitter, with equal jitter or with a reset on success cannot be played: only the \
         core's own code is. {} s in all.",
        rows.iter().map(|row| row.took).sum::<Duration>().as_secs()
    )?;
    for row in rows.iter().filter(|row| row.figures.evicted > 0) {
        writeln!(
            text,
            "\n- {}: {} events did not fit the queues of {} and were evicted, as the contract has it.",
            row.scenario.name, row.figures.evicted, row.scenario.queue
        )?;
    }
    let missed: Vec<_> = rows
        .iter()
        .flat_map(|row| row.figures.missed(row.scenario).into_iter().map(move |line| (row, line)))
        .collect();
    if missed.is_empty() {
        return writeln!(text, "\nNo line is missed.");
    }
    writeln!(text, "\nMissed:\n")?;
    for (row, line) in missed {
        let reason = row.scenario.expected_miss(line).unwrap_or("NOT EXPECTED");
        writeln!(text, "- {}, {}: {reason}", row.scenario.name, line.text())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::SCENARIOS;
    use crate::trace::Trace;

    #[test]
    fn a_section_has_a_table_and_a_note_for_each_missed_line() {
        let scenario = SCENARIOS.iter().find(|row| row.name == "6h-cap300").unwrap();
        let mut trace = Trace::new(0, 1.0);
        trace.add_backlog(1);
        let figures = Figures::new(scenario, &trace.end(60_000, 7, 3));
        let rows = [Row { scenario, figures, took: Duration::from_secs(1) }];
        let text = section(&Options::default(), &rows);

        assert!(text.starts_with("## Fleet\n"), "{text}");
        assert_eq!(text.matches("\n## ").count(), 0);
        assert!(text.contains("| 6h-cap300: 6 h outage"), "{text}");
        assert!(text.contains("- 6h-cap300, drained in <= 1.5x the least time: NOT EXPECTED"), "{text}");
        assert_eq!(rows[0].surprises(), [Line::Drained, Line::Used]);
    }
}
