//! The suite of [`Jobs`](crate::ports::jobs::Jobs).

pub mod controls;
pub mod plans;
pub mod searches;
pub mod stages;
pub mod submissions;

/// A test for each case, against the empty stores that `$make` (an `async fn() -> Made`) makes.
#[macro_export]
macro_rules! jobs_conformance {
    ($make:path) => {
        mod submissions {
            use super::*;
            use $crate::conformance::jobs::submissions as suite;
            $crate::conformance_cases!($make:
                a_submission_creates_the_job_and_its_own_tasks,
                of_eight_submitters_one_creates_the_job,
                a_spec_that_is_active_is_not_submitted_twice,
                what_was_submitted_last_says_when_and_how_widely_a_job_runs,
                a_blocked_or_ended_job_is_submitted_again,
                a_collection_keeps_its_storage_settings,
                another_spec_of_the_same_name_takes_the_older_jobs_place,
                a_job_submitted_again_while_it_is_cancelled_runs_nothing_yet,
            );
        }
        mod plans {
            use super::*;
            use $crate::conformance::jobs::plans as suite;
            $crate::conformance_cases!($make:
                a_plan_numbers_the_shards_and_lists_each,
                a_plan_counts_only_for_a_submitted_job,
                a_listing_on_its_way_serves_both_jobs,
                a_gone_shard_of_few_is_kept_without_leave,
                a_gone_shard_is_removed_with_leave,
                one_gone_shard_of_a_hundred_is_removed_without_leave,
                two_gone_shards_of_a_hundred_are_kept_without_leave,
                one_gone_shard_of_ninety_nine_is_kept_without_leave,
                a_shard_that_comes_back_keeps_its_number_and_is_cut_anew,
                a_shard_that_comes_back_keeps_no_bucket,
                a_job_needs_nothing_of_shards_that_it_does_not_search,
            );
        }
        mod stages {
            use super::*;
            use $crate::conformance::jobs::stages as suite;
            $crate::conformance_cases!($make:
                a_job_goes_from_stage_to_stage_to_its_end,
                of_eight_coordinators_one_makes_each_step,
                a_job_without_pictures_or_titles_ends,
                a_stage_with_only_dead_tasks_left_blocks_the_job,
                another_jobs_open_tasks_hold_up_nobody,
                what_is_listed_and_embedded_again_holds_up_later_stages_too,
                an_unchanged_corpus_leaves_nothing_to_do,
                a_changed_corpus_is_sealed_and_searched_again,
                a_removed_shard_is_sealed_and_searched_again,
                a_run_that_did_not_end_is_not_taken_for_done,
                progress_counts_tasks_shards_and_pictures,
            );
        }
        mod searches {
            use super::*;
            use $crate::conformance::jobs::searches as suite;
            $crate::conformance_cases!($make:
                a_search_is_one_task_that_is_ready_at_once,
                searches_are_not_listed_among_the_jobs,
                no_search_begins_in_a_collection_that_is_not_there,
                an_answered_search_ends_and_is_forgotten_in_its_time,
                a_search_that_nobody_waits_for_any_more_is_not_begun,
                a_search_that_cannot_be_done_says_why,
            );
        }
        mod controls {
            use super::*;
            use $crate::conformance::jobs::controls as suite;
            $crate::conformance_cases!($make:
                an_unknown_job_cannot_be_controlled,
                accepting_the_dead_goes_on_without_them,
                a_retry_revives_the_dead_and_reopens_what_comes_after,
                a_retry_goes_back_to_the_earliest_dead_task,
                a_retry_before_the_plan_leaves_own_tasks_for_later,
                cancelling_leaves_what_another_job_wants,
                cancelling_waits_for_what_only_this_job_runs,
                a_paused_job_wants_its_tasks_still,
                a_cancelled_job_ends_after_what_was_running,
                an_ended_job_is_left_alone,
                a_repair_embeds_its_chunks_again_and_does_anew_what_comes_after,
                a_repair_without_chunks_seals_and_searches_again,
                a_cancelled_job_is_not_repaired,
            );
        }
    };
}
