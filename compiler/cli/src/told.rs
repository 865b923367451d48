//! What a run is told on the command line, as its journal keeps it: enough for another process to go on with
//! it. No secrets: these are bound again.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use dva_plan::money::Money;
use dva_plan::{ExecutionPlan, ExitCode, RunId};
use dva_runtime::clock::WallTime;
use dva_runtime::options::{Keep, RunOptions};
use dva_runtime::provider::Backend;
use dva_runtime::sim::SimScript;
use serde::{Deserialize, Serialize};

use crate::args::{BoundArguments, KeepWhich, ProviderName};
use crate::basis::Basis;
use crate::config::Config;
use crate::failure::Failure;
use crate::{inputs, providers, secrets};

/// How likely each life and each command is to meet a fault with `--faults`, in thousandths.
const FAULTS_PERMILLE: u32 = 20;

/// How long a machine of EC2 may take from when its SSH port answers until its first boot is done.
const EC2_CONNECT: Duration = Duration::from_secs(300);

/// What a run is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    pub provider: ProviderName,
    pub hosts: Vec<String>,
    /// The simulator's script.
    pub script: Option<ScriptText>,
    /// From which numbers the simulator draws faults.
    pub faults: Option<u64>,
    pub keep: Option<KeepWhich>,
    pub max_failures: Option<NonZeroUsize>,
    /// The most that it may cost, but for what its plan says.
    pub max_cost: Option<Money>,
    #[serde(default)]
    pub max_failures_per_image: Option<NonZeroUsize>,
    /// Whether machines of EC2 get no timer.
    #[serde(default)]
    pub no_deadman: bool,
    /// Whether the script was written for a plan of which this is a part.
    #[serde(default)]
    pub is_part: bool,
}

/// A script of the simulator as it was read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScriptText {
    pub path: String,
    pub text: String,
}

impl Told {
    /// The same for a run of a part of its plan.
    pub fn for_part(&self) -> Self {
        Self {
            is_part: true,
            ..self.clone()
        }
    }

    /// The same with these bounds, and those of the configuration.
    pub fn bounded(self, bounds: &BoundArguments, config: &Config) -> Self {
        Self {
            max_failures: bounds.max_failures,
            max_cost: bounds.max_cost.into_iter().chain(config.max_cost()).min(),
            max_failures_per_image: bounds.max_failures_per_image,
            ..self
        }
    }

    /// Whose past runs say what a run of `plan` takes. Hosts are in no estimate, so what they took counts only where
    /// it is asked for.
    pub fn history_of(&self, plan: &ExecutionPlan) -> Option<&'static str> {
        let of_provider = || providers::history_for(plan, Some(self.provider));
        self.hosts.is_empty().then(of_provider).flatten()
    }

    /// As the journal keeps it.
    pub fn to_text(&self) -> String {
        // It has no map with keys that are no texts, and nothing else cannot be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What a journal kept.
    pub fn read(text: &str) -> Result<Self, Failure> {
        serde_json::from_str(text).map_err(|error| {
            let message =
                format!("The journal's record of how the run began cannot be read: {error}.");
            Failure::new(ExitCode::Plan, message)
        })
    }

    /// The machines and the way to them. A simulator's take as long as was measured of others, where the run is packed
    /// with that.
    pub fn backend(&self, config: &Config, basis: &Basis) -> Result<Backend, Failure> {
        if !self.hosts.is_empty() {
            return providers::hosts(config, &self.hosts);
        }
        match self.provider {
            ProviderName::Local => providers::local(config),
            ProviderName::Ec2 => providers::ec2(config, &basis.plan.body, self.no_deadman),
            ProviderName::Sim => {
                let plan = Arc::new(basis.plan.body.clone());
                let script = self.script(&plan)?;
                let script = match basis.boot_ms() {
                    Some(boot_ms) => script.with_usual_boot(boot_ms),
                    None => script,
                };
                Ok(providers::simulator(&plan, script))
            }
        }
    }

    /// The simulator's script; an empty one where none is given.
    pub fn script(&self, plan: &ExecutionPlan) -> Result<SimScript, Failure> {
        let script = match &self.script {
            Some(script) => {
                let parsed = match self.is_part {
                    true => SimScript::parse_for_part(&script.text, plan),
                    false => SimScript::parse(&script.text, plan),
                };
                parsed.map_err(|error| {
                    Failure::new(ExitCode::Invocation, format!("{}: {error}", script.path))
                })?
            }
            None => SimScript::default(),
        };
        Ok(match self.faults {
            Some(seed) => script.with_faults(seed, FAULTS_PERMILLE),
            None => script,
        })
    }

    /// The options of a controller that begins now.
    pub fn options(
        &self,
        config: &Config,
        plan: &ExecutionPlan,
        run: RunId,
        now: WallTime,
    ) -> Result<RunOptions, Failure> {
        let mut options = RunOptions::new(run, now);
        options.inputs = inputs::bind(config, plan)?;
        options.secrets = secrets::bind(config, plan)?;
        options.keep = match self.keep {
            None => Keep::Never,
            Some(KeepWhich::OnFailure) => Keep::OnFailure,
            Some(KeepWhich::Always) => Keep::Always,
        };
        options.machines = NonZeroUsize::new(self.hosts.len());
        options.max_failures = self.max_failures;
        options.max_cost = self.max_cost;
        options.max_failures_per_image = self.max_failures_per_image;
        if !self.hosts.is_empty() {
            // The plan says of what type a host is: one that is down tells nothing of the others.
            options.breaker = None;
        }
        options.console = Arc::clone(&config.console.ignore.patterns);
        if self.provider == ProviderName::Ec2 {
            // Its first boot, and what its user data does there, is waited for.
            options.limits.connect = EC2_CONNECT;
        }
        if let Some(within) = config.ssh.connect_within {
            options.limits.connect = within.0;
        }
        Ok(options)
    }
}
