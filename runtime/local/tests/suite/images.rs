//! Root file systems other than the host's own, and what the host has mounted below its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dva_plan::plan::ImageSource;
use dva_runtime::provider::{AcquireErrorKind, MachineRequest, Provider};

use crate::ground::{Ground, Guest, HostMount, block_on, program, request, token};
use crate::{Done, Test};

pub(crate) const TESTS: &[Test] = &[
    ("images::a_folder_is_a_root", folder),
    ("images::an_archive_is_a_root", archive),
    ("images::what_is_no_image_is_refused", refused),
    ("images::what_the_host_has_mounted_is_shown", mounted),
];

fn request_of(life: u32, path: &Path) -> MachineRequest {
    MachineRequest {
        image: ImageSource::LocalRootfs {
            path: path.to_str().expect("a text").into(),
        },
        ..request(life)
    }
}

/// Makes a root file system of a shell and what it needs, and nothing else.
fn make_rootfs(root: &Path) {
    let copy = |path: &Path| {
        let to = root.join(path.strip_prefix("/").expect("an absolute path"));
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        fs::copy(path, to).expect("a copy");
    };
    for name in ["sh", "cat"] {
        let program = program(name)
            .expect("a program")
            .canonicalize()
            .expect("a path");
        let needs = Command::new("ldd").arg(&program).output().expect("ldd");
        for word in String::from_utf8_lossy(&needs.stdout).split_whitespace() {
            if word.starts_with('/') {
                copy(Path::new(word));
            }
        }
        fs::create_dir_all(root.join("bin")).expect("a folder");
        fs::copy(program, root.join("bin").join(name)).expect("a copy");
    }
    fs::create_dir_all(root.join("etc")).expect("a folder");
    fs::write(root.join("etc/release"), "of the image\n").expect("a file");
    // A home of the image's own.
    fs::create_dir_all(root.join("root")).expect("a folder");
    fs::write(root.join("root/mine"), "mine\n").expect("a file");
}

async fn is_the_image(guest: &Guest) {
    assert_eq!(
        guest.ok("cat /etc/release /root/mine").await,
        "of the image\nmine"
    );
    assert_eq!(
        guest.ok("cd / && echo *").await,
        guest
            .ok("cd / && for name in *; do [ -d $name ] && printf '%s ' $name; done")
            .await
    );
    guest.fails("cat /etc/passwd").await;
    guest
        .ok("echo x > /tmp/x && echo x > /run/x && echo x > /dev/null")
        .await;
    assert_eq!(
        guest.ok("cat /proc/sys/kernel/hostname").await,
        token(1).as_str()
    );
    guest
        .ok("echo changed > /etc/release && cat /etc/release")
        .await;
}

fn folder() -> Done {
    let ground = Ground::new();
    let images = tempfile::Builder::new()
        .prefix("a:b, c\\")
        .tempdir()
        .expect("a folder");
    make_rootfs(images.path());
    block_on(async {
        let guest = Guest::start(&ground.provider, &request_of(1, images.path()))
            .await
            .expect("a machine");
        is_the_image(&guest).await;
        // Two may be made of one.
        let other = Guest::start(&ground.provider, &request_of(2, images.path()))
            .await
            .expect("a machine");
        assert_eq!(other.ok("cat /etc/release").await, "of the image");
        for life in [1, 2] {
            ground
                .provider
                .release_token(&token(life))
                .await
                .expect("an end");
        }
    });
    let text = fs::read_to_string(images.path().join("etc/release")).expect("a file");
    assert_eq!(text, "of the image\n");
    ground.assert_clean();
    Done::Passed
}

