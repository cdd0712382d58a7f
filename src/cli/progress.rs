//! Progress of long work, on stderr, where somebody looks.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::somebody_looks;

/// A line that shows how far something is, and goes when it is dropped.
pub(super) struct Line(ProgressBar);

impl Line {
    pub(super) fn new() -> Line {
        let target = if somebody_looks() { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.enable_steady_tick(Duration::from_millis(120));
        Line(bar)
    }

    /// So much is done of so much; 0 = nobody knows of how much.
    pub(super) fn show(&self, what: &str, done: u64, of: u64) {
        let template = if of > 0 { "{spinner} {msg} {wide_bar} {human_pos}/{human_len} {eta}" } else { "{spinner} {msg} {human_pos}" };
        if self.0.length() != Some(of)
            && let Ok(style) = ProgressStyle::with_template(template)
        {
            self.0.set_style(style);
            self.0.set_length(of);
        }
        self.0.set_message(what.to_owned());
        self.0.set_position(done);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
