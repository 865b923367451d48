#!/bin/sh
# Measures the floor of commands over SSH on OpenSSH's sshd and on the embedded server:
#
#     sudo runtime/ssh/benches/floor.sh
#
# With a built `dva` as its argument, whole runs of 60 tests by `dva run --hosts` are measured beside
# them, in the same rounds:
#
#     cargo build --release -p dva && sudo runtime/ssh/benches/floor.sh target/release/dva
#
# sshd runs on the loopback device with settings of its own, for a second account with uid 0, bash and
# no .bashrc. The account is there in a mount namespace alone, so nothing is left behind.
set -eu

test $# = 0 || DVA_FLOOR_DVA=$(realpath "$1")
test $# = 0 || export DVA_FLOOR_DVA
folder=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server"; rm -rf "$folder"' EXIT
port=${DVA_FLOOR_PORT:-22022}
mkdir "$folder/home"
ssh-keygen -q -t ed25519 -N '' -C '' -f "$folder/key"
ssh-keygen -q -t ed25519 -N '' -C '' -f "$folder/host"
cat /etc/passwd - >"$folder/passwd" <<END
dvafloor:*:0:0::$folder/home:/bin/bash
END
cat >"$folder/config" <<END
ListenAddress 127.0.0.1
Port $port
HostKey $folder/host
AuthorizedKeysFile $folder/key.pub
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PidFile none
LogLevel ERROR
END
unshare --mount sh -c '
    mount --bind "$1/passwd" /etc/passwd
    mount -t tmpfs tmpfs /run
    mkdir -m 755 /run/sshd
    exec /usr/sbin/sshd -D -e -f "$1/config"
' sh "$folder" &
server=$!
# It says nothing once it listens.
until ssh-keyscan -p "$port" 127.0.0.1 >"$folder/scan" 2>&1 && test -s "$folder/scan"; do
    sleep 0.1
done
DVA_FLOOR_HOST=dvafloor@127.0.0.1:$port DVA_FLOOR_FOLDER=$folder \
    cargo bench -p dva-ssh --bench floor
