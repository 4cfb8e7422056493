//! The suite of what operators ask of a store beside jobs: takedowns, the history of attempts, removals, drains.

pub mod attempts;
pub mod drains;
pub mod removals;
pub mod speeds;
pub mod takedowns;

/// A test for each case, against the empty stores that `$make` (an `async fn() -> Made`) makes.
#[macro_export]
macro_rules! operators_conformance {
    ($make:path) => {
        mod takedowns {
            use super::*;
            use $crate::conformance::operators::takedowns as suite;
            $crate::conformance_cases!($make:
                a_picture_is_taken_down_once_and_keeps_its_first_reason,
                an_end_counts_what_was_taken_down_meanwhile_as_rejected,
                an_end_that_heeded_a_takedown_is_written_as_it_stands,
                what_was_embedded_before_is_taken_out_of_the_ledger_once,
                only_the_winners_point_is_taken_out,
                an_unattributed_picture_is_no_longer_counted_as_such,
                a_job_does_anew_what_comes_after_a_takedown,
            );
        }
        mod attempts {
            use super::*;
            use $crate::conformance::operators::attempts as suite;
            $crate::conformance_cases!($make:
                attempts_that_did_not_succeed_are_kept_with_how_they_ended,
                an_attempt_that_only_waited_leaves_nothing,
                the_last_attempts_are_kept,
                a_lost_attempt_and_a_superseded_one_are_told_apart,
                dead_tasks_are_listed_with_the_jobs_that_need_them,
            );
        }
        mod removals {
            use super::*;
            use $crate::conformance::operators::removals as suite;
            $crate::conformance_cases!($make:
                a_removed_job_is_gone_with_its_own_tasks,
                a_job_that_has_not_ended_is_not_removed,
                shared_tasks_stay_for_other_jobs_and_for_the_ledger,
                a_task_stays_whose_lost_attempt_may_still_write,
                a_removed_job_is_submitted_anew_and_embeds_nothing,
                a_collection_that_a_job_needs_is_not_forgotten,
                a_collection_into_which_an_attempt_writes_is_not_forgotten,
                a_forgotten_collection_leaves_others_over_its_corpus_alone,
                the_last_collection_takes_its_corpus_along,
            );
        }
        mod speeds {
            use super::*;
            use $crate::conformance::operators::speeds as suite;
            $crate::conformance_cases!($make:
                a_jobs_pace_is_that_of_its_own_chunks_and_of_who_works_for_it,
            );
        }
        mod drains {
            use super::*;
            use $crate::conformance::operators::drains as suite;
            $crate::conformance_cases!($make:
                a_session_hears_at_its_next_beat_that_it_is_to_drain,
                a_session_in_place_of_a_draining_one_drains_too,
                only_sessions_that_have_not_ended_are_counted,
            );
        }
    };
}
