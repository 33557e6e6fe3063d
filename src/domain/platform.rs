//! Platforms: operating system and architecture, as images name them.

/// The longest name of a platform, in bytes.
pub(super) const MAX_PLATFORM_BYTES: usize = 32;

/// Whether `text` names an operating system and an architecture, such as `linux/amd64`.
pub fn is_platform(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let parts = text.split_once('/');
    text.len() <= MAX_PLATFORM_BYTES && parts.is_some_and(|(os, arch)| is_word(os) && is_word(arch))
}

/// Whether a machine of one platform runs programs built for another.
pub fn runs_on(machine: &str, program: &str) -> bool {
    let is_older =
        |(machine, program): (&str, &str)| matches!((machine, program), ("amd64", "386") | ("arm64", "arm"));
    let parts = machine.split_once('/').zip(program.split_once('/'));
    machine == program
        || parts.is_some_and(|((machine_os, machine), (program_os, program))| {
            machine_os == program_os && is_older((machine, program))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_an_operating_system_and_an_architecture() {
        for good in ["linux/amd64", "linux/arm64", "windows/386", "linux/ppc64le"] {
            assert!(is_platform(good), "{good}");
        }
        let long = format!("linux/{}", "a".repeat(MAX_PLATFORM_BYTES));
        for bad in ["", "/", "linux", "linux/", "/amd64", "linux/arm64/v8", "Linux/amd64", "linux/a b", &long]
        {
            assert!(!is_platform(bad), "{bad}");
        }
    }

    #[test]
    fn a_machine_runs_its_own_programs_and_those_of_its_forerunner() {
        assert!(runs_on("linux/amd64", "linux/amd64") && runs_on("linux/amd64", "linux/386"));
        assert!(runs_on("linux/arm64", "linux/arm"));
        for other in ["linux/arm64", "windows/amd64", "windows/386", "386", ""] {
            assert!(!runs_on("linux/amd64", other), "{other}");
        }
        assert!(!runs_on("linux/386", "linux/amd64"));
    }
}
