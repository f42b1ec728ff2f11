//! Forms as a browser without scripts sees them.

use url::Url;

use super::html::{self, Tag};

/// A form of a page.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Form {
    /// The attribute `id`, empty when there is none.
    pub id: String,
    /// Where it is sent, resolved against the page.
    pub action: Url,
    /// Whether it is sent by POST; by GET otherwise.
    pub post: bool,
    /// Its inputs, hidden ones too, in the order of the page.
    pub inputs: Vec<Input>,
    /// Its submit buttons.
    pub buttons: Vec<Button>,
    /// The page it stands on.
    pub page: Url,
}

/// An input.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Input {
    /// The attribute `name`.
    pub name: String,
    /// The attribute `value`.
    pub value: String,
    /// The attribute `type`, in lower case; `text` when there is none.
    pub kind: String,
    /// Whether it is sent when nobody touches it: a box that is not ticked is not.
    pub sent: bool,
}

/// A button that submits its form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Button {
    /// The attribute `name`, empty when there is none.
    pub name: String,
    /// The attribute `value`.
    pub value: String,
    /// The attribute `id`, empty when there is none.
    pub id: String,
}

impl Form {
    /// Every form of the page at `page`.
    #[must_use]
    pub fn all(page: &Url, html: &str) -> Vec<Self> {
        let mut forms: Vec<Self> = Vec::new();
        let mut open = false;
        for tag in html::tags(html) {
            match tag.name.as_str() {
                "form" => {
                    // An action that is no URL leads back to the page, as an absent one does.
                    let action = page.join(tag.attribute("action").unwrap_or_default());
                    forms.push(Self {
                        id: owned(&tag, "id"),
                        action: action.unwrap_or_else(|_| page.clone()),
                        post: owned(&tag, "method").eq_ignore_ascii_case("post"),
                        inputs: Vec::new(),
                        buttons: Vec::new(),
                        page: page.clone(),
                    });
                    open = true;
                }
                "/form" => open = false,
                "input" | "button" => {
                    let owner = match tag.attribute("form") {
                        Some(id) => forms.iter_mut().find(|form| form.id == id),
                        None => forms.last_mut().filter(|_| open),
                    };
                    if let Some(form) = owner {
                        form.add(&tag);
                    }
                }
                _ => {}
            }
        }
        forms
    }

    fn add(&mut self, tag: &Tag) {
        if tag.attribute("disabled").is_some() {
            return;
        }
        let default = if tag.name == "button" {
            "submit"
        } else {
            "text"
        };
        let kind = tag
            .attribute("type")
            .filter(|kind| !kind.is_empty())
            .unwrap_or(default)
            .to_ascii_lowercase();
        match (tag.name.as_str(), kind.as_str()) {
            (_, "submit" | "image") => self.buttons.push(Button {
                name: owned(tag, "name"),
                value: owned(tag, "value"),
                id: owned(tag, "id"),
            }),
            (_, "button" | "reset") | ("button", _) => {}
            (_, "checkbox" | "radio") => {
                let value = tag.attribute("value").unwrap_or("on").to_owned();
                self.inputs.push(Input {
                    name: owned(tag, "name"),
                    value,
                    kind,
                    sent: tag.attribute("checked").is_some(),
                });
            }
            _ => self.inputs.push(Input {
                name: owned(tag, "name"),
                value: owned(tag, "value"),
                kind,
                sent: true,
            }),
        }
    }

