//! A call of an AWS API as the proxy sees it: what it asks for, of which region, with what.

use std::collections::BTreeMap;

use super::http::Request;

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which one of all calls, from 0.
    pub number: usize,
    /// The region it was signed for.
    pub region: String,
    /// What is to be done: `RunInstances`.
    pub action: String,
    /// With what, by the names of the form: `InstanceId.1`. Of services that speak JSON, its texts.
    pub parameters: BTreeMap<String, String>,
}

impl Call {
    /// The call that a request makes.
    pub fn of(request: &Request, number: usize) -> Self {
        let scope = request.header("authorization").unwrap_or_default();
        let region = scope.split('/').nth(2).unwrap_or_default().to_owned();
        let (action, parameters) = match request.header("x-amz-target") {
            Some(target) => {
                let action = target.rsplit('.').next().unwrap_or_default();
                (action.to_owned(), of_json(&request.body))
            }
            None => {
                let mut form = of_form(&request.body);
                (form.remove("Action").unwrap_or_default(), form)
            }
        };
        Self {
            number,
            region,
            action,
            parameters,
        }
    }

    /// What is given for a name; nothing where nothing is.
    pub fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }

    /// What is given for `name.1`, `name.2` and so on.
    pub fn list(&self, name: &str) -> Vec<&str> {
        let named = |number: u32| self.parameters.get(&format!("{name}.{number}"));
        (1..).map_while(named).map(String::as_str).collect()
    }

    /// Whether it only asks.
    pub fn is_look(&self) -> bool {
        self.action.starts_with("Describe") || self.action.starts_with("Get")
    }
}

fn of_json(body: &[u8]) -> BTreeMap<String, String> {
    let body: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(body).unwrap_or_default();
    let texts = body.into_iter();
    texts
        .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
        .collect()
}

fn of_form(body: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(body);
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

/// A text of a form without its escapes.
fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                let digits = String::from_utf8_lossy(&digits).into_owned();
                u8::from_str_radix(&digits, 16).unwrap_or(b'?')
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&plain).into_owned()
}
