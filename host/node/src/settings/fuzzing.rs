//! Arbitrary config files and addresses, for [`crate::fuzzing`].
use super::flags::{Mode, Settings};
use super::{HostPort, PeerSpec};

/// The text of a config file, as `synod start` takes it; also taken for one address and one member.
pub fn config_file(text: &str) {
    if let Ok(settings) = Settings::parse(text)
        && let Ok(options) = settings.into_options(Mode::Start)
    {
        assert!(!options.name.is_empty(), "a member without a name");
    }
    if let Ok(address) = text.parse::<HostPort>() {
        assert_eq!(address.to_string().parse(), Ok(address), "an address that is written otherwise");
    }
    if let Ok(member) = text.parse::<PeerSpec>() {
        assert!(!member.name.is_empty() && !member.peer.host.is_empty());
    }
}