    /// The input of that name.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<&Input> {
        self.inputs.iter().find(|input| input.name == name)
    }

    /// What is sent when `changed` is typed in or pressed. A name that the form does not have is added.
    #[must_use]
    pub fn fields(&self, changed: &[(&str, &str)]) -> Vec<(String, String)> {
        let typed = |name: &str| changed.iter().find(|(given, _)| *given == name);
        let mut fields: Vec<_> = self
            .inputs
            .iter()
            .filter(|input| !input.name.is_empty() && (input.sent || typed(&input.name).is_some()))
            .map(|input| {
                let value = typed(&input.name).map_or(input.value.as_str(), |(_, value)| value);
                (input.name.clone(), value.to_owned())
            })
            .collect();
        for (name, value) in changed {
            if !name.is_empty() && self.input(name).is_none() {
                fields.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        fields
    }

    /// The inputs that a person signs in with: the login and the password.
    #[must_use]
    pub fn sign_in(&self) -> Option<(&Input, &Input)> {
        let password = self.inputs.iter().find(|input| input.kind == "password")?;
        let login = self
            .inputs
            .iter()
            .find(|input| ["email", "text", "tel"].contains(&input.kind.as_str()))?;
        Some((login, password))
    }

    /// The button whose name, value or id has one of these words.
    #[must_use]
    pub fn button(&self, words: &[&str]) -> Option<&Button> {
        self.buttons.iter().find(|button| {
            [&button.value, &button.id, &button.name]
                .iter()
                .any(|text| {
                    let mut parts = text.split(|c: char| !c.is_ascii_alphabetic());
                    parts.any(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)))
                })
        })
    }
}

fn owned(tag: &Tag, name: &str) -> String {
    tag.attribute(name).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(html: &str) -> Vec<Form> {
        Form::all(
            &"http://as.example/login?interaction=1".parse().unwrap(),
            html,
        )
    }

    #[test]
    fn a_sign_in_form_is_understood() {
        let html = r#"<form id="sign-in" method="post" action="/login">
            <input type="hidden" name="csrf" value="a&amp;b"><input type="hidden" name="interaction" value="1">
            <label>Email <input id="email" type="email" name="email"></label>
            <input type=password name=password><input type="checkbox" name="stay">
            <input disabled name="gone" value="x"><button type="button">Show</button>
            <button id="sign-in-submit">Sign in</button></form><input name="outside">"#;
        let forms = forms(html);
        assert_eq!(forms.len(), 1);
        let form = &forms[0];
        assert_eq!(form.action.as_str(), "http://as.example/login");
        assert!(form.post);
        let (login, password) = form.sign_in().unwrap();
        assert_eq!(
            (login.name.as_str(), password.name.as_str()),
            ("email", "password")
        );
        assert_eq!(form.buttons.len(), 1);
        let fields = form.fields(&[("email", "a@b.example"), ("password", "p")]);
        let expected = [
            ("csrf", "a&b"),
            ("interaction", "1"),
            ("email", "a@b.example"),
            ("password", "p"),
        ];
        assert_eq!(
            fields,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn consent_buttons_are_told_apart() {
        let html = r#"<form id=consent method=post><input type=hidden name=csrf value=c>
            <button name="decision" value="deny" id="deny">No</button>
            <button name="decision" value="approve" id="approve">Yes</button></form>"#;
        let forms = forms(html);
        let press = |words: &[&str]| forms[0].button(words).map(|button| button.value.as_str());
        assert_eq!(press(&["approve", "allow"]), Some("approve"));
        assert_eq!(press(&["deny", "cancel"]), Some("deny"));
        assert_eq!(press(&["prove"]), None);
        assert_eq!(
            forms[0].action.as_str(),
            "http://as.example/login?interaction=1"
        );
        assert_eq!(
            forms[0].fields(&[("decision", "approve")]).last(),
            Some(&("decision".to_owned(), "approve".to_owned()))
        );
    }

    #[test]
    fn buttons_may_stand_outside_and_forms_may_use_get() {
        let html = r#"<form id="f" action="https://other.example/x"><input name="q" value="1"></form>
            <button form="f" name="go" value="y">Go</button><button>Lost</button>"#;
        let forms = forms(html);
        assert!(!forms[0].post && forms[0].buttons.len() == 1);
        assert!(forms[0].sign_in().is_none());
    }
}
