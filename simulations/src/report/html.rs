//! Outcomes as one page that needs nothing else: no script, no font, no address of anybody.

use std::fmt::Write;

use super::plot::{Line, Mark, Plot, escape, number};
use crate::outcome::{Outcome, Times};

const STYLE: &str = include_str!("page.css");

/// The page of some runs. `command` is what made them.
pub fn page(outcomes: &[Outcome], about: &[(String, String)], command: &str) -> String {
    let failed = outcomes.iter().filter(|outcome| !outcome.holds()).count();
    let title = match about {
        [(name, _)] => name.clone(),
        _ => format!("{} scenarios", about.len()),
    };
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{} · simulations</title><style>{STYLE}</style><main>\
         <header><h1>{}</h1><p class=\"verdict {}\">{}</p></header>",
        escape(&title),
        escape(&title),
        if failed == 0 { "good" } else { "bad" },
        if failed == 0 { verdict_of_all(outcomes.len()) } else { format!("{failed} of {} runs fail", outcomes.len()) },
    );
    let about_of = about.len();
    for (name, about) in about {
        let runs: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.scenario == *name).collect();
        if runs.is_empty() {
            continue;
        }
        let _ = write!(html, "<section>{}<p class=\"about\">{}</p>", heading(name, about_of), escape(about));
        figures(&mut html, &runs);
        verdicts(&mut html, &runs);
        html.push_str("<div class=\"plots\">");
        plots(&mut html, &runs);
        html.push_str("</div></section>");
    }
    let _ = write!(
        html,
        "<footer>Made by <code>{}</code>. The same command makes the same page.</footer></main></html>",
        escape(command)
    );
    html
}

fn verdict_of_all(runs: usize) -> String {
    if runs == 1 { "everything expected holds".to_owned() } else { format!("all {runs} runs hold") }
}

/// The name of a scenario, where the page's title does not say it already.
fn heading(name: &str, scenarios: usize) -> String {
    if scenarios == 1 { String::new() } else { format!("<h2>{}</h2>", escape(name)) }
}

/// The handful of numbers one looks for first.
fn figures(html: &mut String, runs: &[&Outcome]) {
    html.push_str("<dl class=\"figures\">");
    let mut figure = |name: &str, value: String, unit: &str| {
        let _ = write!(html, "<div><dt>{name}</dt><dd>{value}<small> {unit}</small></dd></div>");
    };
    figure("members", runs[0].members.to_string(), "");
    figure("runs", runs.len().to_string(), if runs.len() == 1 { "seed" } else { "seeds" });
    for (name, pick) in KINDS {
        let times: Vec<&Times> = runs.iter().map(|run| pick(run)).collect();
        let events: u64 = times.iter().map(|times| times.events).sum();
        if events > 0 {
            let mut all: Vec<f64> = times.iter().flat_map(|times| times.to_all_ms.iter().copied()).collect();
            all.sort_by(f64::total_cmp);
            let p99 = crate::outcome::quantile(&all, usize::try_from(events).unwrap_or(usize::MAX), 0.99);
            let shown =
                p99.filter(|p99| p99.is_finite()).map_or_else(|| "not all".to_owned(), |p99| format!("{p99:.0}"));
            figure(name, shown, "ms p99");
        }
    }
    figure("false deaths", runs.iter().map(|run| run.false_deaths).sum::<u64>().to_string(), "");
    let bytes: Vec<f64> = runs.iter().map(|run| run.mean_bytes_per_second()).collect();
    figure("sent by each", number((crate::outcome::mean(&bytes) / 100.0).round() / 10.0), "kB/s");
    html.push_str("</dl>");
}

fn verdicts(html: &mut String, runs: &[&Outcome]) {
    html.push_str("<div class=\"scroll\"><table><thead><tr><th>expected</th><th>found</th><th>seed</th><th></th></tr></thead><tbody>");
    for run in runs {
        for verdict in &run.verdicts {
            // Of many seeds, what held is shown once, by the first.
            if verdict.holds && run.seed != runs[0].seed {
                continue;
            }
            let _ = write!(
                html,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"{}\">{}</td></tr>",
                escape(&verdict.expected),
                escape(&verdict.found),
                run.seed,
                if verdict.holds { "good" } else { "bad" },
                if verdict.holds { "holds" } else { "fails" }
            );
        }
    }
    html.push_str("</tbody></table></div>");
}

type Pick = fn(&Outcome) -> &Times;

const KINDS: &[(&str, Pick)] = &[
    ("crash known to all", |run| &run.crashes),
    ("goodbye known to all", |run| &run.leaves),
    ("join known to all", |run| &run.joins),
    ("news known to all", |run| &run.news),
    ("cut healed, all seen again", |run| &run.reunions),
    ("dead provider gone", |run| &run.providers),
];

