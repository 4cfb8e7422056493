//! The suite of [`Tasks`](crate::ports::tasks::Tasks), with the jobs and the catalog that its transactions reach.

pub mod again;
pub mod claims;
pub mod crashes;
pub mod ends;
pub mod listings;
pub mod publishing;
pub mod sessions;
pub mod splits;
pub mod storm;

/// A test for each case, against the empty stores that `$make` (an `async fn() -> Made`) makes.
#[macro_export]
macro_rules! tasks_conformance {
    ($make:path) => {
        mod claims {
            use super::*;
            use $crate::conformance::tasks::claims as suite;
            $crate::conformance_cases!($make:
                of_eight_claimers_one_wins,
                what_is_claimed_and_ended_at_once_is_each_written_whole,
                a_claim_whose_answer_was_lost_is_granted_again_unchanged,
                a_message_of_another_attempt_changes_nothing,
                a_message_for_a_task_that_is_not_there_is_refused,
                a_paused_job_runs_nothing_and_its_tasks_rest_for_a_second,
                nothing_is_claimed_in_the_name_of_a_session_that_ended,
                every_embed_claim_draws_a_larger_epoch,
                a_claim_does_not_ask_for_a_mark_and_clears_it,
            );
        }
        mod publishing {
            use super::*;
            use $crate::conformance::tasks::publishing as suite;
            $crate::conformance_cases!($make:
                a_token_finds_the_rows_that_it_marked,
                of_eight_markers_each_gets_other_rows,
                rows_are_marked_by_priority_then_age,
                a_shared_row_runs_at_the_highest_priority_of_its_jobs,
                a_published_row_goes_again_when_it_was_published_too_long_ago,
                each_publication_doubles_the_wait_for_the_next,
                marked_and_running_never_exceed_a_jobs_bound,
                eight_markers_keep_a_jobs_bound,
                a_bound_never_holds_up_another_job,
                rows_of_paused_jobs_are_not_published,
                queues_count_what_may_run_and_what_runs,
                open_and_dead_tasks_are_counted_by_kind_and_state,
            );
        }
        mod sessions {
            use super::*;
            use $crate::conformance::tasks::sessions as suite;
            $crate::conformance_cases!($make:
                a_session_past_its_lease_is_reaped_and_its_tasks_crashed,
                a_session_that_beats_is_not_reaped,
                a_reaped_session_never_revives,
                a_living_process_takes_its_crashes_back_once,
                a_crash_of_another_session_is_not_taken_back,
                a_session_replaced_before_it_was_reaped_puts_its_tasks_down,
                closing_a_session_hands_its_tasks_back,
                a_beat_names_what_no_job_needs_any_more,
                a_lost_task_that_no_job_wants_is_cancelled,
                only_a_lost_attempt_is_waited_out,
                who_writes_into_a_removed_shard_is_waited_out,
                sessions_are_seen_with_what_they_run_until_they_end,
            );
        }
        mod crashes {
            use super::*;
            use $crate::conformance::tasks::crashes as suite;
            $crate::conformance_cases!($make:
                a_picture_at_which_the_process_died_twice_is_poison,
                two_places_are_no_poison,
                who_has_left_a_picture_did_not_die_at_it,
                who_handed_back_or_lives_did_not_die,
                a_stale_holder_stands_nowhere,
                the_last_crash_is_deadly_and_says_so,
            );
        }
        mod ends {
            use super::*;
            use $crate::conformance::tasks::ends as suite;
            $crate::conformance_cases!($make:
                a_stale_holder_writes_nothing,
                when_by_whom_and_in_what_time_a_task_was_done_is_kept,
                an_end_whose_answer_was_lost_is_stale_and_happened_once,
                the_last_failure_is_deadly_and_keeps_its_message,
                a_permanent_failure_is_deadly,
                a_failed_task_waits_as_long_as_the_other_side_asked,
                a_hand_back_counts_as_nothing,
                what_no_job_wants_is_cancelled_at_its_end,
                a_ledger_that_does_not_add_up_changes_nothing,
                rejected_rows_that_do_not_match_their_counts_change_nothing,
                a_task_ends_only_in_a_way_of_its_kind,
                the_ledger_is_the_winners_alone,
            );
        }
        mod listings {
            use super::*;
            use $crate::conformance::tasks::listings as suite;
            $crate::conformance_cases!($make:
                a_listing_spawns_a_task_for_each_chunk_in_one_step,
                a_listing_that_is_refused_changes_nothing,
                a_known_listing_changes_nothing,
                a_changed_listing_replaces_version_chunks_ledger_and_tasks,
                an_attempt_on_a_replaced_chunk_ends_superseded_and_lists_nothing,
                a_bucket_whose_listing_is_known_keeps_its_version,
                two_jobs_share_one_listing_and_one_embedding,
                a_listing_that_no_job_wants_spawns_nothing,
                a_later_job_finds_nothing_to_do,
                a_dead_chunk_is_tried_again_for_a_new_job_only,
                a_cancelled_chunk_is_revived_by_the_next_listing,
                a_blocked_job_gets_the_new_chunks_too,
                a_changed_object_is_listed_again_in_one_step,
                only_the_first_of_several_changed_chunks_lists_again,
                the_third_change_within_a_job_is_deadly,
                a_chunk_found_changed_is_cut_anew_even_if_the_listing_is_as_before,
                a_reader_that_saw_no_change_where_there_was_one_reads_again,
                a_reader_that_saw_no_change_changes_nothing,
            );
        }
        mod splits {
            use super::*;
            use $crate::conformance::tasks::splits as suite;
            $crate::conformance_cases!($make:
                the_rest_of_a_chunk_is_a_chunk_of_its_own,
                the_rest_is_needed_by_the_same_jobs,
                a_split_concerns_one_collection_only,
                a_rest_can_be_split_again,
                a_bad_split_changes_nothing,
                a_split_that_no_job_wants_waits_for_the_next_listing,
                a_split_bucket_stays_split_while_its_listing_is_known,
                a_rest_never_takes_the_number_of_a_bucket,
            );
        }
        mod storm {
            use super::*;
            use $crate::conformance::tasks::storm as suite;
            $crate::conformance_cases!($make:
                whatever_happens_at_once_nothing_is_lost_or_stuck_or_counted_twice,
            );
        }
        mod again {
            use super::*;
            use $crate::conformance::tasks::again as suite;
            $crate::conformance_cases!($make:
                a_seal_has_a_chunk_embedded_again_once,
                the_same_call_again_says_the_same,
                only_the_seals_holder_may_ask,
                a_retry_by_a_person_allows_it_once_more,
            );
        }
    };
}
