//! moto, which does as EC2 does, started by the tests for themselves: a pinned version in a virtual environment under
//! the build folder, on a port of ours. It ends with the process of the tests, however that ends.

use std::fs::{self, File};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

const VERSION: &str = "5.2.5";
/// The image that every region has.
pub const IMAGE: &str = "ami-0123456789abcdef0";
/// The image that no name finds: a parameter has to hold its id.
pub const NAMELESS_IMAGE: &str = "ami-0123456789abcdef1";
/// Red Hat's account in each partition.
const RED_HAT: [&str; 3] = ["309956199498", "219670896067", "841258680906"];

/// The images of every region: one of ours, one that is found by a parameter, and one of Red Hat's.
fn images() -> String {
    let image = |id: &str, owner: &str, name: &str| {
        serde_json::json!({
            "ami_id": id, "state": "available", "public": true, "owner_id": owner,
            "image_location": "test/image", "root_device_type": "ebs", "root_device_name": "/dev/xvda",
            "description": "test", "image_type": "machine", "architecture": "x86_64", "name": name,
            "virtualization_type": "hvm", "hypervisor": "xen", "boot_mode": "uefi-preferred", "creation_date": "2026-11-01T00:00:00.000Z"
        })
    };
    let mut images = vec![
        image(IMAGE, "123456789012", "test-2026-11"),
        image(NAMELESS_IMAGE, "137112412989", "nameless"),
    ];
    let name = "RHEL-9.7.0_HVM-20261101-x86_64-0-Hourly2-GP3";
    for (number, owner) in RED_HAT.iter().enumerate() {
        images.push(image(&format!("ami-0123456789abcde0{number}"), owner, name));
    }
    serde_json::Value::from(images).to_string()
}

/// Ends when nobody holds its standard input any more.
const SERVER: &str = "\
import os, sys, threading
from moto.server import main
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
main(['-H', '127.0.0.1', '-p', sys.argv[1]])
";

struct Server {
    url: String,
    _process: Child,
}

/// Where moto listens; all tests share one, each in a region of its own. `None` where it cannot be had.
pub fn url() -> Option<&'static str> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    match SERVER.get_or_init(start) {
        Ok(server) => Some(&server.url),
        Err(why) => {
            skip(why);
            None
        }
    }
}

/// Says why a test is skipped, which `DVA_FULL=1` does not allow.
pub fn skip(why: &str) {
    let full = std::env::var_os("DVA_FULL").is_some_and(|value| value == "1");
    assert!(!full, "DVA_FULL=1 and {why}");
    println!("SKIP {why}");
}

fn start() -> Result<Server, String> {
    let python = environment()?;
    let text = |error: io::Error| format!("moto does not start: {error}");
    let images = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto-images.json");
    fs::write(&images, self::images()).map_err(text)?;
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_err(text)?
        .port();
    let process = Command::new(python)
        .args(["-c", SERVER, &port.to_string()])
        .env("MOTO_AMIS_PATH", images)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(text)?;
    for _ in 0..600 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(Server {
                url: format!("http://127.0.0.1:{port}"),
                _process: process,
            });
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err("moto does not answer within a minute".to_owned())
}

/// The Python of a virtual environment that has moto, which is made where there is none yet.
fn environment() -> Result<PathBuf, String> {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = tmp.join(format!("moto-{VERSION}"));
    let text = |error: io::Error| format!("there is no moto: {error}");
    fs::create_dir_all(tmp).map_err(text)?;
    // Two processes of tests make one environment.
    let lock = File::create(tmp.join("moto.lock")).map_err(text)?;
    lock.lock().map_err(text)?;
    let (python, ready) = (folder.join("bin/python"), folder.join("ready"));
    if !ready.exists() {
        let _ = fs::remove_dir_all(&folder);
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let package = format!("moto[ec2,server]=={VERSION}");
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ];
        run(Command::new(&python).args(pip).arg(package))?;
        File::create(&ready).map_err(text)?;
    }
    Ok(python)
}

fn run(command: &mut Command) -> Result<(), String> {
    let ended = command.stdin(Stdio::null()).output();
    let ended = ended.map_err(|error| format!("there is no moto: {command:?}: {error}"))?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    Err(format!("there is no moto: {command:?}: {}", said.trim()))
}
