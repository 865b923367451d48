//! The environment of a step: what text the login's shell is given, and how processes are found again.
//!
//! Steps run under `/bin/sh -c`, never a login shell, with a fixed `PATH`, `LC_ALL=C`, `TERM=dumb`,
//! umask 022, nothing on standard input, in a working directory that is fresh for each test. `TZ` and
//! all else of the login's environment is left alone.
//!
//! Every process of an execution carries its mark in its environment, as `DVA_EXECUTION`. That is how
//! it is found and stopped, since closing a channel kills nothing. A process that clears its
//! environment, as a daemon may that was started clean, hides from this: it is neither stopped nor
//! reported.
//!
//! Steps run as root, whatever the login is, or as the user that the author named. Values of
//! `with` come through standard input, so that no list of processes shows them.
//!
//! Every program that a machine starts for a step costs it about a millisecond. A login's shell that
//! has shown that it does as a shell of POSIX makes the surroundings of a step itself and becomes the
//! step's shell at once; any other is only asked to become `env`, which every shell understands.

use std::collections::BTreeMap;
use std::fmt;

use dva_plan::plan::TestIx;
use dva_plan::schedule::LifeIx;
use dva_plan::template::push_single_quoted;
use dva_plan::{CellId, TestId};

use crate::excerpt::escape;

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How working directories begin. Not below `/tmp`, which machines may keep in memory, and none in
/// another, so nothing is left when one is removed.
const FOLDER: &str = "/var/tmp/dva-";
/// The variable that carries the mark.
const MARK: &str = "DVA_EXECUTION";
/// How long processes have to end after they were asked to, in seconds.
const GRACE_S: u32 = 5;

/// Makes the working directory, waits for device nodes (5 s in all), takes in what is fed where `$3` is
/// `fed`, becomes the command `$1`, as the user `$2` where there is one. Its other arguments are the
/// nodes.
///
/// What is fed may set any variable, so from there on nothing is kept but in arguments. `runuser` and
/// `su` take these options alike, on every system that has one of them; both leave the environment as
/// it is but for the user's own variables, and some an own `PATH`.
const ENTER: &str = r#"umask 022
[ -d "$DVA_TMP" ] || mkdir -p "$DVA_TMP" || exit
cd "$DVA_TMP" || exit
command=$1
user=$2
fed=$3
shift 3
tries=50
for node do
  until [ -e "$node" ] || [ "$tries" -le 0 ]; do
    sleep 0.1
    tries=$((tries - 1))
  done
done
[ -z "$user" ] || become=$(command -v runuser || command -v su) || exit
set -- "$command" "$user" "$become" "$fed"
unset command user become fed tries node
if [ "$4" ]; then
  set -- "$1" "$2" "$3" "$(cat)"
  case $4 in *'# whole') ;; *) echo "its variables came only in part" >&2; exit 1 ;; esac
  eval "$4"
  exec </dev/null
fi
[ "$2" ] || exec /bin/sh -c "$1"
exec "$3" -s /bin/sh -c 'umask 022; PATH=$1; export PATH; exec /bin/sh -c "$2"' "$2" sh "$PATH" "$1""#;

/// Who the login is: `uid=`, `boot=` with the boot id, and for others than root `sudo=` or what `sudo`
/// has said instead. Before that `entered=`, with what its own surroundings are.
const LOOK: &str = r#"echo "entered=$(umask) $(pwd) $LC_ALL $TERM $DVA_EXECUTION $PATH"
uid=$(id -u)
echo "uid=$uid"
read -r boot </proc/sys/kernel/random/boot_id && echo "boot=$boot"
if [ "$uid" != 0 ]; then
  said=$(sudo -n true 2>&1) && echo sudo= || printf 'said=%s\n' "$said"
fi"#;

/// Writes standard input to the file `$1`, which nobody else can read before it has the mode `$2`.
const PUT: &str = r#"umask 077
: >"$1" && chmod "$2" "$1" && exec cat >"$1""#;

