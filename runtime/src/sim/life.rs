//! Simulated lives: what is asked under each token, what was told about it, and the machines that are
//! there because of it. All of it changes at once or not at all; nothing here waits.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use dva_plan::TestId;
use dva_plan::plan::{CellIx, DiskIx};
use tokio_util::sync::CancellationToken;

use super::fault::LifeFault;
use super::script::Life;
use crate::provider::{AcquireErrorKind, AttachedDisk};

/// All lives that were asked for, by token.
#[derive(Default)]
pub(super) struct SimLives {
    lives: HashMap<String, SimLife>,
    /// How many of each cell there were.
    of_cells: BTreeMap<CellIx, u32>,
}

/// What was asked for under one token.
pub(super) struct SimLife {
    pub(super) cell: CellIx,
    /// Which of the lives of its cell it is, from 0.
    pub(super) number: u32,
    pub(super) told: Life,
    /// How often it was asked for.
    asked: u32,
    was_started: bool,
    /// Which tests have begun on it.
    pub(super) begun: HashSet<TestId>,
    /// The machine, while it is there.
    pub(super) machine: Option<SimMachine>,
}

/// A machine that is there.
pub(super) struct SimMachine {
    /// How many there are under its token. Only one of them is ever spoken to.
    copies: usize,
    /// How often it has booted since its start; absent while it is stopped.
    pub(super) boots: Option<u32>,
    /// How often it had booted when it was stopped.
    last_boots: u32,
    /// Ends every connection of this boot.
    pub(super) down: CancellationToken,
    pub(super) console: String,
    /// The letters of the disks that it has had, in the order of their numbers.
    disks: BTreeMap<DiskIx, char>,
    pub(super) attached: BTreeSet<DiskIx>,
}

/// A machine that is asked for.
#[derive(Clone, Copy)]
pub(super) struct Begun {
    pub(super) told: Life,
    /// Whether it was started only now.
    pub(super) is_new: bool,
}

/// What becomes of a machine that is to be ended.
pub(super) enum Parting {
    /// There is none.
    Absent,
    /// It is ended.
    Ended(Life),
    /// It, or another of its token, is still there.
    Stays(&'static str),
}

impl SimLives {
    /// Starts the machine of a token where that is wanted: `told` says what is told about life number so
    /// and so of the cell.
    pub(super) fn begin(
        &mut self,
        token: &str,
        cell: CellIx,
        told: impl FnOnce(u32) -> Life,
    ) -> Result<Begun, (AcquireErrorKind, &'static str)> {
        let Self { lives, of_cells } = self;
        let life = lives.entry(token.to_owned()).or_insert_with(|| {
            let next = of_cells.entry(cell).or_default();
            let number = *next;
            *next += 1;
            SimLife {
                cell,
                number,
                told: told(number),
                asked: 0,
                was_started: false,
                begun: HashSet::new(),
                machine: None,
            }
        });
        life.asked += 1;
        let told = life.told;
        if life.machine.is_some() {
            let is_new = false;
            return Ok(Begun { told, is_new });
        }
        if life.was_started {
            return Err((AcquireErrorKind::Broken, "its machine has gone"));
        }
        let refusal = told.fault.and_then(|fault| fault.refusal(life.asked));
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        life.was_started = true;
        let copies = 1 + usize::from(told.fault == Some(LifeFault::Twice));
        life.machine = Some(SimMachine::new(copies));
        let is_new = true;
        Ok(Begun { told, is_new })
    }

    /// Ends the machine of a token.
    pub(super) fn end(&mut self, token: &str) -> Parting {
        let Some(life) = self.lives.get_mut(token) else {
            return Parting::Absent;
        };
        match &mut life.machine {
            None => return Parting::Absent,
            Some(_) if life.told.fault == Some(LifeFault::Release) => {
                return Parting::Stays("the simulator was told to keep it");
            }
            Some(machine) if machine.copies > 1 => {
                machine.copies -= 1;
                return Parting::Stays("there was another one under its token");
            }
            Some(_) => {}
        }
        life.lose();
        Parting::Ended(life.told)
    }

    /// The life of a token.
    pub(super) fn of(&mut self, token: &str) -> Option<&mut SimLife> {
        self.lives.get_mut(token)
    }

    /// The machine of a token.
    pub(super) fn machine(&mut self, token: &str) -> Option<&mut SimMachine> {
        self.lives.get_mut(token)?.machine.as_mut()
    }

    /// The tokens of all machines that are there, sorted.
    pub(super) fn machines(&self) -> Vec<String> {
        let there = self.lives.iter().flat_map(|(token, life)| {
            let copies = life.machine.as_ref().map_or(0, |machine| machine.copies);
            std::iter::repeat_n(token.clone(), copies)
        });
        let mut there: Vec<String> = there.collect();
        there.sort_unstable();
        there
    }
}

impl SimLife {
    /// Its machine has gone, and every connection to it.
    pub(super) fn lose(&mut self) {
        if let Some(machine) = self.machine.take() {
            machine.down.cancel();
        }
    }
}

impl SimMachine {
    fn new(copies: usize) -> Self {
        let mut machine = Self {
            copies,
            boots: None,
            last_boots: 0,
            down: CancellationToken::new(),
            console: String::new(),
            disks: BTreeMap::new(),
            attached: BTreeSet::new(),
        };
        machine.come_up(0);
        machine
    }

    pub(super) fn go_down(&mut self) {
        self.down.cancel();
        self.last_boots = self.boots.take().unwrap_or(self.last_boots);
    }

    pub(super) fn boot(&mut self) {
        self.come_up(self.last_boots + 1);
    }

    pub(super) fn reboot(&mut self) {
        self.go_down();
        self.boot();
    }

    fn come_up(&mut self, boots: u32) {
        self.down = CancellationToken::new();
        self.boots = Some(boots);
        self.console
            .push_str(&format!("simulated boot {boots}\r\n"));
    }

    /// Its kernel gives up: it stays where it is and says nothing more.
    pub(super) fn panic(&mut self) {
        self.go_down();
        self.console
            .push_str("Kernel panic - not syncing: the simulator was told so\r\n");
    }

    pub(super) fn attach(&mut self, disk: DiskIx) -> AttachedDisk {
        let next = ('b'..='z').nth(self.disks.len()).unwrap_or('z');
        let letter = *self.disks.entry(disk).or_insert(next);
        self.attached.insert(disk);
        AttachedDisk {
            disk,
            device: format!("/dev/sd{letter}"),
        }
    }
}
