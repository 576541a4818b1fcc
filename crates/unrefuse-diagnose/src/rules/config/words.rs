//! Lines, options and defaults as evidence, and the service's name in titles.

use super::runner::Runner;
use crate::report::Evidence;
use unrefuse_facts::text::visible;
use unrefuse_facts::{ConfiguredListen, Origin, Setting};

/// What shows a setting: the place that wins, then those that it beats.
pub(super) fn evidence(setting: &Setting, of: Runner<'_>) -> Vec<Evidence> {
    let mut all = vec![origin(&setting.origin, of, "")];
    all.extend(setting.beats.iter().rev().map(|beaten| origin(&beaten.origin, of, " (has no say: a later one wins)")));
    all
}

fn origin(origin: &Origin, of: Runner<'_>, remark: &str) -> Evidence {
    match origin {
        Origin::Line(line) => {
            // Columns made with tabs mean nothing here.
            let words: Vec<&str> = line.text.split_whitespace().collect();
            let text = format!("{}{remark}", visible(&words.join(" ")));
            Evidence::new(text, visible(&line.location.path)).at(&line.location)
        }
        Origin::CommandLine(option) => of.was_given(option, remark),
        Origin::Default(words) => Evidence::new(format!("{}{remark}", visible(words)), "the service's default"),
    }
}

/// Address and port of a configured address, each place once; what says more than a default comes first.
pub(super) fn both(listen: &ConfiguredListen, of: Runner<'_>) -> Vec<Evidence> {
    let mut all = evidence(&listen.address_from, of);
    let is_default = matches!(listen.address_from.origin, Origin::Default(_));
    for evidence in evidence(&listen.port_from, of) {
        if !all.contains(&evidence) && evidence.location.is_some() {
            all.insert(if is_default { 0 } else { all.len() }, evidence);
        }
    }
    all
}

/// `/etc/redis/redis.conf:87`, `the command line`, `the default`.
pub(super) fn place(origin: &Origin) -> String {
    match origin {
        Origin::Line(line) => visible(&line.location.to_string()),
        Origin::CommandLine(_) => "the command line".to_owned(),
        Origin::Default(_) => "the default".to_owned(),
    }
}
