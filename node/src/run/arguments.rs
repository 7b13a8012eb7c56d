//! A first look at the text of arguments: whether it is an object that is safe to parse, and what in it is not meant for
//! the tool. One pass over the bytes, no tree.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::{memchr2, memmem};

use crate::context::SessionKey;

/// How deep arguments may be nested.
pub const MAX_NESTING: usize = 128;

/// From this size on a look takes milliseconds.
const MUCH_BYTES: usize = 1 << 20;

/// The argument that names a session where nothing else does.
pub const SESSION_ID: &str = "session_id";

/// What stock agents of the existing system put into arguments for runtimes that cannot see headers.
const TRACE_ID: &str = "_trace_id";
const PARENT_SPAN: &str = "_parent_span";
const MESH_HEADERS: &str = "_mesh_headers";

const WATCHED: [&str; 4] = [SESSION_ID, TRACE_ID, PARENT_SPAN, MESH_HEADERS];

/// The most bytes of `_mesh_headers` that are looked at.
const MAX_MESH_HEADERS_BYTES: usize = 64 << 10;

/// Why arguments cannot be given to a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadArguments {
    /// They are no object.
    #[error("arguments have to be a JSON object")]
    NotAnObject,
    /// They end in the middle, or go on behind their end.
    #[error("arguments are not valid JSON")]
    Malformed,
    /// They are nested too deep for anybody to parse.
    #[error("arguments are nested deeper than {MAX_NESTING}")]
    TooDeep,
}

/// What arguments say to the mesh rather than to the tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aside {
    /// The argument `session_id`, if it can be a session key. It stays in the arguments.
    pub session: Option<SessionKey>,
    /// `_trace_id`.
    pub trace_id: Option<String>,
    /// `_parent_span`.
    pub parent_span: Option<String>,
    /// `_mesh_headers`, names in lower case.
    pub headers: BTreeMap<String, String>,
}

/// A member of the outermost object.
struct Member {
    /// From its name to what separates it from the next, or ends the object.
    whole: Range<usize>,
    value: Range<usize>,
    watched: &'static str,
}

/// Checks `arguments` and takes out what is not meant for the tool. Whether the rest is valid JSON is for its parser to
/// say, which it can do without fear for its stack.
///
/// # Errors
/// [`BadArguments`], in words for the caller.
pub fn split(arguments: Bytes) -> Result<(Bytes, Aside), BadArguments> {
    let members = scan(&arguments)?;
    let aside = read(&arguments, &members);
    let meant_for_us: Vec<&Member> = members.iter().filter(|member| member.watched != SESSION_ID).collect();
    if meant_for_us.is_empty() {
        return Ok((arguments, aside));
    }
    Ok((without(&arguments, &meant_for_us), aside))
}

/// As [`split`]; much is looked at where it holds up nobody else, gossip least of all. Dropping the future loses nothing.
///
/// # Errors
/// [`BadArguments`], in words for the caller.
pub async fn split_aside(arguments: Bytes) -> Result<(Bytes, Aside), BadArguments> {
    if arguments.len() < MUCH_BYTES {
        return split(arguments);
    }
    let looked = tokio::task::spawn_blocking(move || split(arguments));
    // It fails only where the runtime goes down, and whoever waits with it.
    looked.await.unwrap_or(Err(BadArguments::Malformed))
}

/// Checks `arguments` as [`split`] does, and leaves them as they are.
///
/// # Errors
/// [`BadArguments`], in words for the caller.
pub fn check(arguments: &[u8]) -> Result<(), BadArguments> {
    scan(arguments).map(drop)
}

/// The argument `session_id`, if there is one that can be a session key. Much is looked at where it holds up nobody else.
/// Dropping the future loses nothing.
pub async fn session_aside(arguments: Bytes) -> Option<SessionKey> {
    if arguments.len() < MUCH_BYTES {
        return session_in(&arguments);
    }
    tokio::task::spawn_blocking(move || session_in(&arguments)).await.ok().flatten()
}

