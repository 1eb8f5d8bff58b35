//! Unit tests of `settings`.
use super::*;

#[test]
fn defaults_are_valid() {
    let config = Settings::default().to_openraft().expect("defaults are valid");
    assert_eq!(config.enable_leader_restore, Some(false));
    assert_eq!(config.enable_pre_vote, Some(true));
}

#[test]
fn a_setting_out_of_range_is_named_with_its_bound() {
    let settings = Settings { quorum_loss_probe_interval_ms: 1_199, ..Settings::default() };
    let error = settings.validate().expect_err("shorter than two election time-outs");
    assert_eq!(error.to_string(), "quorum_loss_probe_interval_ms is 1199, it must be at least 1200");
}