/// Waits for the device node `$1`, in tenths of seconds `$2` at most: says `node` once it is there, else lists the
/// disks with their serial numbers, by `lsblk` and by the kernel: the former may be missing, or know nothing without udev.
const FIND_NODE: &str = r#"tries=$2
until [ -e "$1" ]; do
  if [ "$tries" -le 0 ]; then
    lsblk --nodeps --noheadings --output NAME,SERIAL 2>/dev/null
    for file in /sys/block/*/device/serial; do
      read -r serial <"$file" || continue
      disk=${file#/sys/block/}
      echo "${disk%%/*} $serial"
    done 2>/dev/null
    exit
  fi
  sleep 0.1
  tries=$((tries - 1))
done
echo node"#;

/// Waits until cloud-init is done, where the machine has it: its exit status, then what it says.
const CLOUD_INIT: &str = r#"command -v cloud-init >/dev/null 2>&1 || { echo absent; exit; }
said=$(cloud-init status --wait --long 2>&1)
printf '%s\n%s\n' "$?" "$said""#;

/// Restarts the system a moment later, so that this can still say that it will.
const REBOOT: &str = "(sleep 1; reboot || systemctl reboot) >/dev/null 2>&1 &";

/// Stops what carries the mark `$1`: asks, waits `$2` seconds at most, then kills until nothing is
/// left or 5 s have gone. Its own environment carries no mark, so it never finds itself.
const STOP: &str = r#"found() {
  grep -alsF -e "DVA_EXECUTION=$mark" /proc/[0-9]*/environ | while IFS=/ read -r _ _ pid _; do
    echo "$pid"
  done
}
signal() {
  for pid in $(found); do kill -s "$1" "$pid" 2>/dev/null; done
}
mark=$1
tries=$(($2 * 10))
signal TERM
while [ "$tries" -gt 0 ] && [ -n "$(found)" ]; do
  sleep 0.1
  tries=$((tries - 1))
done
tries=50
while [ "$tries" -gt 0 ] && [ -n "$(found)" ]; do
  signal KILL
  sleep 0.1
  tries=$((tries - 1))
done
[ -z "$(found)" ]"#;

/// Lists what carries a mark that begins with `$1`: the mark, a blank, the name of the process.
const FIND: &str = r#"for environ in $(grep -alsF -e "DVA_EXECUTION=$1" /proc/[0-9]*/environ); do
  mark=$(tr '\0' '\n' <"$environ" | sed -n 's/^DVA_EXECUTION=//p' | head -n 1)
  read -r name <"${environ%environ}comm" && printf '%s %s\n' "$mark" "$name"
done 2>/dev/null
:"#;

/// How a login is root, and what its shell can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// It is, and its shell has shown that it does as a shell of POSIX: it makes the surroundings of a
    /// command itself.
    Direct,
    /// It is. Of its shell nothing is known.
    Login,
    /// By `sudo -n`.
    Sudo,
}

/// What [`look`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// How the login is root, or what `sudo` said.
    pub root: Result<Root, String>,
    /// The boot id; absent where the kernel has none.
    pub boot: Option<String>,
}

/// What the marks of one run begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunMark(u64);

/// The mark of one execution: 32 hexadecimal digits for run, life and test, so no mark is the
/// beginning of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExecutionMark(String);

impl RunMark {
    /// The mark of a run, from a number that no other run has.
    pub(crate) fn new(random: u64) -> Self {
        Self(random)
    }

    /// The mark of the execution of `test` on `life`.
    pub(crate) fn execution(self, life: LifeIx, test: TestIx) -> ExecutionMark {
        ExecutionMark(format!("{self}{:08x}{:08x}", life.0, test.0))
    }