/// The argument `session_id`, if there is one that can be a session key.
fn session_in(arguments: &[u8]) -> Option<SessionKey> {
    // Most have none, which is found out faster than where their members begin.
    memmem::find(arguments, SESSION_ID.as_bytes())?;
    scan(arguments).map(|members| read(arguments, &members)).ok()?.session
}

fn read(text: &[u8], members: &[Member]) -> Aside {
    let mut aside = Aside::default();
    for member in members {
        let value = &text[member.value.clone()];
        let string = || serde_json::from_slice::<String>(value).ok();
        match member.watched {
            SESSION_ID => aside.session = string().and_then(|text| SessionKey::try_from(text.as_str()).ok()),
            TRACE_ID => aside.trace_id = string(),
            PARENT_SPAN => aside.parent_span = string(),
            _ if value.len() <= MAX_MESH_HEADERS_BYTES => {
                let headers: BTreeMap<String, String> = serde_json::from_slice(value).unwrap_or_default();
                let lower = headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
                aside.headers = lower.collect();
            }
            _ => {}
        }
    }
    aside
}

fn without(text: &[u8], members: &[&Member]) -> Bytes {
    let mut rest = BytesMut::with_capacity(text.len());
    let mut from = 0;
    for member in members {
        rest.extend_from_slice(&text[from..member.whole.start]);
        from = member.whole.end;
        if text[from] == b',' {
            from += 1;
        } else {
            // It was the last one: what separated it from the one before goes as well.
            while rest.last().is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b',') {
                rest.truncate(rest.len() - 1);
            }
        }
    }
    rest.extend_from_slice(&text[from..]);
    rest.freeze()
}

/// The watched members of the object that `text` is.
fn scan(text: &[u8]) -> Result<Vec<Member>, BadArguments> {
    let open = skip_space(text, 0);
    if text.get(open) != Some(&b'{') {
        return Err(BadArguments::NotAnObject);
    }
    let mut members = Vec::new();
    let mut name = skip_space(text, open + 1);
    let mut end = name;
    while text.get(end) != Some(&b'}') {
        let name_end = skip_string(text, name)?;
        let colon = skip_space(text, name_end);
        if text.get(colon) != Some(&b':') {
            return Err(BadArguments::Malformed);
        }
        let value = skip_space(text, colon + 1);
        end = skip_value(text, value)?;
        let found = WATCHED.into_iter().find(|watched| text[name + 1..name_end - 1] == *watched.as_bytes());
        members.extend(found.map(|watched| Member { whole: name..end, value: value..end, watched }));
        if text[end] == b',' {
            name = skip_space(text, end + 1);
        }
    }
    if skip_space(text, end + 1) == text.len() { Ok(members) } else { Err(BadArguments::Malformed) }
}

fn skip_space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// Where the string that begins at `at` is over.
fn skip_string(text: &[u8], at: usize) -> Result<usize, BadArguments> {
    if text.get(at) != Some(&b'"') {
        return Err(BadArguments::Malformed);
    }
    let mut end = at + 1;
    loop {
        let rest = text.get(end..).ok_or(BadArguments::Malformed)?;
        let next = end + memchr2(b'"', b'\\', rest).ok_or(BadArguments::Malformed)?;
        if text[next] == b'"' {
            return Ok(next + 1);
        }
        end = next + 2;
    }
}

