//! Simulated lives: what is asked under each token, what was told about it, and the machines that are
//! there because of it. All of it changes at once or not at all; nothing here waits.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use dva_plan::TestId;
use dva_plan::plan::{CellIx, DiskIx, Machine};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fault::LifeFault;
use super::script::Life;
use crate::provider::{AcquireErrorKind, AttachedDisk};

/// What a kernel says that gives up, as Linux has it.
const PANIC: &str = "\
[  133.514702] Kernel panic - not syncing: the simulator was told so
[  133.514733] CPU: 0 PID: 1 Comm: systemd Not tainted
[  133.514751] Call Trace:
[  133.514760]  panic+0x31b/0x4c5
[  133.514771] ---[ end Kernel panic - not syncing: the simulator was told so ]---
";

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
    /// What is asked for.
    of: Machine,
    /// How often it was asked for.
    asked: u32,
    /// When its machine was started.
    started: Option<Instant>,
    /// When that was gone.
    ended: Option<Instant>,
    /// Whether its provider took its machine back.
    pub(super) was_taken: bool,
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
    /// When it ends itself.
    pub(super) ends: Instant,
    /// Tells whoever waits for that when it has gone before.
    pub(super) gone: CancellationToken,
}

/// How long a simulated machine was there.
#[derive(Clone, Debug)]
pub struct SimSpan {
    /// What it was asked for under.
    pub token: String,
    /// What it was.
    pub machine: Machine,
    /// From when.
    pub started: Instant,
    /// Until when, unless it is there still.
    pub ended: Option<Instant>,
}

/// A machine that is asked for.
#[derive(Clone, Copy)]
pub(super) struct Begun {
    /// Which of the lives of its cell it is.
    pub(super) number: u32,
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
    /// and so of the cell, and whether it is asked for the first machine under its token.
    pub(super) fn begin(
        &mut self,
        token: &str,
        cell: CellIx,
        (of, lifetime): (&Machine, Duration),
        told: impl Fn(u32, bool) -> Life,
    ) -> Result<Begun, (AcquireErrorKind, &'static str)> {
        let Self { lives, of_cells } = self;
        let life = lives.entry(token.to_owned()).or_insert_with(|| {
            let next = of_cells.entry(cell).or_default();
            let number = *next;
            *next += 1;
            SimLife {
                cell,
                number,
                told: told(number, true),
                of: of.clone(),
                asked: 0,
                started: None,
                ended: None,
                was_taken: false,
                begun: HashSet::new(),
                machine: None,
            }
        });
        if life.of != *of && life.started.is_none() {
            (life.of, life.asked) = (of.clone(), 0);
            life.told = told(life.number, false);
        }
        life.asked += 1;
        let (number, told) = (life.number, life.told);
        if life.machine.is_some() {
            let is_new = false;
            return Ok(Begun {
                number,
                told,
                is_new,
            });
        }
        if life.started.is_some() {
            return Err((AcquireErrorKind::Broken, "its machine has gone"));
        }
        let refusal = told.fault.and_then(|fault| fault.refusal(life.asked));
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        let now = Instant::now();
        life.started = Some(now);
        let copies = 1 + usize::from(told.fault == Some(LifeFault::Twice));
        life.machine = Some(SimMachine::new(copies, now + lifetime));
        let is_new = true;
        Ok(Begun {
            number,
            told,
            is_new,
        })
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

    /// All machines that there ever were.
    pub(super) fn spans(&self) -> Vec<SimSpan> {
        let lives = self.lives.iter();
        let spans = lives.filter_map(|(token, life)| {
            Some(SimSpan {
                token: token.clone(),
                machine: life.of.clone(),
                started: life.started?,
                ended: life.ended,
            })
        });
        spans.collect()
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
    /// Its provider takes its machine back.
    pub(super) fn take_back(&mut self) {
        self.was_taken = true;
        self.lose();
    }

    /// Its machine has gone, and every connection to it.
    pub(super) fn lose(&mut self) {
        if let Some(machine) = self.machine.take() {
            machine.down.cancel();
            machine.gone.cancel();
            self.ended = Some(Instant::now());
        }
    }
}

impl SimMachine {
    fn new(copies: usize, ends: Instant) -> Self {
        let mut machine = Self {
            copies,
            boots: None,
            last_boots: 0,
            down: CancellationToken::new(),
            console: String::new(),
            disks: BTreeMap::new(),
            attached: BTreeSet::new(),
            ends,
            gone: CancellationToken::new(),
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

    /// Its kernel gives up with these words: it stays where it is and says nothing more.
    pub(super) fn panic(&mut self, words: Option<&str>) {
        self.go_down();
        self.says(words.unwrap_or(PANIC));
    }

    /// It writes something on its console.
    pub(super) fn says(&mut self, text: &str) {
        for line in text.lines() {
            self.console.push_str(line);
            self.console.push_str("\r\n");
        }
    }

    pub(super) fn attach(&mut self, disk: DiskIx) -> AttachedDisk {
        let next = ('b'..='z').nth(self.disks.len()).unwrap_or('z');
        let letter = *self.disks.entry(disk).or_insert(next);
        self.attached.insert(disk);
        AttachedDisk {
            disk,
            device: format!("/dev/sd{letter}"),
            serial: None,
        }
    }
}
