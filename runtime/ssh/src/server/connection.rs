//! One connection: who may log in and what they may ask for.

use std::collections::BTreeMap;
use std::sync::Arc;

use russh::keys::ssh_key::public::KeyData;
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, Pty};

use crate::server::{ExecHook, command, sftp};

/// The one user.
const USER: &str = "root";

/// The state of one connection.
pub(super) struct Connection {
    authorized: Arc<[KeyData]>,
    hook: Arc<dyn ExecHook>,
    /// Channels that were opened and have not been given a command.
    idle: BTreeMap<ChannelId, Channel<Msg>>,
}

impl Connection {
    pub(super) fn new(authorized: Arc<[KeyData]>, hook: Arc<dyn ExecHook>) -> Self {
        Self {
            authorized,
            hook,
            idle: BTreeMap::new(),
        }
    }

    fn judge(&self, user: &str, key: &KeyData) -> Auth {
        if user == USER && self.authorized.contains(key) {
            Auth::Accept
        } else {
            Auth::reject()
        }
    }
}

/// What is not overridden is refused: other ways to authenticate and other kinds of channels.
impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.judge(user, offer.public_key.key_data()))
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.judge(user, key.public_key.key_data()))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.idle.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.idle.remove(&channel);
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.idle.remove(&channel) {
            // In a task that knows no connection: a command outlives the one it came by.
            Some(channel) => {
                tokio::spawn(command::run(
                    channel,
                    session.handle(),
                    command.to_vec(),
                    Arc::clone(&self.hook),
                ));
                Ok(())
            }
            None => session.channel_failure(channel),
        }
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if name != "sftp" {
            return session.channel_failure(channel);
        }
        match self.idle.remove(&channel) {
            Some(idle) => {
                session.channel_success(channel)?;
                sftp::serve(idle);
                Ok(())
            }
            None => session.channel_failure(channel),
        }
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        _value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _pixel_width: u32,
        _pixel_height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single_connection: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }
}
