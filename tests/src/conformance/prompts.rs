//! The fixture's prompts.

use std::collections::BTreeMap;

use rmcp::model::{GetPromptRequestParams, GetPromptResponse, GetPromptResult, InputRequiredResult, Prompt};
use serde_json::{Value, json};

use super::tools::PIXEL;
use super::{Answer, asking, invalid, typed};

const ASKING: &str = "test_input_required_result_prompt";

pub(super) fn listed() -> Vec<Prompt> {
    let argument = |name: &str| json!({"name": name, "description": "An argument.", "required": true});
    let prompts = [
        ("test_simple_prompt", vec![]),
        ("test_prompt_with_arguments", vec![argument("arg1"), argument("arg2")]),
        ("test_prompt_with_embedded_resource", vec![argument("resourceUri")]),
        ("test_prompt_with_image", vec![]),
        (ASKING, vec![]),
    ];
    let prompt = |(name, arguments)| {
        typed(json!({"name": name, "description": "A prompt of the conformance suite.", "arguments": arguments}))
    };
    prompts.into_iter().map(prompt).collect()
}

pub(super) fn get(request: &GetPromptRequestParams) -> Answer<GetPromptResponse> {
    let argument = |name: &str| {
        let value = request.arguments.as_ref().and_then(|arguments| arguments.get(name)?.as_str());
        value.ok_or_else(|| invalid("an argument of the prompt is missing"))
    };
    let user = |content: Value| json!({"role": "user", "content": content});
    let text = |text: &str| user(json!({"type": "text", "text": text}));
    let messages = match &*request.name {
        "test_simple_prompt" => vec![text("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            let (first, second) = (argument("arg1")?, argument("arg2")?);
            vec![text(&format!("Prompt with arguments: arg1='{first}', arg2='{second}'"))]
        }
        "test_prompt_with_embedded_resource" => {
            let resource = json!({"uri": argument("resourceUri")?, "mimeType": "text/plain",
                "text": "Embedded resource content for testing."});
            let resource = user(json!({"type": "resource", "resource": resource}));
            vec![resource, text("Please process the embedded resource above.")]
        }
        "test_prompt_with_image" => {
            let image = user(json!({"type": "image", "data": PIXEL, "mimeType": "image/png"}));
            vec![image, text("Please analyze the image above.")]
        }
        ASKING => {
            let answers = request.input_responses.as_ref();
            let Some(context) = asking::answered(answers, "user_context", "context") else {
                let question = asking::elicitation("What context should the prompt use?", "context", "string");
                let questions = BTreeMap::from([("user_context".to_owned(), question)]);
                return Ok(InputRequiredResult::from_input_requests(questions).into());
            };
            vec![text(&format!("In the context of {context}"))]
        }
        _ => return Err(invalid("there is no such prompt")),
    };
    let result: GetPromptResult = typed(json!({"resultType": "complete", "messages": messages}));
    Ok(result.into())
}