/// Where the value that begins at `at` is followed by what separates it from the next member, or ends the object.
fn skip_value(text: &[u8], at: usize) -> Result<usize, BadArguments> {
    // The object around it counts.
    let mut depth = 1;
    let mut end = at;
    loop {
        match text.get(end) {
            None => return Err(BadArguments::Malformed),
            Some(b'"') => end = skip_string(text, end)?,
            Some(b',' | b'}') if depth == 1 => return Ok(end),
            Some(b'{' | b'[') => {
                depth += 1;
                end += 1;
            }
            Some(b'}' | b']') => {
                if depth == 1 {
                    return Err(BadArguments::Malformed);
                }
                depth -= 1;
                end += 1;
            }
            Some(_) => end += 1,
        }
        if depth > MAX_NESTING {
            return Err(BadArguments::TooDeep);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::{BadArguments, MAX_NESTING, session_in, split};

    fn left(text: &'static str) -> String {
        let (rest, _) = split(Bytes::from_static(text.as_bytes())).unwrap();
        String::from_utf8(rest.to_vec()).unwrap()
    }

    #[test]
    fn what_is_not_meant_for_the_tool_is_taken_out() {
        let text = r#"{"_trace_id":"aa","fmt":"iso", "_parent_span": "bb" ,"_mesh_headers":{"x-a":"1"}}"#;
        let (rest, aside) = split(Bytes::from_static(text.as_bytes())).unwrap();
        assert_eq!(rest, r#"{"fmt":"iso"}"#);
        assert_eq!((aside.trace_id.as_deref(), aside.parent_span.as_deref()), (Some("aa"), Some("bb")));
        assert_eq!(aside.headers.get("x-a").unwrap(), "1");
    }

    #[test]
    fn nothing_else_is_touched() {
        for text in [r#"{}"#, " { } ", r#"{"a":{"_trace_id":1},"b":["_trace_id"],"c":"\"_trace_id\":"}"#] {
            assert_eq!(left(text), text);
        }
        assert_eq!(left(r#"{"_trace_id":7}"#), "{}");
        assert_eq!(left(r#"{"a":1,"_trace_id":{"x":[1,2]}}"#), r#"{"a":1}"#);
        assert_eq!(left(r#"{"_trace_id":1,"a":1}"#), r#"{"a":1}"#);
    }

    #[test]
    fn the_session_is_found_and_stays_where_it_is() {
        let text = r#"{"turn":1,"session_id":"ann\u0061"}"#;
        assert_eq!(left(text), text);
        assert_eq!(session_in(text.as_bytes()).unwrap().as_str(), "anna");
        assert_eq!(session_in(br#"{"session_id":7}"#), None);
        assert_eq!(session_in(br#"{"session_id":""}"#), None);
        assert_eq!(session_in(b"nonsense"), None);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for bad in ["", "[]", "1", "null", "\"{}\""] {
            assert_eq!(split(bad.into()), Err(BadArguments::NotAnObject), "{bad}");
        }
        for bad in
            ["{", "{\"a\"", "{\"a\":", "{\"a\":1", "{}{}", "{} x", "{,}", "{\"a\":1,}", "{\"a\":\"\\", "{\"a\":]}"]
        {
            assert_eq!(split(bad.into()), Err(BadArguments::Malformed), "{bad}");
        }
    }

    #[test]
    fn a_megabyte_of_nesting_is_refused_without_a_stack() {
        let deep = format!("{{\"a\":{}", "[".repeat(1 << 20));
        assert_eq!(split(deep.into()), Err(BadArguments::TooDeep));
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(split(nested(MAX_NESTING - 1).into()).is_ok());
        assert_eq!(split(nested(MAX_NESTING).into()), Err(BadArguments::TooDeep));
        assert!(serde_json::from_str::<Value>(&nested(MAX_NESTING - 2)).is_ok());
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}|[\"\\\\{}\\[\\],:]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c\"\\\\]{0,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_object_comes_through_without_what_is_ours(
            members in prop::collection::btree_map("_trace_id|_parent_span|_mesh_headers|session_id|[a-d]", json(), 0..8),
            pretty: bool,
        ) {
            let mut object: Map<String, Value> = members.into_iter().collect();
            let text = if pretty { serde_json::to_vec_pretty(&object) } else { serde_json::to_vec(&object) };
            let (rest, _) = split(text.unwrap().into()).unwrap();
            object.retain(|name, _| !name.starts_with('_'));
            prop_assert_eq!(serde_json::from_slice::<Map<String, Value>>(&rest).unwrap(), object);
        }

        #[test]
        fn any_bytes_are_answered(text in "[{}\\[\\]\",:\\\\a_ ]{0,40}", noise in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = split(text.into());
            let _ = split(noise.into());
        }
    }
}
