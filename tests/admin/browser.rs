//! A browser without a window, which does what a person does and waits as one would.

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use thirtyfour::{
    ChromiumLikeCapabilities, DesiredCapabilities, Key, LoggingPrefsLogLevel, WebDriver, WebElement, error::WebDriverResult, prelude::By,
};
use tokio::runtime::Runtime;

use crate::house::PATIENCE;

/// Whether pages may run their scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scripts {
    On,
    Off,
}

/// What the pages are read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screen {
    Desk,
    Phone,
}

/// The driver program. It ends with all it started.
struct Driver {
    child: Child,
    port: u16,
}

/// A browser; it ends when it is dropped, also by a panic.
pub(crate) struct Browser {
    runtime: Runtime,
    driver: Option<WebDriver>,
    _program: Driver,
    _profile: tempfile::TempDir,
    home: String,
    screen: Screen,
    scripts: Scripts,
}

fn program(variable: &str, names: [&str; 3]) -> PathBuf {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let known = names.into_iter().map(PathBuf::from).find(|path| path.exists());
    named.or(known).unwrap_or_else(|| panic!("install chromium and chromium-driver, or set {variable}"))
}

impl Driver {
    /// Starts it on a port that was free a moment ago; another one, should somebody have been faster.
    fn start() -> Driver {
        let program = program("CHROMEDRIVER", ["/usr/bin/chromedriver", "/usr/lib/chromium/chromedriver", "/usr/local/bin/chromedriver"]);
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut command = Command::new(&program);
            command.arg(format!("--port={port}")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut driver = Driver { child: command.spawn().unwrap(), port };
            let begun = Instant::now();
            while driver.child.try_wait().unwrap().is_none() && begun.elapsed() < PATIENCE {
                if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return driver;
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        panic!("chromedriver does not begin");
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let started = descendants(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
        for process in started {
            let _ = Command::new("kill").args(["-9", &process.to_string()]).stderr(Stdio::null()).status();
        }
    }
}

/// The processes that a process started, and those that they started.
fn descendants(parent: u32) -> Vec<u32> {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent_of = |process: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
    };
    let all: Vec<(u32, u32)> = numbers.filter_map(|process| Some((process, parent_of(process)?))).collect();
    let mut found = vec![parent];
    let mut at = 0;
    while at < found.len() {
        let one = found[at];
        found.extend(all.iter().filter(|(_, parent)| *parent == one).map(|(process, _)| *process));
        at += 1;
    }
    found.split_off(1)
}

impl Browser {
    /// A browser on a desk with scripts, for the site at `home`.
    pub(crate) fn new(home: &str) -> Browser {
        Browser::with(home, Screen::Desk, Scripts::On)
    }

    pub(crate) fn with(home: &str, screen: Screen, scripts: Scripts) -> Browser {
        // The driver's client finds no provider of its own; a second try finds this one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (program, profile) = (Driver::start(), tempfile::tempdir().unwrap());
        let wanted = capabilities(&profile, scripts).unwrap();
        let driver = runtime.block_on(async {
            WebDriver::builder(format!("http://127.0.0.1:{}", program.port), wanted).request_timeout(PATIENCE * 2).await
        });
        let home = home.to_owned();
        let mut browser = Browser { runtime, driver: Some(driver.unwrap()), _program: program, _profile: profile, home, screen, scripts };
        browser.look_on(screen);
        browser
    }

    /// Runs an instruction to its end.
    fn wait<T>(&self, work: impl AsyncFnOnce(&WebDriver) -> WebDriverResult<T>) -> WebDriverResult<T> {
        self.runtime.block_on(work(self.driver.as_ref().unwrap()))
    }

    /// An instruction of the browser's own protocol.
    pub(crate) fn devtools(&self, method: &str, parameters: Value) -> Value {
        self.wait(async |driver| driver.cdp().send_raw(method, parameters).await).unwrap()
    }

    /// Reads on this screen from now on.
    pub(crate) fn look_on(&mut self, screen: Screen) {
        self.screen = screen;
        let (width, height, phone) = match screen {
            Screen::Desk => (1280, 900, false),
            Screen::Phone => (390, 844, true),
        };
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone});
        self.devtools("Emulation.setDeviceMetricsOverride", size);
        self.devtools("Emulation.setFocusEmulationEnabled", json!({"enabled": true}));
    }

