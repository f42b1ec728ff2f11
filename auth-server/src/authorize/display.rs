//! How pages are to be shown (OpenID Connect Core §3.1.2.1, `display`).

use crate::parameters::Parameters;

/// What the person looks at. Every page fits all of these, without scripts; what differs is how much room it leaves around itself.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Display {
    /// A whole window.
    #[default]
    Page,
    /// A small window before that of the app.
    Popup,
    /// A screen for fingers.
    Touch,
    /// A telephone with keys.
    Wap,
}

impl Display {
    /// Every one that is served.
    pub const ALL: [Self; 4] = [Self::Page, Self::Popup, Self::Touch, Self::Wap];

    /// The value of `display`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Popup => "popup",
            Self::Touch => "touch",
            Self::Wap => "wap",
        }
    }

    /// The one that is asked for. One that nobody knows is as good as none: the specification has no error for it, and what is issued
    /// does not depend on it.
    pub(super) fn asked(parameters: &Parameters) -> Self {
        let name = parameters.optional("display").unwrap_or_default();
        let mut known = Self::ALL.into_iter();
        known
            .find(|display| display.as_str() == name)
            .unwrap_or_default()
    }
}
