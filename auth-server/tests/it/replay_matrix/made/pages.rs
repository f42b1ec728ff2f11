//! What browsers hold: cookies, handles, and the tokens of forms.

use super::Values;
use crate::browser::{Browser, EMAIL, PASSWORD, Page, parameter};
use crate::device::{self, typed};
use crate::person::{post, sign_in};
use crate::replay_matrix::artefacts::Artefact;
use crate::sign_out::{browser, logout};
use crate::stage::Stage;

/// A form that stands open in a browser.
pub(crate) struct OpenForm<'a> {
    pub(crate) browser: Browser<'a>,
    action: url::Url,
    inputs: Vec<(String, String)>,
}

impl<'a> OpenForm<'a> {
    fn on(browser: Browser<'a>, page: &Page, id: &str, answers: &[(&str, &str)]) -> Self {
        let mut inputs = page.inputs(id);
        inputs.retain(|(name, _)| !answers.iter().any(|(answered, _)| name == answered));
        inputs.extend(
            answers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        Self {
            browser,
            action: page.action(id),
            inputs,
        }
    }

    /// What comes of it with this in the place of its token.
    pub(crate) async fn send(&self, token: &str) -> Page {
        let mut inputs = self.inputs.clone();
        let of_form = |name: &str| matches!(name, "csrf" | "sign_out_form");
        let replaced = inputs.iter_mut().filter(|(name, _)| of_form(name));
        assert_eq!(
            replaced.map(|(_, value)| token.clone_into(value)).count(),
            1
        );
        self.browser.post(&self.action, &inputs).await
    }
}

/// Browsers that are busy with something.
pub(crate) struct Open<'a> {
    pub(crate) sign_in: OpenForm<'a>,
    pub(crate) sign_up: OpenForm<'a>,
    pub(crate) select_account: OpenForm<'a>,
    pub(crate) consent: OpenForm<'a>,
    pub(crate) user_code: OpenForm<'a>,
    pub(crate) device: OpenForm<'a>,
    pub(crate) sign_out: OpenForm<'a>,
    /// In which the pushed request is opened.
    pub(crate) pushed: Browser<'a>,
}

pub(super) async fn open<'a>(stage: &'a Stage, id_token: &str, values: &mut Values) -> Open<'a> {
    let (server, app) = (stage.server(), &stage.app);
    let mut form = |artefact, browser, page: &Page, id, answers: &[(&str, &str)]| {
        let token = if id == "sign-out" {
            "sign_out_form"
        } else {
            "csrf"
        };
        let token = page.input(token);
        values.put(artefact, token);
        OpenForm::on(browser, page, id, answers)
    };
    let password = [("email", EMAIL), ("password", PASSWORD)];
    let there = Browser::new(server);
    let signing_in = there.open(server.authorize_url(app, &[])).await;
    let sign_in_form = form(
        Artefact::SignInForm,
        there,
        &signing_in,
        "sign-in",
        &password,
    );
    let there = Browser::new(server);
    let asked = [("prompt", "create")];
    let page = there.open(server.authorize_url(app, &asked)).await;
    let new = [
        ("email", "grace@example.com"),
        ("password", PASSWORD),
        ("name", "Grace Hopper"),
    ];
    let sign_up = form(Artefact::SignUpForm, there, &page, "sign-up", &new);
    let there = stage.browser();
    let asked = [("prompt", "select_account")];
    let page = there.open(server.authorize_url(app, &asked)).await;
    let select_account = form(
        Artefact::SelectAccountForm,
        there,
        &page,
        "select-account",
        &[],
    );
    let there = stage.browser();
    let public = &stage.scene.app;
    let page = there.open(server.authorize_url(public, &[])).await;
    let approved = [("decision", "approve")];
    let consent = form(Artefact::ConsentForm, there, &page, "consent", &approved);
    let device_page = format!("{}/device", server.issuer);
    let there = stage.browser();
    let page = there.open(&device_page).await;
    let code = user_code(stage).await;
    let code = [("user_code", code.as_str())];
    let user_code_form = form(Artefact::UserCodeForm, there, &page, "enter-code", &code);
    let there = stage.browser();
    let page = there.open(&device_page).await;
    let typed = typed(&page, &user_code(stage).await);
    let page = there.post(page.action("enter-code"), &typed).await;
    let page = there.follow(page).await;
    let device = form(Artefact::DeviceForm, there, &page, "consent", &approved);
    let (_, cookie) = sign_in(server, &stage.scene.account_id).await;
    let there = browser(server, &cookie);
    let page = logout(server, &there, &[]).await;
    let sign_out = form(Artefact::SignOutForm, there, &page, "sign-out", &[]);

    values.put(Artefact::Interaction, signing_in.input("interaction"));
    let cookie = sign_in_form.browser.cookie("browser").unwrap();
    values.put(Artefact::BrowserCookie, cookie);
    values.put(Artefact::SessionCookie, stage.scene.cookie.expose());
    let known = Browser::new(server);
    let page = known.open(server.authorize_url(app, &[])).await;
    known.sign_in_as(&page, EMAIL, PASSWORD).await;
    values.put(Artefact::DeviceCookie, known.cookie("device").unwrap());
    let hint = [("id_token_hint", id_token)];
    let kept = Browser::new(server)
        .send(server.form("/oauth/logout", &hint))
        .await;
    let handle = parameter(&kept.location(), "request").unwrap();
    values.put(Artefact::LogoutHandle, handle);
    Open {
        sign_in: sign_in_form,
        sign_up,
        select_account,
        consent,
        user_code: user_code_form,
        device,
        sign_out,
        pushed: Browser::new(server),
    }
}

/// The user code of a device that waits.
async fn user_code(stage: &Stage) -> String {
    let asked = [("scope", "openid read")];
    let answer = post(stage.server(), &stage.app, device::PATH, &asked).await;
    answer.text("user_code").to_owned()
}
