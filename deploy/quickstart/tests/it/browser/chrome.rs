//! Chromium without a window, driven through chromedriver.

use std::io::{BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::{ParseError, Url};

/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(25);

/// A browser with nothing in it; gone when dropped.
pub(crate) struct Chrome {
    driver: Driver,
    session: String,
    client: Client,
}

/// chromedriver; killed when dropped.
struct Driver {
    process: Child,
    port: u16,
    /// Kept open, because it may say more.
    _told: Lines<BufReader<ChildStdout>>,
    /// What it and its browsers leave behind.
    _rubbish: TempDir,
}

impl Driver {
    fn start() -> Self {
        let rubbish = tempfile::tempdir().unwrap();
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .env("TMPDIR", rubbish.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver, which deploy/test asks for");
        let mut told = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = told
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, port) = line.split_once("started successfully on port ")?;
                port.trim_end_matches('.').parse().ok()
            })
            .expect("chromedriver says on which port it listens");
        Self {
            process,
            port,
            _told: told,
            _rubbish: rubbish,
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Chrome {
    /// One whose pages are this wide and high.
    pub(crate) async fn open((width, height): (u32, u32)) -> Self {
        let driver = Driver::start();
        let capabilities = json!({
            "browserName": "chrome",
            // The sandbox wants rights that root in a container has not, and /dev/shm is small there.
            "goog:chromeOptions": {"args": [
                "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
            ]},
            "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"},
        });
        let Value::Object(capabilities) = capabilities else {
            unreachable!("it is an object");
        };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{}", driver.port))
            .await
            .unwrap();
        let session = client.session_id().await.unwrap().unwrap();
        let chrome = Self {
            driver,
            session,
            client,
        };
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        chrome
            .devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        chrome
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// The element of this id, as soon as there is one.
    pub(crate) async fn element(&self, id: &str) -> Element {
        let found = self
            .client
            .wait()
            .at_most(PATIENCE)
            .every(GLANCE)
            .for_element(Locator::Id(id))
            .await;
        match found {
            Ok(element) => element,
            Err(error) => panic!("no #{id}: {error}: {}", self.page().await),
        }
    }

    pub(crate) async fn text(&self, id: &str) -> String {
        self.element(id).await.text().await.unwrap()
    }

    /// Waits until the element of this id says this.
    pub(crate) async fn wait_for_text(&self, id: &str, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            // What stood there may be gone with its page between the two questions.
            if let Ok(element) = self.client.find(Locator::Id(id)).await
                && element.text().await.is_ok_and(|shown| shown == text)
            {
                return;
            }
        }
        panic!("#{id} does not say {text}: {}", self.page().await)
    }

    pub(crate) async fn click(&self, id: &str) {
        self.element(id).await.click().await.unwrap();
    }

    pub(crate) async fn fill(&self, id: &str, text: &str) {
        let element = self.element(id).await;
        element.clear().await.unwrap();
        element.send_keys(text).await.unwrap();
    }

    /// Whether the page now has an element of this id.
    pub(crate) async fn has(&self, id: &str) -> bool {
        !self
            .client
            .find_all(Locator::Id(id))
            .await
            .unwrap()
            .is_empty()
    }

    /// Which of these ids comes first.
    pub(crate) async fn first_of<'a>(&self, ids: &[&'a str]) -> &'a str {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            for &id in ids {
                if self.has(id).await {
                    return id;
                }
            }
        }
        panic!("none of {ids:?}: {}", self.page().await)
    }

    /// The page fits its width: nothing is cut off and nothing needs scrolling sideways.
    pub(crate) async fn assert_fits(&self) {
        let script = "const e = document.documentElement; return [e.scrollWidth, innerWidth, document.title];";
        let measured = self.client.execute(script, Vec::new()).await.unwrap();
        let width = |index: usize| measured[index].as_u64().unwrap();
        assert!(width(0) <= width(1), "wider than the screen: {measured}");
    }

    /// A command of the `DevTools` protocol.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        self.issue("goog/cdp/execute", body).await
    }

    /// Events of the `DevTools` protocol since this was last asked.
    pub(crate) async fn events(&self) -> Vec<Value> {
        let lines = self.issue("se/log", json!({"type": "performance"})).await;
        let lines = lines.as_array().unwrap().iter();
        lines
            .map(|line| {
                let told: Value = serde_json::from_str(line["message"].as_str().unwrap()).unwrap();
                told["message"].clone()
            })
            .collect()
    }

    /// What the console says of violations of policies, since this was last asked.
    pub(crate) async fn violations(&self) -> Vec<String> {
        let lines = self.issue("se/log", json!({"type": "browser"})).await;
        let lines = lines.as_array().unwrap().iter();
        lines
            .filter_map(|line| line["message"].as_str())
            .filter(|message| message.contains("Content Security Policy"))
            .map(str::to_owned)
            .collect()
    }

    /// The first address that begins so and that the browser tries to load, or `None` once it gave up loading anything.
    pub(crate) async fn attempted(&self, beginning: &str) -> Option<Url> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            for event in self.events().await {
                let url = event["params"]["request"]["url"].as_str();
                match event["method"].as_str() {
                    Some("Network.requestWillBeSent") => {
                        if let Some(url) = url.filter(|url| url.starts_with(beginning)) {
                            return Some(url.parse().unwrap());
                        }
                    }
                    Some("Network.loadingFailed") if event["params"]["type"] == "Document" => {
                        return None;
                    }
                    _ => {}
                }
            }
        }
        panic!("nothing was tried: {}", self.page().await)
    }

    async fn issue(&self, endpoint: &'static str, body: Value) -> Value {
        let command = Vendor { endpoint, body };
        self.client.issue_cmd(command).await.unwrap()
    }

    /// Where it is and what it shows, for the message of a failed test.
    async fn page(&self) -> String {
        let url = self.client.current_url().await;
        let source = self.client.source().await;
        format!("{url:?}: {source:?}")
    }
}

impl Drop for Chrome {
    /// Before chromedriver is killed, which leaves its browsers behind; also when the test failed.
    fn drop(&mut self) {
        if let Ok(mut driver) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.driver.port)) {
            let request = format!(
                "DELETE /session/{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                self.session
            );
            let _ = driver.set_read_timeout(Some(PATIENCE));
            let _ = driver.write_all(request.as_bytes());
            let _ = driver.read(&mut [0; 64]);
        }
    }
}

/// A command of chromedriver that `WebDriver` does not have.
#[derive(Debug)]
struct Vendor {
    endpoint: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Vendor {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        let session = session.unwrap_or_default();
        base.join(&format!("session/{session}/{}", self.endpoint))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
