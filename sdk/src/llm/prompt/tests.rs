#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use schemars::JsonSchema;
use serde_json::json;

use super::*;
use crate::schema;

#[derive(serde::Serialize, JsonSchema)]
struct Trip {
    destination: String,
    stay: Option<Stay>,
    notes: serde_json::Value,
}

#[derive(serde::Serialize, JsonSchema)]
struct Stay {
    nights: u32,
}

fn made(text: &'static str) -> Result<Prompt, PromptError> {
    let mut known = Known::default();
    known.add(&schema::of_output::<Trip>());
    Prompt::new(&"plan".into(), &PromptSource::text(text), &known, &|_| None)
}

fn missing(text: &'static str) -> Option<(String, u32)> {
    match made(text) {
        Ok(_) => None,
        Err(PromptError::Unknown { variable, line, .. }) => Some((variable, line)),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_prompt_is_written_with_what_it_is_given() {
    let prompt = made("Plan {{ destination }}{% if extra %} with {{ extra }}{% endif %}.").unwrap();
    let values = |value: Value| value.as_object().unwrap().clone();
    assert_eq!(prompt.write(&values(json!({ "destination": "Rome <3" }))).unwrap(), "Plan Rome <3.");
    let more = json!({ "destination": "Rome", "extra": "food" });
    assert_eq!(prompt.write(&values(more)).unwrap(), "Plan Rome with food.");
    let why = prompt.write(&Map::new()).unwrap_err().to_string();
    assert!(why.starts_with("the prompt of `plan` (in its code) cannot be written: undefined value"), "{why}");
}

#[test]
fn a_variable_that_nothing_gives_is_found_before_anybody_asks() {
    assert_eq!(missing("Plan {{ destination }}\nfor {{ budget }}"), Some(("budget".into(), 2)));
    let said = made("{{ budget }}").unwrap_err().to_string();
    assert!(said.contains("`budget` in line 1") && said.contains("destination, notes, stay"), "{said}");
    for (template, variable) in [
        ("{{ stay.nites }}", "stay.nites"),
        ("{{ destination.name }}", "destination.name"),
        ("{% if a %}{% endif %}{{ a }}", "a"),
        ("{% if a or b %}{{ a }}{% endif %}", "a"),
        ("{% if not a %}{{ a }}{% endif %}", "a"),
        ("{% if a.b %}{% endif %}", "a"),
        ("{% for x in xs %}{{ x }}{% endfor %}", "xs"),
        ("{% for x in notes %}{% endfor %}{{ x }}", "x"),
        ("{{ a | upper }}", "a"),
        ("{{ destination ~ b }}", "b"),
        ("{{ destination if a else b }}", "b"),
        ("{{ range(n) }}", "n"),
    ] {
        assert_eq!(missing(template).map(|it| it.0).as_deref(), Some(variable), "{template}");
    }
}

#[test]
fn guarded_names_globals_and_what_the_template_makes_are_exempt() {
    for template in [
        "{% if a %}{{ a }}{% endif %}",
        "{% if a is defined and b %}{{ a.c }} {{ b }}{% endif %}",
        "{% if a is undefined %}none{% else %}{{ a }}{% endif %}",
        "{% if not a %}none{% else %}{{ a }}{% endif %}",
        "{{ a | default('x') }} {{ b | d }}",
        "{{ a if a else 'none' }}",
        "{{ a or b or destination }}",
        "{% for i in range(3) %}{{ loop.index }} {{ i }}{% endfor %}",
        "{% set x = destination %}{{ x }}",
        "{% with y = destination %}{{ y }}{% endwith %}",
        "{% for key, value in notes.all %}{{ key }} {{ value.whatever }}{% endfor %}",
        "{{ stay.nights }} {{ notes.anything.at.all }}",
        "{% raw %}{{ a }}{% endraw %}",
    ] {
        assert_eq!(missing(template), None, "{template}");
    }
}

#[test]
fn the_environment_has_the_last_word_and_a_missing_file_names_both() {
    let known = Known::default();
    let source = PromptSource::file("prompts/plan.j2", "embedded");
    let made = |said: &'static str| {
        let environment = move |name: &str| (name == "MESH_PROMPT_PLAN_TRIP").then(|| said.to_owned());
        Prompt::new(&"plan.trip".into(), &source, &known, &environment)
    };
    let write = |said| made(said).unwrap().write(&Map::new()).unwrap();
    assert_eq!(write(""), "embedded");
    assert_eq!(write("Said so."), "Said so.");
    let file = tempfile::Builder::new().suffix(".j2").tempfile().unwrap();
    std::fs::write(file.path(), "From a file.").unwrap();
    let path: &'static str = file.path().to_str().unwrap().to_owned().leak();
    assert_eq!(write(path), "From a file.");
    let why = made("/nowhere/plan.j2").unwrap_err().to_string();
    assert!(why.contains("`plan.trip`") && why.contains("/nowhere/plan.j2") && why.contains("MESH_PROMPT_PLAN_TRIP"));
    let why = made("{{ budget }}").unwrap_err().to_string();
    assert!(why.contains("MESH_PROMPT_PLAN_TRIP") && why.contains("`budget`"), "{why}");
}

#[test]
fn a_prompt_that_is_no_template_or_runs_away_is_an_error() {
    let why = made("{{ destination").unwrap_err().to_string();
    assert!(why.starts_with("the prompt of `plan` (in its code) is no template: syntax error"), "{why}");
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
    assert!(made(endless).unwrap().write(&Map::new()).unwrap_err().to_string().contains("fuel"));
}

proptest! {
    #[test]
    fn any_text_is_a_prompt_or_an_error(text in "(\\{\\{|\\}\\}|\\{%|%\\}|if |endif|for |in |endfor|[a-c.|( )\"']|\\PC){0,24}") {
        let _ = made(text.leak());
    }
}
