//! Subnets of a region: those that somebody named, or those of its default network.

use aws_sdk_ec2::types::Subnet;

use crate::bucket::Api;
use crate::call::CallError;
use crate::error::Meaning;
use crate::image::filter;
use crate::site::Site;

impl Site {
    /// These subnets; those of the default network, one a zone, where none is named.
    pub(crate) async fn subnets(&self, ids: &[String]) -> Result<Vec<Subnet>, CallError> {
        let call = self.line.client.describe_subnets();
        let call = match ids {
            [] => call.filters(filter("default-for-az", "true")),
            ids => call.set_subnet_ids(Some(ids.to_vec())),
        };
        let send = || call.clone().send();
        let answer = self.line.call(Api::Describe, 0, send).await?;
        Ok(answer.subnets.unwrap_or_default())
    }

    /// The ids of the subnets of the default network, looked up once.
    ///
    /// # Errors
    /// Of [`Meaning::Parameters`] where there is no such network.
    pub(crate) async fn default_subnets(&self) -> Result<Vec<String>, CallError> {
        let looked = self.default_subnets.get_or_try_init(|| self.subnets(&[]));
        let ids = looked.await?.iter().filter_map(|subnet| subnet.subnet_id());
        let ids: Vec<_> = ids.map(str::to_owned).collect();
        match ids.is_empty() {
            false => Ok(ids),
            true => Err(CallError::told(
                Meaning::Parameters,
                format!(
                    "there is no default network in {0}; name subnets in dva.toml: [network.default.region.{0}]",
                    self.line.region
                ),
            )),
        }
    }

    /// The network that a subnet is of.
    pub(crate) async fn network_of(&self, id: &str) -> Result<String, CallError> {
        let known = self.default_subnets.get().into_iter().flatten();
        let known = known.filter(|subnet| subnet.subnet_id() == Some(id));
        let known = known.filter_map(|subnet| subnet.vpc_id()).next();
        if let Some(network) = known {
            return Ok(network.to_owned());
        }
        let subnets = self.subnets(&[id.to_owned()]).await?;
        let network = subnets.first().and_then(|subnet| subnet.vpc_id());
        network.map(str::to_owned).ok_or_else(|| {
            let message = format!("there is no subnet {id} in {}", self.line.region);
            CallError::told(Meaning::Parameters, message)
        })
    }
}
