//! The breaker: when machines of one type in one region do not come up, one after the other, no more of them
//! are launched.
//!
//! How many in a row are too many is the dispatcher's business, which says so by an event. One that comes up
//! after all closes the breaker again; what was given up by then has its verdict.

use std::collections::BTreeMap;

use dva_plan::plan::{Machine, MachineIx};
use dva_plan::schedule::LifeIx;
use dva_plan::table::Table;
use dva_plan::{ExecutionPlan, FailureClass};

use super::{IllegalKind, LifePhase, RunState};
use crate::event::LifeTrouble;

/// What is known of machines that did not come up.
#[derive(Clone, Debug)]
pub(super) struct Breakers {
    /// For each machine the first one of its type and region, which stands for all of them.
    kinds: Table<MachineIx, MachineIx>,
    streaks: BTreeMap<MachineIx, Streak>,
}

/// Lives in a row that did not come up.
#[derive(Clone, Debug)]
struct Streak {
    lives: u32,
    /// What was wrong with the last one.
    trouble: LifeTrouble,
    message: String,
    is_open: bool,
}

impl Breakers {
    pub(super) fn of(plan: &ExecutionPlan) -> Self {
        let mut first: BTreeMap<(&str, &str), MachineIx> = BTreeMap::new();
        let kinds = plan.machines.enumerate();
        let kinds = kinds.map(|(index, Machine { region, r#type, .. })| {
            *first.entry((region, r#type)).or_insert(index)
        });
        Self {
            kinds: kinds.collect(),
            streaks: BTreeMap::new(),
        }
    }
}

impl LifeTrouble {
    /// Whether there was no machine to be had.
    fn is_of_supply(self) -> bool {
        match self {
            Self::Capacity | Self::Quota => true,
            Self::Cost | Self::Class(_) => false,
        }
    }

    /// Whether it keeps a machine from coming up in a way that others of its type may meet as well.
    fn keeps_from_coming_up(self) -> bool {
        match self {
            Self::Capacity | Self::Quota => true,
            Self::Cost => false,
            Self::Class(class) => matches!(
                class,
                FailureClass::BootCloudInit
                    | FailureClass::MachineAcquire
                    | FailureClass::SshConnectTimeout
            ),
        }
    }
}

impl RunState {
    /// What stands for the type and region that were planned for `life`.
    fn kind_of(&self, life: LifeIx) -> MachineIx {
        self.breakers.kinds[self.schedule.lives[life].machine]
    }

    /// The same of what is charged with its trouble: that no candidate was to be had keeps all lives from coming up
    /// that are planned like it, anything else those of the machine that was asked for.
    fn kind_charged(&self, life: LifeIx, trouble: LifeTrouble) -> MachineIx {
        match trouble.is_of_supply() {
            true => self.kind_of(life),
            false => self.breakers.kinds[self.lives[life].asked()],
        }
    }

    /// The machine of `life` has let us in.
    pub(super) fn comes_up(&mut self, life: LifeIx) {
        let had = self.breakers.kinds[self.lives[life].asked()];
        self.breakers.streaks.remove(&had);
        // Something was to be had for a life like this.
        let planned = self.kind_of(life);
        let streak = self.breakers.streaks.get(&planned);
        if streak.is_some_and(|streak| streak.trouble.is_of_supply()) {
            self.breakers.streaks.remove(&planned);
        }
    }

    /// `life` has failed; that counts where it never came up.
    pub(super) fn count_if_down(&mut self, life: LifeIx, trouble: LifeTrouble, message: &str) {
        let never_up = matches!(
            self.lives[life].phase(),
            LifePhase::Launching | LifePhase::Acquired
        );
        if !never_up || !trouble.keeps_from_coming_up() {
            return;
        }
        let kind = self.kind_charged(life, trouble);
        let before = self.breakers.streaks.get(&kind);
        let streak = Streak {
            lives: before.map_or(0, |streak| streak.lives) + 1,
            trouble,
            message: message.to_owned(),
            is_open: before.is_some_and(|streak| streak.is_open),
        };
        self.breakers.streaks.insert(kind, streak);
    }

    /// The machine of the plan that stands for the type and region of `life`, and how many of them in a row did
    /// not come up, where these are `most` or more and no event has said so yet.
    #[must_use]
    pub(crate) fn breaker_of(&self, life: LifeIx, most: u32) -> Option<(MachineIx, u32)> {
        let (trouble, _) = self.lives[life].trouble()?;
        let kind = self.kind_charged(life, trouble);
        let streak = self.breakers.streaks.get(&kind)?;
        (streak.lives >= most && !streak.is_open).then_some((kind, streak.lives))
    }

    /// Whether no more machines like that of `life` are launched.
    pub(super) fn is_given_up(&self, life: LifeIx) -> bool {
        self.is_kind_given_up(self.kind_of(life))
    }

    /// Whether no more machines like `machine` are launched.
    pub(super) fn is_kind_given_up(&self, machine: MachineIx) -> bool {
        let streak = self.breakers.streaks.get(&self.breakers.kinds[machine]);
        streak.is_some_and(|streak| streak.is_open)
    }

    /// No more machines like `machine` are launched: what is planned for them comes to what became of the last
    /// one.
    pub(super) fn give_up_machine(
        &mut self,
        machine: MachineIx,
        lives: u32,
    ) -> Result<(), IllegalKind> {
        if self.stopping.is_some() {
            return Err(IllegalKind::Stopping);
        }
        let unknown = IllegalKind::UnknownMachine;
        let Machine { r#type, region, .. } = self.plan.machines.get(machine).ok_or(unknown)?;
        let kind = self.breakers.kinds[machine];
        let streak = self.breakers.streaks.get_mut(&kind);
        let streak = streak.ok_or(IllegalKind::NotInARow)?;
        if streak.is_open || streak.lives != lives {
            return Err(IllegalKind::NotInARow);
        }
        streak.is_open = true;
        let verdict = streak.trouble.verdict();
        let message = format!(
            "{} {type} in {region} did not come up, so no more of them are started. {}",
            counted(lives),
            streak.message
        );
        let planned = self.lives.enumerate();
        let planned = planned.filter(|(life, state)| {
            state.phase() == LifePhase::Planned && self.kind_of(*life) == kind
        });
        let planned: Vec<LifeIx> = planned.map(|(life, _)| life).collect();
        for life in planned {
            self.give_up(life, &verdict, &message);
        }
        Ok(())
    }
}

/// The beginning of a sentence: how many machines there were.
fn counted(lives: u32) -> String {
    match lives {
        1 => "A machine of type".to_owned(),
        lives => format!("{lives} machines in a row of type"),
    }
}
