//! What every kind of connector promises, written once against the traits and run for each kind.

mod agree;
mod alike;
mod edits;
mod feed;
mod kept;
mod kinds;
mod notes;
mod one;
mod retract;
mod standing;
mod sums;
mod sweep;
mod world;
mod writes;

/// Runs every promise with a fresh database of one kind.
macro_rules! battery {
    ($kind:ident, $bench:ty, $($part:ident: $($promise:ident)*;)*) => {
        mod $kind {
            $(mod $part {
                $(#[test]
                fn $promise() {
                    use crate::connector::battery::{$part, world::World};
                    $part::$promise(&mut World::new(Box::new(<$bench>::new())));
                })*
            })*
        }
    };
    ($kind:ident, $bench:ty) => {
        battery! { $kind, $bench,
            feed:
                the_feed_is_in_the_order_of_arrival
                a_cursor_continues_after_its_page
                a_page_of_too_few_bytes_still_holds_one_record
                a_record_is_not_offered_to_the_peer_that_sent_it
                references_travel_as_uids
                a_record_that_refers_to_nothing_waits_until_it_refers_to_something
                lookup_gives_tombstones_and_leaves_out_the_unknown
                only_living_records_are_counted_and_sampled
                what_came_after_an_arrival_is_pending_for_all_but_its_giver
                fields_without_a_column_are_passed_on
                fields_without_a_column_stay_until_they_are_named
                nothing_travels_before_a_database_is_attached
                rows_that_were_there_are_journalled_when_attached
                what_was_written_while_detached_is_noticed
                a_row_put_back_while_detached_is_noticed
                a_database_belongs_to_one_site
                the_pulse_beats_when_an_application_writes;
            edits:
                edits_between_two_looks_are_one_version
                an_edit_has_seen_what_was_received
                an_edit_is_never_older_than_the_version_it_changes
                an_edit_that_changes_nothing_is_no_edit
                a_row_that_went_and_came_back_was_not_edited
                a_deleted_row_leaves_a_tombstone
                a_row_put_back_goes_on_with_its_record
                a_natural_key_has_the_same_uid_in_every_database
                a_natural_key_put_back_goes_on_with_its_record
                a_new_row_under_the_natural_key_of_a_tombstone_is_later_than_it
                rows_that_refer_to_later_ones_are_not_edited_by_writing_the_same_again
                a_reference_to_a_later_row_that_is_taken_away_is_an_edit
                a_reference_that_was_there_when_attached_and_is_taken_away_is_an_edit
                a_reference_to_a_row_that_is_still_to_come_is_an_edit;
            sums:
                the_sum_is_that_of_the_living_records
                there_is_no_sum_while_an_edit_waits_to_be_folded
                a_dropped_transaction_leaves_the_sum_and_the_next_one_counts_nothing_of_it
                a_refused_record_adds_nothing
                two_databases_that_took_the_same_versions_have_the_same_sum;
            standing:
                the_living_records_are_told_of_in_the_order_of_arrival
                records_are_told_by_uid_and_by_arrival_with_what_they_are_and_who_gave_them
                tombstones_go_once_they_are_old_and_who_had_not_acknowledged_them_has_to_compare
                the_last_arrival_and_aliases_are_never_purged;
            sweep:
                what_no_trigger_noticed_is_found_and_becomes_local_edits
                what_was_noticed_is_no_find
                a_record_whose_reference_leads_somewhere_at_last_counts_in_the_sum
                old_and_surplus_versions_are_forgotten_and_the_latest_stay;
            writes:
                locals_come_in_the_order_asked
                references_lead_to_living_deleted_and_missing_records
                a_record_is_written_with_its_references
                records_that_refer_to_each_other_are_written_with_promised_keys
                a_promised_key_is_given_to_no_other
                a_reference_that_still_leads_nowhere_stops_the_commit
                a_reference_of_another_kind_is_refused
                a_record_that_others_refer_to_cannot_go
                keeping_changes_the_state_alone
                fields_that_are_not_named_keep_their_values
                of_some_fields_only_the_named_are_put
                a_deleted_record_leaves_a_tombstone
                a_tombstone_of_an_unknown_record_is_kept_and_passed_on
                the_key_of_a_deleted_record_is_given_to_no_other
                a_refused_record_leaves_the_transaction_usable
                a_second_record_under_one_uid_is_refused
                a_dropped_transaction_leaves_everything_as_it_was
                a_version_of_our_own_is_counted_by_its_arrival;
            agree:
                what_was_agreed_is_kept_for_each_peer_and_part
                the_answer_to_a_batch_is_kept_for_a_day
                waiting_records_are_found_by_kind_oldest_first
                waiting_records_are_found_by_what_they_wait_for
                waiting_records_are_found_by_what_they_are
                a_record_with_an_open_conflict_is_held_until_it_is_released
                a_decided_conflict_holds_nothing
                lost_versions_are_remembered
                a_record_with_another_uid_is_the_same_record
                aliases_are_followed_to_the_end
                an_arrival_is_never_given_twice
                a_match_is_a_living_record_with_equal_columns
                what_was_agreed_with_another_life_of_the_journal_has_to_be_compared
                forgetting_one_peer_leaves_the_others;
            kept:
                a_conflict_is_listed_once_and_a_later_version_takes_its_place
                a_record_stays_held_by_a_conflict_that_its_new_version_has_not_seen
                a_verdict_ends_the_hold_and_can_be_taken_back
                the_history_of_a_record_is_read_newest_first_and_by_number
                what_a_run_did_is_known_until_somebody_changes_it
                what_was_agreed_is_kept_where_it_is_wanted
                what_waits_is_counted_site_by_site;
            one:
                what_is_under_just_one_uid_is_found_without_following_aliases
                whatever_referred_to_one_record_refers_to_the_other_by_an_edit_of_our_own
                an_attempt_that_is_undone_leaves_nothing_and_the_rest_stays
                an_attempt_that_is_kept_stays_and_another_can_follow;
            notes:
                what_is_noted_of_a_peer_is_found_by_uid_and_the_last_note_counts
                records_are_found_by_the_time_of_their_content
                records_are_found_by_what_they_refer_to;
            retract:
                a_record_that_was_let_go_is_gone_and_nobody_is_told
                a_version_that_comes_later_brings_a_record_back_that_was_let_go
                a_tombstone_of_a_record_that_was_let_go_is_passed_on
                the_key_of_a_record_that_was_let_go_is_free_for_another_record
                a_natural_key_that_was_let_go_and_put_in_again_is_an_edit
                a_record_that_others_refer_to_is_not_let_go
                a_reference_to_a_record_that_was_let_go_leads_nowhere
                those_with_whom_something_was_agreed_are_known;
        }
    };
}

battery!(memory, crate::connector::battery::kinds::InMemory);
battery!(sqlite, crate::connector::battery::kinds::InSqlite);
battery!(postgres, crate::connector::battery::kinds::InPostgres);