    /// The test in the mark of an execution of this run.
    fn test(self, mark: &str) -> Option<TestIx> {
        let rest = mark.strip_prefix(&self.to_string())?;
        (rest.len() == 16).then_some(())?;
        u32::from_str_radix(rest.get(8..)?, 16).ok().map(TestIx)
    }
}

impl fmt::Display for RunMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl ExecutionMark {
    /// The working directory of the execution.
    pub(crate) fn folder(&self) -> String {
        format!("{FOLDER}{}", self.0)
    }
}

/// A command of a test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepCommand<'a> {
    pub mark: &'a ExecutionMark,
    pub test: &'a TestId,
    pub cell: &'a CellId,
    /// What the author wrote, with its values. Holds no NUL.
    pub text: &'a str,
    /// Device nodes to wait for.
    pub nodes: &'a [String],
    /// How the login is root.
    pub root: Root,
    /// The user it runs as, where that is not root.
    pub user: Option<&'a str>,
    /// Whether its standard input is [`variables`].
    pub fed: bool,
}

impl StepCommand<'_> {
    /// The text for the login's shell.
    pub(crate) fn for_login_shell(&self) -> String {
        let variables = [
            "LC_ALL=C".to_owned(),
            "TERM=dumb".to_owned(),
            format!("{MARK}={}", self.mark.0),
            format!("DVA_TEST={}", self.test),
            format!("DVA_CELL={}", self.cell),
            format!("DVA_TMP={}", self.mark.folder()),
        ];
        if self.root == Root::Direct && self.user.is_none() && !self.fed && self.nodes.is_empty() {
            return entered(&self.mark.folder(), &variables, &[self.text]);
        }
        let (user, fed) = (
            self.user.unwrap_or_default(),
            if self.fed { "fed" } else { "" },
        );
        let arguments: Vec<&str> = [self.text, user, fed]
            .into_iter()
            .chain(self.nodes.iter().map(String::as_str))
            .collect();
        let stdin = if self.fed { Stdin::Fed } else { Stdin::Null };
        command(self.root, stdin, &variables, ENTER, &arguments)
    }
}

/// What a command is fed that is to have these variables: names are those of a shell. What is cut short
/// anywhere starts nothing: it has no end, or a quote that nothing closes.
pub(crate) fn variables(variables: &[(&str, &str)]) -> Vec<u8> {
    let mut text = String::new();
    for (name, value) in variables {
        text.push_str(&format!("export {name}={}\n", quoted(value)));
    }
    text.push_str("# whole");
    text.into_bytes()
}

/// Whether `name` can be the name of a variable.
pub(crate) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    bytes.next().is_some_and(first) && bytes.all(|byte| first(byte) || byte.is_ascii_digit())
}

/// The command that tells who the login is and when the machine booted, whatever the login's shell is.
pub(crate) fn look() -> String {
    command(Root::Login, Stdin::Null, &[], LOOK, &[])
}

/// The same, entered as a step is where the login's shell is trusted with that. What it prints tells
/// whether it can be: a function, a setting or another kind of shell may be in the way.
pub(crate) fn look_directly() -> String {
    let variables = ["LC_ALL=C", "TERM=dumb", LOOK_MARK].map(str::to_owned);
    entered(LOOK_FOLDER, &variables, &[LOOK])
}

/// What a direct look is entered with: a folder that is everywhere, and a mark that is none.
const LOOK_FOLDER: &str = "/";
const LOOK_MARK: &str = "DVA_EXECUTION=look";

/// Whether a look has found all as it was to be entered.
fn is_as_entered(said: &str) -> bool {
    // Some shells print the mask with one zero before it and some with two.
    said.trim_start_matches('0')
        == format!("22 {LOOK_FOLDER} C dumb look {}", &PATH["PATH=".len()..])
}

/// Whether `command` is one of [`look`].
pub(crate) fn looks(command: &str) -> bool {
    command.contains(&quoted(LOOK))
}

