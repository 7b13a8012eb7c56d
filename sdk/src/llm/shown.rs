//! What a model is shown of the results of tools, within bounds.

use mesh_node::tool::Payload;
use serde_json::{Value, json};

use super::wire::{MessageContent, Part};

/// The most bytes of the images and files of one result.
const MAX_MEDIA: usize = 8 << 20;

/// What a tool gave back.
pub(crate) fn payload(payload: &Payload) -> MessageContent {
    match payload {
        Payload::Value(text) => MessageContent::Text(value_text(text)),
        Payload::Content(text) => match serde_json::from_slice::<Value>(text) {
            Ok(result) => content(&result),
            Err(why) => error(&format!("the tool gave back what is no MCP result: {why}")),
        },
    }
}

/// What went wrong, as models are used to read it.
pub(crate) fn error(why: &str) -> MessageContent {
    MessageContent::Text(json!({ "error": why }).to_string())
}

/// The beginning of `content`: at most `bytes` of text, and of images and files what is reasonable. What was cut says so.
pub(crate) fn bounded(content: MessageContent, bytes: usize) -> MessageContent {
    match content {
        MessageContent::Text(text) => MessageContent::Text(cut(text, bytes)),
        MessageContent::Parts(parts) => {
            let (mut text_left, mut media_left) = (bytes, MAX_MEDIA);
            let bound = |part| match part {
                Part::Text(text) => {
                    let text = cut(text, text_left);
                    text_left = text_left.saturating_sub(text.len());
                    Part::Text(text)
                }
                Part::Image { url } => match media_left.checked_sub(url.len()) {
                    Some(left) => {
                        media_left = left;
                        Part::Image { url }
                    }
                    None => left_out("image", url.len()),
                },
                Part::File { name, data } => match media_left.checked_sub(data.len()) {
                    Some(left) => {
                        media_left = left;
                        Part::File { name, data }
                    }
                    None => left_out("file", data.len()),
                },
                Part::Other(_) => left_out("part of an unknown kind", 0),
            };
            MessageContent::Parts(parts.into_iter().map(bound).collect())
        }
    }
}

fn left_out(what: &str, bytes: usize) -> Part {
    Part::Text(format!("[an {what} of {bytes} bytes was left out: it is too large]"))
}

fn cut(mut text: String, bytes: usize) -> String {
    if text.len() <= bytes {
        return text;
    }
    let all = text.len();
    let kept = text.floor_char_boundary(bytes);
    text.truncate(kept);
    text.push_str(&format!("\n[cut: these are the first {kept} of {all} bytes]"));
    text
}

/// A JSON text as people would write it: a string without its quotes.
fn value_text(text: &[u8]) -> String {
    match serde_json::from_slice(text) {
        Ok(Value::String(text)) => text,
        _ => String::from_utf8_lossy(text).into_owned(),
    }
}

/// An MCP `CallToolResult`.
fn content(result: &Value) -> MessageContent {
    let blocks = result.get("content").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut parts: Vec<Part> = blocks.iter().map(block).collect();
    if parts.is_empty()
        && let Some(structured) = result.get("structuredContent").filter(|it| !it.is_null())
    {
        parts.push(Part::Text(structured.to_string()));
    }
    let texts: Option<Vec<&str>> = parts.iter().map(Part::as_text).collect();
    let is_error = result.get("isError") == Some(&Value::Bool(true));
    match texts {
        Some(texts) if is_error => error(&texts.join("\n")),
        Some(texts) => MessageContent::Text(texts.join("\n")),
        None => MessageContent::Parts(parts),
    }
}

fn block(block: &Value) -> Part {
    let text = |key: &str| block.get(key).and_then(Value::as_str).unwrap_or_default();
    let url = |mime: &str, data: &str| format!("data:{mime};base64,{data}");
    match text("type") {
        "text" => Part::Text(text("text").to_owned()),
        "image" => Part::Image { url: url(text("mimeType"), text("data")) },
        "resource_link" => Part::Text(format!("[{}]({}) {}", text("name"), text("uri"), text("mimeType"))),
        "resource" => {
            let of = |key: &str| block["resource"].get(key).and_then(Value::as_str);
            let mime = of("mimeType").unwrap_or("application/octet-stream");
            match (of("text"), of("blob")) {
                (Some(text), _) => Part::Text(text.to_owned()),
                (None, Some(blob)) if mime.starts_with("image/") => Part::Image { url: url(mime, blob) },
                (None, Some(blob)) => Part::File { name: of("uri").map(str::to_owned), data: url(mime, blob) },
                (None, None) => Part::Text(of("uri").unwrap_or_default().to_owned()),
            }
        }
        other => Part::Text(format!("[a part of the kind {other:?} that cannot be shown]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_mcp(result: Value) -> MessageContent {
        payload(&Payload::Content(result.to_string().into()))
    }

    #[test]
    fn values_are_shown_as_json_and_texts_as_they_are() {
        assert_eq!(payload(&Payload::Value(r#"{"a":1}"#.into())).text(), r#"{"a":1}"#);
        assert_eq!(payload(&Payload::Value(r#""hi \"you\"""#.into())).text(), "hi \"you\"");
        let texts = json!({ "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }] });
        assert_eq!(of_mcp(texts).text(), "a\nb");
        assert_eq!(of_mcp(json!({ "content": [], "structuredContent": { "a": 1 } })).text(), r#"{"a":1}"#);
        let failed = json!({ "content": [{ "type": "text", "text": "kaboom" }], "isError": true });
        assert_eq!(of_mcp(failed).text(), r#"{"error":"kaboom"}"#);
    }

    #[test]
    fn images_and_files_are_passed_on() {
        let shown = of_mcp(json!({ "content": [
            { "type": "text", "text": "a chart" },
            { "type": "image", "data": "AAAA", "mimeType": "image/png" },
            { "type": "resource", "resource": { "uri": "file:///a.pdf", "mimeType": "application/pdf", "blob": "BBBB" } },
        ] }));
        let parts = vec![
            Part::Text("a chart".into()),
            Part::Image { url: "data:image/png;base64,AAAA".into() },
            Part::File { name: Some("file:///a.pdf".into()), data: "data:application/pdf;base64,BBBB".into() },
        ];
        assert_eq!(shown, MessageContent::Parts(parts));
    }

    #[test]
    fn what_is_too_long_is_cut_at_a_letter_and_says_so() {
        let cut = bounded("ääää".into(), 5).text();
        assert_eq!(cut, "ää\n[cut: these are the first 4 of 8 bytes]");
        assert_eq!(bounded("ääää".into(), 8).text(), "ääää");
        let parts = vec![Part::Text("abc".into()), Part::Text("def".into()), Part::Image { url: "x".repeat(9 << 20) }];
        let shown = bounded(parts.into(), 4).text();
        assert!(shown.starts_with("abc\nd\n[cut: these are the first 1 of 3 bytes]\n[an image of"), "{shown}");
    }
}