fn archive() -> Done {
    if program("tar").is_none() || program("gzip").is_none() {
        return Done::Skipped("the host has no tar or no gzip".into());
    }
    let ground = Ground::new();
    let images = tempfile::tempdir().expect("a folder");
    let root = images.path().join("root");
    make_rootfs(&root);
    let cached = || {
        let cache = ground.config.state.join("images");
        fs::read_dir(cache).map_or(0, Iterator::count)
    };
    block_on(async {
        for (name, option) in [("root.tar", "-cf"), ("root.tar.gz", "-czf")] {
            let before = cached();
            let archive = images.path().join(name);
            let packed = Command::new("tar")
                .arg(option)
                .arg(&archive)
                .arg("-C")
                .arg(&root)
                .arg(".")
                .status();
            assert!(packed.expect("tar").success(), "{name}");
            for _ in 0..2 {
                let guest = Guest::start(&ground.provider, &request_of(1, &archive))
                    .await
                    .expect("a machine");
                is_the_image(&guest).await;
                ground
                    .provider
                    .release_token(&token(1))
                    .await
                    .expect("an end");
                assert_eq!(cached(), before + 1, "{name} is unpacked once");
            }
        }
    });
    ground.assert_clean();
    Done::Passed
}

fn refused() -> Done {
    let ground = Ground::new();
    let images = tempfile::tempdir().expect("a folder");
    fs::write(images.path().join("no-archive"), "text").expect("a file");
    let cases: [(PathBuf, &str); 3] = [
        (images.path().join("missing"), "No such file"),
        (images.path().to_owned(), "no /bin/sh"),
        (images.path().join("no-archive"), "tar"),
    ];
    block_on(async {
        for (path, why) in &cases {
            let Err(error) = ground.provider.acquire(&request_of(1, path)).await else {
                panic!("a machine of {}", path.display());
            };
            assert_eq!(error.kind, AcquireErrorKind::Unsupported);
            assert!(error.message.contains(why), "{error}");
            ground.assert_clean();
        }
        // A link where a folder is needed could lead anywhere.
        let root = images.path().join("root");
        make_rootfs(&root);
        std::os::unix::fs::symlink("/etc", root.join("run")).expect("a link");
        let Err(error) = ground.provider.acquire(&request_of(1, &root)).await else {
            panic!("a machine with a link");
        };
        assert!(error.message.contains("/run is no folder"), "{error}");
    });
    ground.assert_clean();
    Done::Passed
}

fn mounted() -> Done {
    // Where it is part of the system, and with a name that is no plain one.
    let folder = tempfile::Builder::new()
        .prefix("a b:c")
        .tempdir_in("/var/tmp")
        .expect("a folder");
    let outer = HostMount::tmpfs(&folder.path().join("outer"));
    let inner = HostMount::tmpfs(&outer.path().join("inner"));
    fs::write(outer.path().join("file"), "outer\n").expect("a file");
    fs::write(inner.path().join("file"), "inner\n").expect("a file");
    // What is not to be seen may lie in there too.
    let ground = Ground::within(tempfile::tempdir_in(outer.path()).expect("a folder"));
    block_on(async {
        let guest = Guest::start(&ground.provider, &request(1))
            .await
            .expect("a machine");
        let path = outer.path().display();
        assert_eq!(
            guest
                .ok(&format!("cd '{path}' && cat file inner/file"))
                .await,
            "outer\ninner"
        );
        guest
            .ok(&format!(
                "cd '{path}' && echo x > file && rm inner/file && echo x > inner/new"
            ))
            .await;
        let state = ground.config.state.display();
        assert_eq!(guest.ok(&format!("ls -A '{state}'")).await, "");
        ground
            .provider
            .release_token(&token(1))
            .await
            .expect("an end");
    });
    assert_eq!(
        fs::read_to_string(outer.path().join("file")).expect("a file"),
        "outer\n"
    );
    assert_eq!(
        fs::read_to_string(inner.path().join("file")).expect("a file"),
        "inner\n"
    );
    assert!(!inner.path().join("new").exists(), "the host was written");
    ground.assert_clean();
    drop(ground);
    drop(inner);
    drop(outer);
    Done::Passed
}