/// The output of [`look`] on a machine with this boot id, where the login is root.
pub(crate) fn look_lines(boot: &str) -> String {
    format!("uid=0\nboot={boot}\n")
}

/// What the output of [`look`] says; `None` where it is none.
pub(crate) fn looked(output: &[u8]) -> Option<Look> {
    let text = escape(output);
    let line = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
    let root = if line("uid=")? == "0" {
        let direct = line("entered=").is_some_and(is_as_entered);
        Ok(if direct { Root::Direct } else { Root::Login })
    } else if line("sudo=").is_some() {
        Ok(Root::Sudo)
    } else {
        Err(line("said=").unwrap_or_default().to_owned())
    };
    Some(Look {
        root,
        boot: line("boot=").map(str::to_owned),
    })
}

/// The command that makes the working directories of executions.
pub(crate) fn make_folders(root: Root, marks: &[ExecutionMark]) -> String {
    of_folders(root, "mkdir -p", "", marks)
}

/// The command that writes its standard input to the file `path`.
pub(crate) fn put(root: Root, path: &str, mode: u32) -> String {
    let mode = format!("{:o}", mode & 0o7777);
    command(root, Stdin::Fed, &[], PUT, &[path, &mode])
}

/// The command that writes the file `path` to its standard output.
pub(crate) fn get(root: Root, path: &str) -> String {
    command(root, Stdin::Null, &[], "exec cat <\"$1\"", &[path])
}

/// The command that waits for a device node for so many tenths of seconds, and lists the disks where it does not come.
pub(crate) fn find_node(root: Root, node: &str, tenths: u32) -> String {
    let tenths = tenths.to_string();
    command(root, Stdin::Null, &[], FIND_NODE, &[node, &tenths])
}

/// The command that waits until cloud-init is done.
pub(crate) fn wait_for_cloud_init(root: Root) -> String {
    command(root, Stdin::Null, &[], CLOUD_INIT, &[])
}

/// The command that restarts the system.
pub(crate) fn reboot(root: Root) -> String {
    command(root, Stdin::Null, &[], REBOOT, &[])
}

/// The command that stops all processes of an execution: TERM first, KILL for what is left.
pub(crate) fn stop(root: Root, mark: &ExecutionMark) -> String {
    stop_within(root, mark, GRACE_S)
}

fn stop_within(root: Root, mark: &ExecutionMark, grace_s: u32) -> String {
    let arguments = [mark.0.as_str(), &grace_s.to_string()];
    command(root, Stdin::Null, &[], STOP, &arguments)
}

/// The command that removes the working directories of executions, but nothing that is mounted below
/// them.
pub(crate) fn clean_up(root: Root, marks: &[ExecutionMark]) -> String {
    of_folders(root, "find", "-xdev -depth -delete 2>/dev/null", marks)
}

/// The command that becomes `program` with the working directories of `marks`, and `options` behind them.
fn of_folders(root: Root, program: &str, options: &str, marks: &[ExecutionMark]) -> String {
    let folders: Vec<_> = marks.iter().map(ExecutionMark::folder).collect();
    let folders: Vec<_> = folders.iter().map(String::as_str).collect();
    if root == Root::Direct {
        let folders = words(folders.into_iter());
        return format!(
            "command export {PATH}; command umask 022; exec {program} {folders} {options} </dev/null"
        );
    }
    let script = format!("umask 022; exec {program} \"$@\" {options}");
    command(root, Stdin::Null, &[], &script, &folders)
}

/// The command that lists the processes which executions of a run have left on a machine.
pub(crate) fn find_left_processes(root: Root, mark: RunMark) -> String {
    command(root, Stdin::Null, &[], FIND, &[&mark.to_string()])
}

