//! How long whoever guesses has to wait, in whatever section that is said.

use std::time::Duration;

/// What contradicts itself of the waits in `section`, which failures count for as long as `window`.
pub(super) fn problems(
    section: &str,
    (first_wait, longest_wait): (Duration, Duration),
    window: Duration,
) -> impl Iterator<Item = String> {
    let mistakes = [
        (
            longest_wait < first_wait,
            format!("{section}.longest_wait is below {section}.first_wait: make it longer"),
        ),
        (
            longest_wait > window,
            format!(
                "{section}.longest_wait is above {section}.window: what fails would be forgotten before it ends"
            ),
        ),
    ];
    let made = mistakes.into_iter().filter(|(is_made, _)| *is_made);
    made.map(|(_, problem)| problem)
}
