//! What moto does not answer, or not as EC2 does.

use std::collections::{BTreeMap, BTreeSet};

use base64ct::{Base64, Encoding};

use super::call::Call;
use super::http::Answer;
use super::instance::Volume;
use super::{Shared, fault, xml};

/// Calls that had a client token, by region, action and token.
///
/// Source: EC2 API reference, *Ensuring idempotency*.
#[derive(Default)]
pub(super) struct Tokens(BTreeMap<(String, String, String), Given>);

/// A call and what it was answered.
struct Given {
    parameters: BTreeMap<String, String>,
    answer: Answer,
}

impl Tokens {
    /// The answer to a call whose token was used before.
    pub(super) fn answer(&self, call: &Call, terminated: &BTreeSet<String>) -> Option<Answer> {
        let given = self.0.get(&key(call))?;
        if given.parameters != call.parameters {
            return Some(refusal("IdempotentParameterMismatch"));
        }
        let text = given.answer.text();
        let ids = xml::texts(&text, "instanceId");
        if !ids.is_empty() && ids.iter().all(|id| terminated.contains(*id)) {
            return Some(refusal("IdempotentInstanceTerminated"));
        }
        Some(given.answer.clone())
    }

    /// Notes a call that went well.
    pub(super) fn note(&mut self, call: &Call, answer: &Answer) {
        if answer.is_ok() {
            let given = Given {
                parameters: call.parameters.clone(),
                answer: answer.clone(),
            };
            self.0.insert(key(call), given);
        }
    }
}

fn key(call: &Call) -> (String, String, String) {
    let token = call.parameter("ClientToken").to_owned();
    (call.region.clone(), call.action.clone(), token)
}

fn refusal(code: &str) -> Answer {
    Answer::xml(fault::status(code), xml::error(code))
}

impl Shared {
    /// The answer to what moto is not asked.
    pub(super) async fn without_moto(&self, call: &Call) -> Option<Answer> {
        if call.parameter("DryRun") == "true" {
            return Some(refusal("DryRunOperation"));
        }
        match call.action.as_str() {
            "GetConsoleOutput" => Some(self.console(call).await),
            "GetParameter" => {
                let name = call.parameter("Name");
                let value = self.known().parameters.get(name).cloned();
                Some(parameter(name, value.as_deref()))
            }
            "GetServiceQuota" => {
                let code = call.parameter("QuotaCode");
                let value = self.known().quotas.get(code).copied();
                Some(quota(call.parameter("ServiceCode"), code, value))
            }
            _ => None,
        }
    }

    /// What a machine says on its console: as cloud-init does, its host key, once it has one.
    async fn console(&self, call: &Call) -> Answer {
        let id = call.parameter("InstanceId");
        let told = self.known().console.clone();
        let said = match (told, self.instance(id)) {
            (Some(told), _) => told,
            (None, Some(instance)) => match instance.host_key().await {
                Some(key) => format!(
                    "[    7.1] cloud-init[700]: Cloud-init running 'modules:final'\r\n\
                     -----BEGIN SSH HOST KEY KEYS-----\r\n{key} root@{id}\r\n\
                     -----END SSH HOST KEY KEYS-----\r\n"
                ),
                None => String::new(),
            },
            (None, None) => return refusal("InvalidInstanceID.NotFound"),
        };
        let output = Base64::encode_string(said.as_bytes());
        Answer::xml(
            200,
            format!(
                "<GetConsoleOutputResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
                 <requestId>0</requestId><instanceId>{id}</instanceId>\
                 <timestamp>2026-11-28T15:00:00.000Z</timestamp><output>{output}</output>\
                 </GetConsoleOutputResponse>"
            ),
        )
    }
}

fn parameter(name: &str, value: Option<&str>) -> Answer {
    match value {
        Some(value) => Answer::json(
            200,
            serde_json::json!({"Parameter": {
                "Name": name, "Type": "String", "Value": value, "Version": 1,
            }})
            .to_string(),
        ),
        None => Answer::json(400, "{\"__type\": \"ParameterNotFound\"}".to_owned()),
    }
}

fn quota(service: &str, code: &str, value: Option<u32>) -> Answer {
    match value {
        Some(value) => Answer::json(
            200,
            serde_json::json!({"Quota": {
                "ServiceCode": service, "QuotaCode": code, "Value": value,
            }})
            .to_string(),
        ),
        None => Answer::json(400, "{\"__type\": \"NoSuchResourceException\"}".to_owned()),
    }
}

/// The answer to a call that detaches a volume which is in use.
pub(super) fn detaching(call: &Call) -> Answer {
    let volume = call.parameter("VolumeId");
    Answer::xml(
        200,
        format!(
            "<DetachVolumeResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
             <requestId>0</requestId><volumeId>{volume}</volumeId><status>detaching</status>\
             </DetachVolumeResponse>"
        ),
    )
}

/// The extra volumes that a call launches an instance with, as that instance is shown.
pub(super) fn extra_volumes(call: &Call, shown: &str) -> Vec<Volume> {
    let mapping = |number: u32| format!("BlockDeviceMapping.{number}");
    // The first is the root disk.
    let asked = (2..).map_while(|number| {
        let name = call
            .parameters
            .get(&format!("{}.DeviceName", mapping(number)))?;
        let size = call.parameter(&format!("{}.Ebs.VolumeSize", mapping(number)));
        Some((name, size.parse().unwrap_or(1)))
    });
    let devices = xml::parts(shown, "deviceName");
    let volume_at = |name: &str| {
        let mut devices = devices.iter();
        let device = devices.find(|part| xml::text(part, "deviceName") == Some(name))?;
        xml::text(device, "volumeId").map(str::to_owned)
    };
    asked
        .filter_map(|(name, gibibytes)| {
            Some(Volume {
                id: volume_at(name)?,
                name: name.clone(),
                gibibytes,
            })
        })
        .collect()
}

/// A text that was encoded for a form.
pub(super) fn decoded(text: &str) -> String {
    let bytes = Base64::decode_vec(text).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
