//! Services of AWS that dva has no SDK for: one call each, in JSON, signed as AWS wants it; and the address that others
//! see us at.

use std::net::IpAddr;
use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_sdk_ec2::config::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde_json::Value;
use tokio::time::timeout;

use crate::account::CALL_LIMIT;
use crate::call::CallError;
use crate::error::Meaning;

/// A service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    /// Its name in addresses and signatures.
    name: &'static str,
    /// What stands before the names of its calls.
    target: &'static str,
}

/// AWS Systems Manager, for public parameters.
pub(crate) const SSM: Service = Service {
    name: "ssm",
    target: "AmazonSSM",
};
/// Service Quotas.
pub(crate) const QUOTAS: Service = Service {
    name: "servicequotas",
    target: "ServiceQuotasV20190624",
};

/// Whose account a call is made with, and where.
pub(crate) struct Caller<'c> {
    pub(crate) sdk: &'c SdkConfig,
    pub(crate) region: &'c str,
    pub(crate) partition: &'c str,
}

impl Caller<'_> {
    /// Makes a call of a service.
    ///
    /// # Errors
    /// What the service answered instead; [`Meaning::Unauthorised`] where there are no credentials.
    pub(crate) async fn call(
        &self,
        service: Service,
        action: &str,
        body: &Value,
    ) -> Result<Value, CallError> {
        let request = self.signed(service, action, &body.to_string()).await?;
        let (is_success, answer) = fetch(request).await?;
        let answer: Value = serde_json::from_slice(&answer).map_err(|error| {
            let message = format!("{} does not answer in JSON: {error}", service.name);
            CallError::told(Meaning::Transient, message)
        })?;
        match is_success {
            true => Ok(answer),
            false => Err(refused(&answer)),
        }
    }

    async fn signed(
        &self,
        service: Service,
        action: &str,
        body: &str,
    ) -> Result<HttpRequest, CallError> {
        let no_account = |why: String| CallError::told(Meaning::Unauthorised, why);
        let provider = self
            .sdk
            .credentials_provider()
            .ok_or_else(|| no_account("there are no credentials".to_owned()))?;
        let credentials = provider.provide_credentials().await;
        let identity = credentials
            .map_err(|error| no_account(format!("there are no credentials: {error}")))?
            .into();
        let url = self.url(service);
        let target = format!("{}.{action}", service.target);
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target.as_str()),
        ];
        let wrong = |error: String| CallError::told(Meaning::Parameters, error);
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(service.name)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| wrong(error.to_string()))?
            .into();
        let bytes = SignableBody::Bytes(body.as_bytes());
        let signable = SignableRequest::new("POST", url.as_str(), headers.into_iter(), bytes);
        let signable = signable.map_err(|error| wrong(error.to_string()))?;
        let signed = sign(signable, &parameters).map_err(|error| wrong(error.to_string()))?;
        let mut request = HttpRequest::new(SdkBody::from(body));
        let told = request
            .set_method("POST")
            .map_err(|error| error.to_string());
        told.map_err(wrong)?;
        let told = request
            .set_uri(url.as_str())
            .map_err(|error| error.to_string());
        told.map_err(wrong)?;
        let (instructions, _) = signed.into_parts();
        let of_signature = instructions.headers();
        let all = headers.into_iter().chain(of_signature);
        for (name, value) in all {
            request
                .headers_mut()
                .insert(name.to_owned(), value.to_owned());
        }
        Ok(request)
    }

    /// Where a service of the region is.
    fn url(&self, service: Service) -> String {
        if let Some(url) = self.sdk.endpoint_url() {
            return url.to_owned();
        }
        let suffix = match self.partition {
            "aws-cn" => "amazonaws.com.cn",
            _ => "amazonaws.com",
        };
        format!("https://{}.{}.{suffix}/", service.name, self.region)
    }
}

