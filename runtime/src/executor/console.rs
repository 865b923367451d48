//! The last look at a machine's console, before it is ended.

use std::time::Duration;

use tracing::warn;

use super::{Executor, LastLook, Message};
use crate::folder::ConsoleFile;
use crate::provider::ConsoleUse;

/// How long the look may take; the end of the machine waits for no longer.
const LOOK: Duration = Duration::from_secs(5);

impl Executor {
    /// Says what somebody should look at, and keeps all of what the console has said.
    pub(super) async fn look_at_console(&self, look: LastLook) {
        let life = &self.life;
        let spares = life.backend.provider.console_use() == ConsoleUse::AfterFailures;
        if look == LastLook::None || look == LastLook::ForSigns && spares {
            return;
        }
        let Some(said) = life.witness().console(LOOK).await else {
            return;
        };
        let lines = life.patterns.warnings(&said);
        if lines.is_empty() && look == LastLook::ForSigns {
            return;
        }
        let file = life.folder.as_ref().and_then(|folder| {
            let file = ConsoleFile::new(folder, &life.plan.cells[life.planned.cell].id, life.index);
            match file.write(&said) {
                Ok(()) => Some(file.relative().to_owned()),
                Err(error) => {
                    warn!(target: "dva", token = %life.token, %error, "a console is not kept");
                    None
                }
            }
        });
        if !lines.is_empty() || file.is_some() {
            self.say(Message::Console { lines, file });
        }
    }
}
