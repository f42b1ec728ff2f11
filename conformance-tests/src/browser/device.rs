//! The way of a person who lets a device in (RFC 8628 §3.3): to the page, sign-in, the code, and the question.

use url::Url;

use super::journey::{APPROVE, DENY, STEPS, Way};
use super::{Browser, BrowserError, Form, Input, Page, Person};

/// What the person answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Yes.
    Approve,
    /// No.
    Deny,
    /// Nothing: the page that asks is where it ends.
    Nothing,
}

/// Where it ended.
#[derive(Clone, Debug)]
pub struct Paired {
    /// The last page.
    pub page: Page,
    /// The last page that asked.
    pub question: Page,
}

impl Browser {
    /// Opens `url`, types `user_code` where a code is asked for, and goes on as `person` until the question is answered.
    ///
    /// # Errors
    /// When the way ends elsewhere.
    pub async fn pair(
        &self,
        url: &Url,
        user_code: &str,
        person: &Person,
        decision: Decision,
    ) -> Result<Paired, BrowserError> {
        let way = Way::new(url);
        let mut page = self.get(url).await?;
        let (mut sign_ins, mut typed) = (0, 0);
        let mut question = None;
        for _ in 0..STEPS {
            if let Some(next) = page.location() {
                if way.leaves(&next) {
                    return Err(BrowserError::DeadEnd(Box::new(page)));
                }
                page = self.get(&next).await?;
                continue;
            }
            let forms = page.forms();
            if let Some(form) = forms.iter().find(|form| form.sign_in().is_some()) {
                if sign_ins > 0 && page.status >= 400 || sign_ins > 2 {
                    return Err(BrowserError::SignInRefused(Box::new(page)));
                }
                sign_ins += 1;
                page = self.sign_in(form, person).await?;
                continue;
            }
            let entry = forms.iter().find(|form| code(form).is_some());
            let asking = forms.iter().find(|form| {
                form.post
                    && form.button(APPROVE).is_some()
                    && (form.button(DENY).is_some() || code(form).is_none())
            });
            page = match (asking, entry) {
                _ if page.status >= 400 => return Err(BrowserError::DeadEnd(Box::new(page))),
                (Some(_), _) if decision == Decision::Nothing => {
                    return Ok(Paired {
                        question: page.clone(),
                        page,
                    });
                }
                (Some(form), _) => {
                    let words = if decision == Decision::Deny {
                        DENY
                    } else {
                        APPROVE
                    };
                    let Some(button) = form.button(words) else {
                        return Err(BrowserError::DeadEnd(Box::new(page)));
                    };
                    let mut pressed = vec![(button.name.as_str(), button.value.as_str())];
                    pressed.extend(code(form).map(|input| (input.name.as_str(), user_code)));
                    question = Some(page.clone());
                    self.submit(form, &pressed).await?
                }
                // The page for the next code is as good an end as any.
                _ if question.is_some() => break,
                (None, Some(form)) if typed == 0 => {
                    typed += 1;
                    let mut buttons = form.buttons.iter();
                    let no = form.button(DENY);
                    let button = buttons.find(|button| no.is_none_or(|no| no != *button));
                    let input = code(form).map(|input| (input.name.as_str(), user_code));
                    let button = button.map(|button| (button.name.as_str(), button.value.as_str()));
                    let pressed: Vec<_> = input.into_iter().chain(button).collect();
                    self.submit(form, &pressed).await?
                }
                (None, _) => return Err(BrowserError::DeadEnd(Box::new(page))),
            };
        }
        match question {
            Some(question) if page.location().is_none() => Ok(Paired { page, question }),
            _ => Err(BrowserError::TooManySteps(page.url)),
        }
    }
}

/// The input for the code of a device: the one with that name, or the only one that text is typed into. A form that is sent by
/// GET may be there to search.
fn code(form: &Form) -> Option<&Input> {
    let is_typed = |input: &&Input| ["text", "search", "tel"].contains(&input.kind.as_str());
    let mut named = form.inputs.iter().filter(is_typed);
    let found = named.find(|input| input.name.to_ascii_lowercase().contains("code"));
    let mut typed = form.inputs.iter().filter(is_typed);
    found.or_else(|| typed.next().filter(|_| form.post && typed.next().is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_for_the_code_is_found() {
        for (inputs, expected) in [
            (r#"<input name="user_code">"#, Some("user_code")),
            (
                r#"<input name="csrf" type="hidden"><input name="a">"#,
                Some("a"),
            ),
            (
                r#"<input name="a"><input name="userCode" type="text">"#,
                Some("userCode"),
            ),
            (r#"<input name="a"><input name="b">"#, None),
            (r#"<input name="user_code" type="hidden" value="c">"#, None),
        ] {
            let page = "http://as.example/device".parse().unwrap();
            let forms = Form::all(&page, &format!("<form method=post>{inputs}</form>"));
            let found = code(&forms[0]).map(|input| input.name.as_str());
            assert_eq!(found, expected, "{inputs}");
        }
    }
}