/// The id that a public parameter holds.
///
/// # Errors
/// As [`Caller::call`]; of [`Meaning::Gone`] where there is no such parameter.
pub(crate) async fn parameter(caller: &Caller<'_>, name: &str) -> Result<String, CallError> {
    let body = serde_json::json!({ "Name": name });
    let answer = caller.call(SSM, "GetParameter", &body).await?;
    let value = answer.pointer("/Parameter/Value").and_then(Value::as_str);
    value.map(str::to_owned).ok_or_else(|| {
        CallError::told(
            Meaning::Unknown,
            format!("the parameter {name} has no value"),
        )
    })
}

/// The address that AWS sees us at.
///
/// # Errors
/// [`CallError`]: nobody could tell.
pub async fn own_address() -> Result<IpAddr, CallError> {
    const ASKED: &str = "https://checkip.amazonaws.com/";
    let wrong = |error: String| CallError::told(Meaning::Transient, format!("{ASKED}: {error}"));
    let request = HttpRequest::get(ASKED).map_err(|error| wrong(error.to_string()))?;
    let (_, answer) = fetch(request).await?;
    let text = String::from_utf8_lossy(&answer);
    text.trim()
        .parse()
        .map_err(|_| wrong("it does not answer with an address".to_owned()))
}

/// Whether a request was answered with success, and the answer.
async fn fetch(request: HttpRequest) -> Result<(bool, Vec<u8>), CallError> {
    let fetched = async {
        let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
        let connector = Connector::builder().tls_provider(provider).build();
        let answer = connector
            .call(request)
            .await
            .map_err(|error| error.to_string())?;
        let is_success = answer.status().is_success();
        let body = ByteStream::new(answer.into_body()).collect().await;
        let body = body.map_err(|error| error.to_string())?;
        Ok((is_success, body.to_vec()))
    };
    let fetched = timeout(CALL_LIMIT, fetched).await;
    let fetched = fetched.unwrap_or_else(|_| Err("there was no answer in time".to_owned()));
    fetched.map_err(|why: String| CallError::told(Meaning::Transient, why))
}

/// What a service says instead of answering.
fn refused(answer: &Value) -> CallError {
    let text = |keys: [&str; 2]| {
        let mut values = keys.iter().filter_map(|key| answer.get(key)?.as_str());
        values.next().unwrap_or_default().to_owned()
    };
    let code = text(["__type", "code"]);
    // It may stand behind the name of its kind.
    let code = code
        .rsplit_once('#')
        .map_or(code.as_str(), |(_, code)| code);
    let words = text(["message", "Message"]);
    let mut error = CallError::answered(
        code,
        if words.is_empty() {
            "no more is said"
        } else {
            &words
        },
    );
    if ["ParameterNotFound", "NoSuchResourceException"].contains(&code) {
        error.meaning = Meaning::Gone;
    }
    error
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_service_refuses_is_told_by_its_code() {
        let answer = json!({ "__type": "com.amazonaws.ssm#ParameterNotFound" });
        assert_eq!(refused(&answer).meaning, Meaning::Gone);
        let answer = json!({ "__type": "AccessDeniedException", "Message": "no." });
        let error = refused(&answer);
        assert_eq!(error.meaning, Meaning::Unauthorised);
        assert_eq!(error.message, "AccessDeniedException: no");
        assert_eq!(refused(&json!({})).meaning, Meaning::Unknown);
    }

    #[test]
    fn services_are_where_their_partition_is() {
        let sdk = SdkConfig::builder().build();
        let url = |region, partition| {
            Caller {
                sdk: &sdk,
                region,
                partition,
            }
            .url(SSM)
        };
        assert_eq!(
            url("eu-west-1", "aws"),
            "https://ssm.eu-west-1.amazonaws.com/"
        );
        assert_eq!(
            url("cn-north-1", "aws-cn"),
            "https://ssm.cn-north-1.amazonaws.com.cn/"
        );
    }
}