/// What the output of [`find_left_processes`] says: the names of processes, by the test that left them.
pub(crate) fn left_processes(mark: RunMark, output: &[u8]) -> BTreeMap<TestIx, Vec<String>> {
    let mut left: BTreeMap<TestIx, Vec<String>> = BTreeMap::new();
    for line in output.split(|byte| *byte == b'\n') {
        let line = escape(line);
        if let Some((of, name)) = line.split_once(' ')
            && let Some(test) = mark.test(of)
        {
            left.entry(test).or_default().push(name.to_owned());
        }
    }
    left
}

/// Whether `command` is of the execution that `other` names: how a simulator knows what is stopped.
pub(crate) fn carries(command: &str, other: &str) -> bool {
    mark_of(command).is_some_and(|mark| other.contains(mark))
}

/// Whether `command` is one of [`find_left_processes`].
pub(crate) fn finds_left_processes(command: &str) -> bool {
    command.contains(&quoted(FIND))
}

/// The line by which [`find_left_processes`] tells of a process that `command` has left.
pub(crate) fn process_line(command: &str, name: &str) -> String {
    format!("{} {name}\n", mark_of(command).unwrap_or_default())
}

/// The mark that the processes of a step's command carry.
fn mark_of(command: &str) -> Option<&str> {
    command
        .split_once(MARK)
        .and_then(|(_, rest)| rest.strip_prefix('='))
        .and_then(|rest| rest.get(..32))
}

/// What a command reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stdin {
    Null,
    /// What it is given with the request.
    Fed,
}

/// A text for a login's shell, whichever that is, that becomes `/bin/sh -c script` with `arguments`, as
/// root. `sudo` clears the environment, so variables are set behind it.
fn command(
    root: Root,
    stdin: Stdin,
    variables: &[String],
    script: &str,
    arguments: &[&str],
) -> String {
    let variables = words(variables.iter().map(String::as_str));
    let (begin, end) = match root {
        Root::Direct => ("command export", "; exec"),
        Root::Login => ("exec /usr/bin/env", ""),
        Root::Sudo => ("exec sudo -n -- /usr/bin/env", ""),
    };
    let arguments = words([script, "sh"].into_iter().chain(arguments.iter().copied()));
    let stdin = match stdin {
        Stdin::Null => " </dev/null",
        Stdin::Fed => "",
    };
    let begin = [begin, " ", PATH, " ", &variables, end];
    let parts = [begin.as_slice(), &[" /bin/sh -c ", &arguments, stdin]];
    parts.concat().concat()
}

/// A text for a login's shell that does as a shell of POSIX: it becomes `/bin/sh -c` with `arguments`
/// and `variables` in the working directory `folder`, which mostly is there, reading nothing.
///
/// What the user's own start of the shell has defined under such names is passed by; all of it is one
/// line, which is read whole before any of it is done.
fn entered(folder: &str, variables: &[String], arguments: &[&str]) -> String {
    let folder = quoted(folder);
    let variables = words(variables.iter().map(String::as_str));
    let arguments = words(arguments.iter().copied());
    format!(
        "command export {PATH} {variables}; command umask 022; \
         command cd {folder} 2>/dev/null || {{ command mkdir -p {folder} && command cd {folder}; }} || exit; \
         exec /bin/sh -c {arguments} </dev/null"
    )
}

fn words<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut words = String::new();
    for text in texts {
        if !words.is_empty() {
            words.push(' ');
        }
        push_quoted(&mut words, text);
    }
    words
}

/// `text` as one word of a shell. A NUL, which no word can hold, is left out.
fn quoted(text: &str) -> String {
    let mut word = String::new();
    push_quoted(&mut word, text);
    word
}