fn plots(html: &mut String, runs: &[&Outcome]) {
    let first = runs[0];
    let marks = || first.marks.iter().map(|(x, label)| Mark { x: *x, label: label.clone() }).collect::<Vec<_>>();
    let seconds = format!("time (s), seed {}", first.seed);
    let series = |label: &str, class, value: fn(&crate::outcome::Sample) -> f64| Line {
        label: label.to_owned(),
        class,
        points: first.samples.iter().map(|sample| (sample.at, value(sample))).collect(),
        steps: false,
    };
    figure_of(
        html,
        "Members seen over time",
        "Between the member that sees fewest and the one that sees most.",
        &Plot {
            x_label: seconds.clone(),
            y_label: "members taken for live".to_owned(),
            lines: vec![
                series("the one in the middle", "a", |sample| f64::from(sample.middle)),
                series("really up", "ink", |sample| f64::from(sample.up)),
            ],
            band: first
                .samples
                .iter()
                .map(|sample| (sample.at, f64::from(sample.fewest), f64::from(sample.most)))
                .collect(),
            marks: marks(),
            y_at_least: 1.0,
            x_to: Some(first.seconds),
        },
    );
    distributions(html, runs);
    figure_of(
        html,
        "Traffic over time",
        "Sent by a member on average, headers of IP and UDP included.",
        &Plot {
            x_label: seconds,
            y_label: "bytes a second".to_owned(),
            lines: vec![series("", "b", |sample| sample.bytes_per_second)],
            band: Vec::new(),
            marks: marks(),
            y_at_least: 100.0,
            x_to: Some(first.seconds),
        },
    );
    bytes_per_node(html, runs);
    bytes_by_kind(html, first);
}

/// How long it took: one curve for single observers, one until all knew, for every kind of event there was.
fn distributions(html: &mut String, runs: &[&Outcome]) {
    for (name, pick) in KINDS {
        let events: u64 = runs.iter().map(|run| pick(run).events).sum();
        if events == 0 {
            continue;
        }
        let mut each: Vec<f64> = runs.iter().flat_map(|run| pick(run).to_each_ms.iter().copied()).collect();
        let mut all: Vec<f64> = runs.iter().flat_map(|run| pick(run).to_all_ms.iter().copied()).collect();
        each.sort_by(f64::total_cmp);
        all.sort_by(f64::total_cmp);
        let unfinished: u64 = runs.iter().map(|run| pick(run).unfinished).sum();
        let note = match unfinished {
            0 => format!("{events} events in {} runs.", runs.len()),
            some => format!("{events} events in {} runs; {some} of them are not known to everybody.", runs.len()),
        };
        figure_of(
            html,
            &capital(name),
            &note,
            &Plot {
                x_label: "milliseconds since it happened".to_owned(),
                y_label: "share".to_owned(),
                lines: vec![
                    Line { label: "until all know it".to_owned(), class: "b", points: cumulative(&all), steps: true },
                    Line { label: "until one knows it".to_owned(), class: "a", points: cumulative(&each), steps: true },
                ],
                band: Vec::new(),
                marks: Vec::new(),
                y_at_least: 1.0,
                x_to: None,
            },
        );
    }
}

fn bytes_per_node(html: &mut String, runs: &[&Outcome]) {
    let mut bytes: Vec<f64> = runs.iter().flat_map(|run| run.bytes_per_second.iter().copied()).collect();
    bytes.sort_by(f64::total_cmp);
    let points = cumulative(&bytes);
    figure_of(
        html,
        "Bytes per node",
        "How evenly the load is spread: the share of members that send less.",
        &Plot {
            x_label: "bytes a second, over the whole run".to_owned(),
            y_label: "share of members".to_owned(),
            lines: vec![Line { label: String::new(), class: "a", points, steps: true }],
            band: Vec::new(),
            marks: Vec::new(),
            y_at_least: 1.0,
            x_to: None,
        },
    );
}

fn bytes_by_kind(html: &mut String, run: &Outcome) {
    let mut kinds = run.bytes_by_kind.clone();
    kinds.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let most = kinds.first().map_or(1, |(_, bytes)| (*bytes).max(1));
    html.push_str("<figure><figcaption><h3>What the bytes are for</h3></figcaption><div class=\"bars\">");
    for (name, bytes) in &kinds {
        #[expect(clippy::cast_precision_loss, reason = "a share for a bar")]
        let (share, rate) = (*bytes as f64 / most as f64, *bytes as f64 / run.seconds / f64::from(run.members));
        let _ = write!(
            html,
            "<span>{}</span><b><i style=\"width:{:.1}%\"></i></b><span class=\"number\">{} B/s</span>",
            escape(name),
            share * 100.0,
            number(rate.round())
        );
    }
    html.push_str("</div></figure>");
}

fn figure_of(html: &mut String, title: &str, note: &str, plot: &Plot) {
    let _ = write!(
        html,
        "<figure><figcaption><h3>{}</h3><p>{}</p></figcaption>{}</figure>",
        escape(title),
        escape(note),
        plot.svg()
    );
}

/// The share of values up to each value.
fn cumulative(sorted: &[f64]) -> Vec<(f64, f64)> {
    #[expect(clippy::cast_precision_loss, reason = "a rank among values in memory")]
    let share = |rank: usize| rank as f64 / sorted.len() as f64;
    let start = sorted.first().map(|_| (0.0, 0.0));
    start.into_iter().chain(sorted.iter().enumerate().map(|(i, value)| (*value, share(i + 1)))).collect()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
