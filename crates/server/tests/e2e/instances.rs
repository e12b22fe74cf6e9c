//! Pools of local processes, with real child processes that are played by `fake-lingma`; no test sleeps: each waits at the
//! program's own control endpoint, or looks at the gateway again.

mod ends;
mod logins;
mod stage;
mod turns;

pub(crate) use stage::program;

/// What a pool may meet, and the test that plays it.
const SCENARIOS: &[(&str, &str)] = &[
    ("cold start", "a_lazy_one_starts_with_the_first_question"),
    ("slow start", "one_that_is_never_ready_or_ends_at_once_is_left_alone_in_the_end"),
    ("never ready", "one_that_is_never_ready_or_ends_at_once_is_left_alone_in_the_end"),
    ("crash loop", "one_that_is_never_ready_or_ends_at_once_is_left_alone_in_the_end"),
    ("bad binary", "a_program_that_is_none_fails_and_serves_nobody"),
    ("stale files", "one_that_ignores_sigterm_is_ended_and_stale_files_hinder_nobody"),
    ("stolen port", "a_stolen_port_is_given_up_for_another"),
    ("stolen port of a single instance", "a_named_port_that_is_taken_is_waited_for"),
    ("crash while idle", "an_idle_crash_is_a_restart_and_a_lost_socket_is_not"),
    ("lost socket alone", "an_idle_crash_is_a_restart_and_a_lost_socket_is_not"),
    ("crash in the middle of a stream", "a_crash_in_the_middle_is_told_and_the_sibling_serves_meanwhile"),
    ("restart keeps the login", "an_operator_starts_one_again_and_it_keeps_its_login"),
    ("signed out, page, callback, ready", "a_page_that_was_signed_in_on_this_machine_completes_by_itself"),
    ("paste-back", "one_that_is_signed_out_is_no_candidate_until_a_person_has_signed_in"),
    ("no page to be had", "a_page_that_cannot_be_had_is_a_failure_that_says_so"),
    ("expiry", "an_account_that_expires_is_no_candidate_and_its_sibling_is_not_affected"),
    (
        "a turn that ends for want of a login",
        "a_turn_that_ends_for_want_of_a_login_moves_on_and_the_instance_is_no_candidate",
    ),
    ("a question waits for a login", "a_question_waits_for_a_login_that_is_under_way"),
    (
        "a login delays no first question",
        "a_first_question_goes_to_whoever_is_ready_while_another_is_signed_in",
    ),
    ("captcha", "a_browser_stops_at_what_only_a_person_may_do"),
    ("wrong password", "a_wrong_password_is_tried_once"),
    ("headless login", "a_browser_fills_in_the_page_and_the_gateway_serves"),
    ("a browser that is remembered", "a_browser_that_is_remembered_needs_no_form"),
    ("a fresh page for each try", "a_browser_that_fails_is_tried_again_with_a_fresh_page_each_time"),
    ("a page that shows nothing known", "a_page_that_shows_nothing_that_is_known_is_given_up"),
    (
        "a question has a login tried again",
        "a_login_that_failed_is_tried_again_with_a_question_after_a_pause",
    ),
    ("what was refused is final", "what_was_refused_is_not_tried_again_by_anybody_but_a_person"),
    ("login without a page", "a_token_or_a_key_signs_in_without_a_page_after_the_endpoint_was_switched"),
    ("login without a page, refused", "a_token_or_a_key_that_is_not_taken_is_a_failure_that_says_so"),
    ("an account without an instance", "an_account_whose_instance_is_no_more_is_removed_at_the_command_line"),
    ("login of one holds up no other", "a_login_that_hangs_holds_nobody_up"),
    ("endpoint first", "a_token_or_a_key_signs_in_without_a_page_after_the_endpoint_was_switched"),
    ("disconnect", "a_client_that_leaves_stops_its_turn_and_frees_its_place"),
    ("stop without finish", "a_client_that_leaves_stops_its_turn_and_frees_its_place"),
    ("every push acknowledged", "a_question_is_flattened_asked_and_answered_and_every_push_acknowledged"),
    ("frames coalesced and split", "a_turn_reads_the_same_however_it_is_packed"),
    ("late, double and foreign pushes", "what_is_not_the_answer_changes_nothing_of_it"),
    ("bad ends", "a_bad_end_is_an_error_of_its_kind"),
    ("too many at once", "a_program_that_takes_one_question_at_once_is_asked_for_one"),
    ("a turn without an end", "a_turn_that_falls_silent_is_ended_by_its_deadline"),
    ("models and modes", "a_model_is_found_by_any_of_its_names_and_an_agent_is_asked_in_its_mode"),
    ("the other codec", "the_other_codec_is_chosen_by_a_setting"),
    ("another program", "another_sort_of_program_is_another_row_of_data"),
    ("canaries", "a_browser_fills_in_the_page_and_the_gateway_serves"),
    ("own folders and ports", "several_have_their_own_folders_and_ports_and_none_outlives_its_gateway"),
    ("no orphan", "several_have_their_own_folders_and_ports_and_none_outlives_its_gateway"),
    ("many mixed turns", "p13_nothing_is_left_of_many_mixed_turns_of_local_processes"),
];

#[test]
fn every_scenario_has_its_test() {
    let sources = [
        include_str!("instances/ends.rs"),
        include_str!("instances/logins.rs"),
        include_str!("instances/turns.rs"),
    ];
    for (scenario, test) in SCENARIOS {
        let written = format!("#[tokio::test]\nasync fn {test}() {{");
        assert!(sources.iter().any(|source| source.contains(&written)), "{scenario}: there is no {test}");
    }
}