fn push_quoted(words: &mut String, text: &str) {
    /// Around a word, and for some quotes in it.
    const QUOTES: usize = 64;
    words.reserve(text.len() + QUOTES);
    if text.contains('\0') {
        push_single_quoted(words, &text.replace('\0', ""));
    } else {
        push_single_quoted(words, text);
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Output, Stdio};

    use super::*;

    /// The shell of a login, with an environment that must not get in the way.
    fn login(command: &str) -> Command {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .env("LC_ALL", "tlh_KX.UTF-8")
            .env("TZ", "Mars/Olympus")
            .stdin(Stdio::piped());
        shell
    }

    fn output(command: &str) -> Output {
        login(command).output().expect("there is a shell")
    }

    #[test]
    fn a_node_that_is_there_is_found_and_one_that_is_not_gets_a_list() {
        for root in [Root::Login, Root::Direct] {
            let there = output(&find_node(root, "/dev/null", 50));
            assert_eq!(String::from_utf8_lossy(&there.stdout), "node\n");
            let absent = output(&find_node(root, "/dev/there is none", 0));
            assert!(absent.status.success(), "{absent:?}");
            assert_ne!(String::from_utf8_lossy(&absent.stdout), "node\n");
            assert!(absent.stderr.is_empty(), "{absent:?}");
        }
    }

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).expect("UTF-8")
    }

    /// One execution on this host, which takes its folder with it.
    struct Host {
        run: RunMark,
        mark: ExecutionMark,
    }

    impl Host {
        fn new() -> Self {
            let run = RunMark::new(crate::clock::random());
            Self {
                run,
                mark: run.execution(LifeIx(2), TestIx(7)),
            }
        }

        fn step(&self, text: &str, nodes: &[String]) -> String {
            self.step_of(Root::Login, text, nodes)
        }

        fn step_of(&self, root: Root, text: &str, nodes: &[String]) -> String {
            StepCommand {
                mark: &self.mark,
                test: &TestId::new("a b'c"),
                cell: &CellId::new("cell"),
                text,
                nodes,
                root,
                user: None,
                fed: false,
            }
            .for_login_shell()
        }

        fn left(&self) -> BTreeMap<TestIx, Vec<String>> {
            left_processes(
                self.run,
                &output(&find_left_processes(Root::Login, self.run)).stdout,
            )
        }
    }

    impl Drop for Host {
        fn drop(&mut self) {
            // A test that has failed leaves nothing on this host either.
            output(&stop_within(Root::Login, &self.mark, 0));
            output(&clean_up(Root::Login, std::slice::from_ref(&self.mark)));
        }
    }

    #[test]
    fn a_step_sees_what_the_contract_says() {
        let host = Host::new();
        let script = r#"echo "$PATH|$LC_ALL|$TERM|$TZ|$DVA_TEST|$DVA_CELL"; umask; pwd; echo "$DVA_TMP"
cat; echo "it's \"$0\" $#"; grep -czx "DVA_EXECUTION=$DVA_EXECUTION" "/proc/$$/environ"; exit 255"#;
        let folder = host.mark.folder();
        for (root, shell) in ways() {
            let seen = login_by(shell, &host.step_of(root, script, &[]));
            assert_eq!(
                text(&seen.stdout),
                format!(
                    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin|C|dumb|\
                     Mars/Olympus|a b'c|cell\n0022\n{folder}\n{folder}\nit's \"/bin/sh\" 0\n1\n"
                ),
                "{root:?} {shell}: {seen:?}"
            );
            assert_eq!(seen.status.code(), Some(255));
        }
    }

    /// The ways of a step into its surroundings, by the shells that are here.
    fn ways() -> Vec<(Root, &'static str)> {
        let is_here = |shell: &&str| std::path::Path::new(shell).exists();
        let shells = ["/bin/sh", "/bin/bash", "/bin/dash", "/bin/mksh", "/bin/ksh"];
        let shells = shells.into_iter().filter(is_here);
        shells
            .flat_map(|shell| [(Root::Direct, shell), (Root::Login, shell)])
            .collect()
    }

    fn login_by(shell: &str, command: &str) -> Output {
        Command::new(shell)
            .args(["-c", command])
            .env("LC_ALL", "tlh_KX.UTF-8")
            .env("TZ", "Mars/Olympus")
            .stdin(Stdio::null())
            .output()
            .expect("there is a shell")
    }

    #[test]
    fn what_a_shell_says_of_a_step_is_the_same_either_way() {
        let host = Host::new();
        for script in [
            "true; nowhere_to_be_found\n\nanother_one",
            "echo one\necho 'two",
            "if true; then\necho three",
            "; echo four",
            "exit 3",
            "kill -KILL $$",
            "set -- a b; echo \"$0 $# $*\"; false",
            "printf '%s\\n' \"$OLDPWD\" | grep -c .; printf '\\377\\200' | od -An -tx1",
            "# nothing but a remark",
            "",
        ] {
            for (_, shell) in ways() {
                let [direct, login] = [Root::Direct, Root::Login].map(|root| {
                    let seen = login_by(shell, &host.step_of(root, script, &[]));
                    // The shell itself says what it could not do with the terminal's language.
                    let said = text(&seen.stderr).lines().map(str::to_owned);
                    let said = said.filter(|line| !line.contains("setlocale"));
                    (seen.status, seen.stdout, said.collect::<Vec<_>>())
                });
                assert_eq!(direct, login, "{shell}: {script}");
            }
        }
    }

    #[test]
    fn a_test_keeps_its_folder_from_step_to_step_and_then_it_is_gone() {
        for root in [Root::Direct, Root::Login] {
            let host = Host::new();
            let mark = std::slice::from_ref(&host.mark);
            let folder = host.mark.folder();
            let folder = std::path::Path::new(&folder);
            assert!(output(&make_folders(root, mark)).status.success());
            assert!(folder.is_dir());
            let write = host.step_of(root, "echo kept >file; mkdir -p deep/er", &[]);
            output(&write);
            let read = host.step_of(root, "cat file", &[]);
            assert_eq!(text(&output(&read).stdout), "kept\n");
            output(&clean_up(root, mark));
            assert!(!folder.exists());
            // Removed by a neighbour or a reboot, it is made again.
            assert!(output(&write).status.success());
            assert_eq!(text(&output(&read).stdout), "kept\n");
        }
    }

    #[test]
    fn a_step_without_a_folder_does_not_run() {
        let host = Host::new();
        std::fs::write(host.mark.folder(), "in the way").expect("a file");
        for root in [Root::Direct, Root::Login] {
            let seen = output(&host.step_of(root, "echo ran", &[]));
            assert_eq!(text(&seen.stdout), "");
            assert!(!seen.status.success() && !seen.stderr.is_empty());
        }
    }

    #[test]
    fn a_command_waits_for_its_nodes_and_not_for_ever() {
        let host = Host::new();
        let node = format!("{}/node", host.mark.folder());
        let waiting = login(&host.step("cat node", std::slice::from_ref(&node)))
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        while !std::path::Path::new(&host.mark.folder()).exists() {
            std::thread::yield_now();
        }
        std::fs::write(format!("{node}.new"), "here").expect("a file");
        std::fs::rename(format!("{node}.new"), &node).expect("a file");
        let seen = waiting.wait_with_output().expect("it ends");
        assert_eq!(text(&seen.stdout), "here");
        let missing = host.step("echo went on", &["/nonexistent/node".to_owned()]);
        assert_eq!(text(&output(&missing).stdout), "went on\n");
    }

    #[test]
    fn stopping_reaches_a_double_forked_child_that_ignores_term() {
        let host = Host::new();
        let script = r#"
( setsid sh -c 'trap "" TERM; echo $$ >stubborn; for i in 1 2 3 4 5 6 7 8 9; do sleep 5; done' >/dev/null 2>&1 & )
while [ ! -s stubborn ]; do sleep 0.01; done
echo up; exec sleep 45"#;
        let mut running: Child = login(&host.step(script, &[]))
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let mut up = [0; 3];
        let mut stdout = running.stdout.take().expect("a pipe");
        std::io::Read::read_exact(&mut stdout, &mut up).expect("it comes up");
        let left = host.left();
        let names = &left[&TestIx(7)];
        assert!(names.iter().any(|name| name == "sh"), "{names:?}");
        assert!(names.iter().any(|name| name == "sleep"), "{names:?}");

        let stopped = output(&stop_within(Root::Login, &host.mark, 1));
        assert!(stopped.status.success(), "{stopped:?}");
        running.wait().expect("it has ended");
        assert_eq!(host.left(), BTreeMap::new());
    }

    #[test]
    fn what_is_fed_and_cut_short_starts_nothing() {
        let host = Host::new();
        let command = StepCommand {
            mark: &host.mark,
            test: &TestId::new("fed"),
            cell: &CellId::new("cell"),
            text: "echo started; printf %s \"$A$B\"",
            nodes: &[],
            root: Root::Login,
            user: None,
            fed: true,
        };
        let fed = variables(&[("A", "it's"), ("B", "2")]);
        for length in (0..=fed.len()).step_by(3).chain([fed.len()]) {
            let mut shell = login(&command.for_login_shell())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("there is a shell");
            let mut stdin = shell.stdin.take().expect("a pipe");
            std::io::Write::write_all(&mut stdin, &fed[..length]).expect("it reads");
            drop(stdin);
            let seen = shell.wait_with_output().expect("it ends");
            if length == fed.len() {
                assert_eq!(text(&seen.stdout), "started\nit's2");
            } else {
                assert_eq!(text(&seen.stdout), "", "{length}");
                assert!(!seen.status.success());
            }
        }
    }

    #[test]
    fn a_look_tells_who_we_are() {
        let look = looked(&output(&look()).stdout).expect("a look");
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("Linux");
        assert_eq!(look.boot.as_deref(), Some(boot.trim()));
        let root = |text: &str| looked(text.as_bytes()).map(|look| look.root);
        assert_eq!(root("uid=0\nboot=b\n"), Some(Ok(Root::Login)));
        assert_ne!(look.root, Ok(Root::Direct));
        assert_eq!(root("motd\nuid=1000\nsudo=\n"), Some(Ok(Root::Sudo)));
        assert_eq!(root("uid=1000\nsaid=no\n"), Some(Err("no".to_owned())));
        assert_eq!(root("This account is not available.\n"), None);
    }

    #[test]
    fn a_shell_is_trusted_with_what_it_has_shown() {
        let trusted = |start: &str| {
            let seen = output(&format!("{start}{}", look_directly()));
            let mut lines = text(&seen.stdout).lines();
            lines
                .find_map(|line| line.strip_prefix("entered="))
                .is_some_and(is_as_entered)
        };
        assert!(trusted(""));
        // What its user has defined is passed by, and what cannot be passed by is noticed.
        let names = "cd() { echo there; command cd \"$@\"; }; umask() { :; }\n";
        assert!(trusted(names));
        for start in [
            "umask 077; command() { \"$@\"; }; umask() { :; }\n",
            "command() { echo restricted; return 1; }\n",
            "readonly TERM=xterm\n",
        ] {
            assert!(!trusted(start), "{start}");
        }
    }

    #[test]
    fn stopping_what_is_not_there_is_quick_and_well() {
        let host = Host::new();
        let other = RunMark::new(crate::clock::random());
        assert!(output(&stop(Root::Login, &host.mark)).status.success());
        assert_eq!(left_processes(other, b"junk\n0 x\n"), BTreeMap::new());
    }

    #[test]
    fn a_simulator_can_tell_which_command_is_stopped() {
        let host = Host::new();
        let other = host.run.execution(LifeIx(2), TestIx(8));
        assert!(carries(
            &host.step("x", &[]),
            &stop(Root::Login, &host.mark)
        ));
        assert!(!carries(&host.step("x", &[]), &stop(Root::Login, &other)));
    }
}