    /// Prefers `light` or `dark` from now on.
    pub(crate) fn prefer(&self, theme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
        self.devtools("Emulation.setEmulatedMedia", features);
    }

    /// Goes to an address of the site.
    pub(crate) fn go(&self, path: &str) {
        let address = if path.contains("://") || path.starts_with("data:") { path.to_owned() } else { format!("{}{path}", self.home) };
        self.wait(async |driver| driver.goto(address).await).unwrap();
        self.fits();
    }

    /// The path and query of the page.
    pub(crate) fn at(&self) -> String {
        let url = self.wait(async |driver| driver.current_url().await).unwrap();
        url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
    }

    pub(crate) fn title(&self) -> String {
        self.wait(async |driver| driver.title().await).unwrap()
    }

    /// Tries until it succeeds; says what did not and where.
    fn persist<T>(&self, what: &str, mut work: impl FnMut() -> Result<T, String>) -> T {
        let begun = Instant::now();
        loop {
            match work() {
                Ok(done) => return done,
                Err(_) if begun.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(100)),
                Err(error) => panic!("never: {what}, at {}: {error}\n{}\n{}", self.at(), self.text(), self.keep_picture()),
            }
        }
    }

    /// Keeps what the screen shows, for whoever looks why a test failed.
    fn keep_picture(&self) -> String {
        let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("never-{}.png", std::process::id()));
        fs::write(&file, self.picture()).unwrap();
        format!("{}\nA picture is in {}", self.console().join("\n"), file.display())
    }

    /// What a person reads on the page.
    pub(crate) fn text(&self) -> String {
        self.wait(async |driver| driver.find(By::Css("body")).await?.text().await).unwrap_or_default()
    }

    /// Waits until the page says that.
    pub(crate) fn says(&self, part: &str) {
        self.persist(&format!("the page says {part:?}"), || if self.text().contains(part) { Ok(()) } else { Err(String::new()) });
    }

    /// How many elements there are now.
    pub(crate) fn count(&self, css: &str) -> usize {
        self.wait(async |driver| Ok(driver.find_all(By::Css(css)).await?.len())).unwrap()
    }

    /// Waits until there is such an element.
    pub(crate) fn shows(&self, css: &str) {
        self.persist(&format!("there is {css}"), || if self.count(css) > 0 { Ok(()) } else { Err(String::new()) });
    }

    /// Does something to an element as soon as that can be done.
    fn on(&self, by: &By, what: &str, work: impl AsyncFn(WebElement) -> WebDriverResult<()>) {
        self.persist(what, || self.wait(async |driver| work(driver.find(by.clone()).await?).await).map_err(|error| error.to_string()));
    }

    /// Types into a field in place of what stands there.
    pub(crate) fn fill(&self, name: &str, text: &str) {
        let field = By::Css(format!("main [name={name:?}]"));
        self.on(&field, &format!("{name} is filled in"), async |field| {
            field.clear().await?;
            field.send_keys(text).await
        });
    }

    /// Clicks something that stays on the page: a box, a choice, a summary.
    pub(crate) fn tick(&self, css: &str) {
        self.on(&By::Css(css), &format!("{css} is ticked"), async |element| element.click().await);
    }

    /// Presses a button or follows a link by its words, and waits for the page that follows.
    pub(crate) fn press(&self, words: &str) {
        self.leave(By::XPath(format!("//*[self::a or self::button][normalize-space()={words:?}]")), words);
    }

    /// The same, found by a selector.
    pub(crate) fn follow(&self, css: &str) {
        self.leave(By::Css(css), css);
    }

    fn leave(&self, by: By, what: &str) {
        let before = self.page();
        self.on(&by, &format!("{what:?} is pressed"), async |element| element.click().await);
        self.persist(&format!("a page follows {what:?}"), || match self.page() {
            Some(now) if before.as_ref() != Some(&now) => Ok(()),
            _ => Err("it is still the same".into()),
        });
        self.fits();
    }

    /// What tells one page from the next.
    fn page(&self) -> Option<String> {
        self.wait(async |driver| Ok(driver.find(By::Css("html")).await?.element_id().to_string())).ok()
    }

    pub(crate) fn key(&self, key: Key) {
        self.wait(async |driver| driver.action_chain().send_keys(key).perform().await).unwrap();
    }

    /// Runs a script in the page.
    pub(crate) fn ask(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.wait(async |driver| Ok(driver.execute(script, arguments).await?.json().clone())).unwrap()
    }

    /// Nothing has to be moved sideways.
    pub(crate) fn fits(&self) {
        if self.screen == Screen::Phone && self.scripts == Scripts::On {
            let sizes = self.ask("return [document.scrollingElement.scrollWidth, window.innerWidth]", Vec::new());
            assert!(sizes[0].as_i64() <= sizes[1].as_i64() && sizes[1] == 390, "{} is wider than the screen: {sizes}", self.at());
        }
    }

    /// What the console holds since it was asked last: errors, warnings, and what the policy of a page kept from running.
    pub(crate) fn console(&self) -> Vec<String> {
        let entries = self.wait(async |driver| driver.browser_log().await).unwrap();
        entries.into_iter().filter(|entry| entry.level != "INFO" && entry.level != "DEBUG").map(|entry| entry.message).collect()
    }

    /// The addresses that pages asked for since it was asked last, of all tabs.
    pub(crate) fn requests(&self) -> Vec<String> {
        let entries = self.wait(async |driver| driver.get_log("performance").await).unwrap();
        let messages = entries.iter().map(|entry| serde_json::from_str::<Value>(&entry.message).unwrap());
        let sent = messages.filter(|message| message["message"]["method"] == "Network.requestWillBeSent");
        sent.map(|message| message["message"]["params"]["request"]["url"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Opens a second tab and stays in it.
    pub(crate) fn open_tab(&mut self) {
        self.wait(async |driver| {
            let tab = driver.new_tab().await?;
            driver.switch_to_window(tab).await
        })
        .unwrap();
        self.look_on(self.screen);
    }

    pub(crate) fn close_tab(&self) {
        self.wait(async |driver| {
            driver.close_window().await?;
            let rest = driver.windows().await?;
            driver.switch_to_window(rest[0].clone()).await
        })
        .unwrap();
    }

    /// Goes to the tab of that number.
    pub(crate) fn switch_to(&self, tab: usize) {
        self.wait(async |driver| {
            let tabs = driver.windows().await?;
            driver.switch_to_window(tabs[tab].clone()).await
        })
        .unwrap();
    }

    /// What the screen shows, as a PNG.
    pub(crate) fn picture(&self) -> Vec<u8> {
        self.wait(async |driver| driver.screenshot_as_png().await).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.take() {
            let _ = self.runtime.block_on(driver.quit());
        }
    }
}

fn capabilities(profile: &tempfile::TempDir, scripts: Scripts) -> WebDriverResult<thirtyfour::ChromeCapabilities> {
    let mut wanted = DesiredCapabilities::chrome();
    let browser = program("CHROMIUM", ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]);
    wanted.set_binary(&browser.to_string_lossy())?;
    for word in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900", "--lang=en"] {
        wanted.add_arg(word)?;
    }
    for word in ["--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--mute-audio"]
    {
        wanted.add_arg(word)?;
    }
    wanted.add_arg(&format!("--user-data-dir={}", profile.path().display()))?;
    if scripts == Scripts::Off {
        wanted.add_experimental_option("prefs", json!({"profile.managed_default_content_settings.javascript": 2}))?;
    }
    wanted.set_logging_prefs("browser", LoggingPrefsLogLevel::All)?;
    wanted.set_logging_prefs("performance", LoggingPrefsLogLevel::All)?;
    Ok(wanted)
}
