//! Names of tools as models can say them.

use std::collections::{BTreeMap, BTreeSet};

/// The most bytes of a name that every vendor takes.
const MAX_NAME: usize = 64;

/// How many digits tell apart what would be the same otherwise.
const DIGITS: usize = 8;

/// A tool of the mesh by its own names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ToolName {
    pub(crate) agent: String,
    pub(crate) function: String,
}

/// What each of `tools` is called towards a model, in their order: its function's name; `agent__tool` where others have
/// that name; always letters, digits, `_` and `-`, at most 64, and no two alike. The same tools always get the same names.
pub(crate) fn shown(tools: &[ToolName]) -> Vec<String> {
    let mut owners: BTreeMap<String, BTreeSet<&ToolName>> = BTreeMap::new();
    for tool in tools {
        owners.entry(spelt(&tool.function)).or_default().insert(tool);
    }
    let wish = |tool: &ToolName| {
        let plain = spelt(&tool.function);
        let is_unique = owners.get(&plain).is_some_and(|owners| owners.len() == 1);
        if is_unique { plain } else { format!("{}__{}", spelt(&tool.agent), plain) }
    };
    let wishes: Vec<String> = tools.iter().map(wish).collect();
    let mut wanted: BTreeMap<&str, BTreeSet<&ToolName>> = BTreeMap::new();
    for (wish, tool) in wishes.iter().zip(tools) {
        wanted.entry(wish).or_default().insert(tool);
    }
    let name = |(wish, tool): (&String, &ToolName)| {
        let is_alone = wanted.get(wish.as_str()).is_some_and(|tools| tools.len() == 1);
        if is_alone && wish.len() <= MAX_NAME { wish.clone() } else { distinct(wish, tool) }
    };
    wishes.iter().zip(tools).map(name).collect()
}

/// `name` with nothing in it that a model's grammar refuses. It begins with a letter or `_`, as one vendor demands.
fn spelt(name: &str) -> String {
    let letter = |it: char| if it.is_ascii_alphanumeric() || it == '_' || it == '-' { it } else { '_' };
    let mut spelt: String = name.chars().map(letter).collect();
    if !spelt.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_') {
        spelt.insert(0, '_');
    }
    spelt
}

/// The beginning of `wish`, and digits that only `tool` has.
fn distinct(wish: &str, tool: &ToolName) -> String {
    // FNV-1a: the same in every process and every version.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in tool.agent.bytes().chain([0]).chain(tool.function.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let digits = format!("{hash:016x}");
    // Only ASCII is left, so that any place will do.
    let kept = wish.len().min(MAX_NAME - DIGITS - 1);
    format!("{}_{}", &wish[..kept], &digits[..DIGITS])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tool(agent: &str, function: &str) -> ToolName {
        ToolName { agent: agent.into(), function: function.into() }
    }

    #[test]
    fn a_tool_is_called_as_it_is_unless_others_are_called_the_same() {
        let tools = [tool("a", "add"), tool("b", "add"), tool("b", "mul")];
        assert_eq!(shown(&tools), ["a__add", "b__add", "mul"]);
    }

    #[test]
    fn dots_and_what_else_models_cannot_say_become_underscores() {
        assert_eq!(
            shown(&[tool("a", "travel.search"), tool("a", "größe"), tool("a", "2d")]),
            ["travel_search", "gr__e", "_2d"]
        );
        let alike = shown(&[tool("a", "x.y"), tool("a", "x_y")]);
        assert!(alike[0].starts_with("a__x_y_") && alike[0] != alike[1], "{alike:?}");
    }

    #[test]
    fn a_long_name_is_cut_and_stays_its_own() {
        let long = "x".repeat(100);
        let names = shown(&[tool("a", &long), tool("a", &format!("{long}y"))]);
        assert!(names.iter().all(|name| name.len() == MAX_NAME));
        assert_ne!(names[0], names[1]);
    }

    proptest! {
        #[test]
        fn whatever_tools_there_are_all_names_fit_and_differ(
            tools in prop::collection::btree_set(("[a-b]{1,2}", "[a-b._-]{1,3}|[a-b]{60,70}|\\PC{0,5}"), 0..12)
        ) {
            let tools: Vec<ToolName> = tools.into_iter().map(|(agent, function)| tool(&agent, &function)).collect();
            let names = shown(&tools);
            let fits = |name: &String| {
                (1..=MAX_NAME).contains(&name.len())
                    && name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_' || it == b'-')
            };
            prop_assert!(names.iter().all(fits), "{names:?}");
            let different: BTreeSet<&String> = names.iter().collect();
            prop_assert_eq!(different.len(), tools.len());
        }
    }
}
