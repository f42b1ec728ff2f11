//! Tokens that show that a form is ours and was made for this browser (RFC 6749 §10.12, threat 22). Nothing is kept of them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::BrowserId;
use crate::keys::root_secret::{MacKey, RootSecret};
use crate::sessions::SessionToken;

macro_rules! forms {
    ($($form:ident $name:literal $path:literal)*) => {
        /// The forms of this server.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Form {
            $(
                #[doc = concat!("`", $path, "`.")]
                $form,
            )*
        }

        impl Form {
            /// Every form.
            pub const ALL: &[Self] = &[$(Self::$form),*];

            const fn as_str(self) -> &'static str {
                match self { $(Self::$form => $name,)* }
            }
        }
    };
}

forms! {
    SignIn "sign-in" "/login"
    SignUp "sign-up" "/register"
    SelectAccount "select-account" "/select-account"
    Consent "consent" "/consent"
    SignOut "sign-out" "/oauth/logout"
    UserCode "user-code" "/device"
    Device "device" "/device/confirm"
}

/// What the token of a form is good for: this form, in this browser, in this state of its affairs, and nothing else.
#[derive(Clone, Copy)]
pub struct Binding<'a> {
    /// Which form.
    pub form: Form,
    /// The interaction that it belongs to.
    pub interaction: Option<&'a str>,
    /// The browser that it was made for.
    pub browser: Option<&'a BrowserId>,
    /// The session at the time.
    pub session: Option<&'a SessionToken>,
    /// What else must be the same when the form comes back, such as what a person was asked for.
    pub content: &'a [u8],
}

impl Binding<'_> {
    /// For this form alone, to be narrowed by setting fields.
    #[must_use]
    pub fn to(form: Form) -> Self {
        Self {
            form,
            interaction: None,
            browser: None,
            session: None,
            content: &[],
        }
    }

    fn with<T>(&self, judge: impl FnOnce(&[&[u8]]) -> T) -> T {
        let browser = self.browser.map(BrowserId::digest);
        let session = self.session.map(SessionToken::digest);
        judge(&[
            self.form.as_str().as_bytes(),
            self.interaction.unwrap_or_default().as_bytes(),
            browser.as_ref().map_or(&[], <[u8; 32]>::as_slice),
            session.as_ref().map_or(&[], <[u8; 32]>::as_slice),
            self.content,
        ])
    }
}

/// Makes and checks the tokens of forms.
pub struct FormTokens(MacKey);

impl FormTokens {
    /// Under a key of their own.
    #[must_use]
    pub fn new(secret: &RootSecret) -> Self {
        Self(secret.mac_key("form"))
    }

    /// The token for a form.
    #[must_use]
    pub fn token(&self, binding: &Binding<'_>) -> String {
        URL_SAFE_NO_PAD.encode(binding.with(|parts| self.0.tag(parts)))
    }

    /// Whether a form came back with its token, in constant time.
    #[must_use]
    pub fn verify(&self, binding: &Binding<'_>, presented: &str) -> bool {
        let mut tag = [0; 32];
        // A slice of exactly this size: what is longer is refused before it is decoded.
        URL_SAFE_NO_PAD
            .decode_slice(presented, &mut tag)
            .is_ok_and(|length| {
                length == tag.len() && binding.with(|parts| self.0.verify(parts, &tag))
            })
    }
}
