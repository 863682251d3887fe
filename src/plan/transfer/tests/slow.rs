//! Facts that may hold the rate down.

use super::*;
use crate::plan::slowness::{Refused, Silent};

const LENGTH: u64 = 64 * MIB;

/// Answer that serves what was asked for.
fn served(ask: &SegmentRequest) -> ResponseHead {
    let range = format!("bytes {}-{}/{LENGTH}", ask.wanted.start(), ask.wanted.end().min(LENGTH) - 1);
    head(206, &[("etag", "\"v1\""), ("content-range", &range)])
}

/// A transfer whose first attempt is served, and that attempt with its position.
fn begun(policy: Policy) -> (Transfer, AttemptId, u64) {
    let mut transfer = Transfer::new(policy);
    let (id, ask) = started(&mut transfer, Moment::ZERO);
    assert!(matches!(transfer.handle_response(id, &served(&ask), Moment::ZERO), Permit::Begin { .. }));
    transfer.handle_flowing(id, Moment::ZERO);
    transfer.handle_progress(id, ask.wanted.start() + 1, Duration::from_millis(10));
    (transfer, id, ask.wanted.start())
}

#[test]
fn a_refused_connection_keeps_back_with_the_pause_that_was_asked_for_and_without_it_afterwards() {
    for (retry_after, wait) in [("30", Some(seconds(30))), ("0", None), ("400", None)] {
        let (mut transfer, _, _) = begun(policy(4));
        assert_eq!(transfer.refused_lately(Moment::ZERO), None);
        let (id, ask) = started(&mut transfer, Moment::ZERO);
        let busy = head(429, &[("retry-after", retry_after)]);
        assert_eq!(transfer.handle_response(id, &busy, seconds(1)), Permit::Reject);
        transfer.handle_end(id, ask.wanted.start(), End::Abandoned, seconds(1));
        let refused = |wait| Some(Refused { source: 0, status: Some(429), wait });
        assert_eq!(transfer.refused_lately(seconds(2)), refused(wait), "{retry_after}");
        assert_eq!(transfer.refused_lately(seconds(32)), refused(None), "{retry_after}");
    }
}

#[test]
fn a_connection_is_silent_where_others_deliver_and_not_where_none_does() {
    let (mut transfer, first, start) = begun(policy(4));
    let (second, ask) = started(&mut transfer, Moment::ZERO);
    assert!(matches!(transfer.handle_response(second, &served(&ask), Moment::ZERO), Permit::Take { .. }));
    transfer.handle_flowing(second, Moment::ZERO);
    let mut found = Vec::new();
    for at in 1..=10 {
        let now = seconds(at);
        transfer.handle_progress(first, start + 100_000 * at.min(6), now);
        transfer.handle_progress(second, ask.wanted.start(), now);
        found.push(transfer.silent_one(now));
    }
    let silent = |quiet| Some(Silent { source: 0, quiet: seconds(quiet) });
    assert_eq!(found[..7], [None, silent(2), silent(3), silent(4), silent(5), silent(6), silent(7)]);
    assert_eq!(found[8..], [None, None], "a stall of all is no silence of one");
}

#[test]
fn a_pipe_whose_reader_lags_by_half_of_the_window_waits_for_it() {
    let (mut transfer, id, start) = begun(Policy { window: Some(8 * MIB), in_order: true, ..policy(4) });
    transfer.handle_progress(id, start + 4 * MIB, seconds(1));
    assert!(transfer.waits_for_reader());
    transfer.handle_drained(MIB);
    assert!(!transfer.waits_for_reader());
    let (mut file, id, start) = begun(policy(4));
    file.handle_progress(id, start + 4 * MIB, seconds(1));
    assert!(!file.waits_for_reader());
}
