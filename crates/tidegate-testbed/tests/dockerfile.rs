//! The Dockerfile: no daemon is here to build it, so it is linted, and compared with the Deployment that runs it.
//! `cargo xtask static` checks the binary itself.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use tidegate_testbed::manifests;
use tidegate_testbed::servers::ensure_hadolint;

fn lint(text: &str) -> Output {
    let mut command = Command::new(ensure_hadolint().unwrap());
    // Style is a complaint too, and no file of the developer switches rules off.
    command.args(["--no-color", "--failure-threshold", "style", "--config", "/dev/null", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn the_linter_has_nothing_to_say_about_it() {
    let clean = lint(&manifests::dockerfile().unwrap());
    assert!(clean.status.success() && clean.stdout.is_empty(), "{}", String::from_utf8_lossy(&clean.stdout));
    // It can find something: the same file with one mistake.
    let broken = lint(&manifests::dockerfile().unwrap().replace("rust:1.95-bookworm", "rust:latest"));
    let said = String::from_utf8_lossy(&broken.stdout);
    assert!(!broken.status.success() && said.contains("DL3007"), "{said}");
}

/// That they do what they are for is measured: `cargo xtask bench memory --controller --fat --nodes 5000`.
#[test]
fn the_allocator_is_told_what_the_bench_of_memory_runs_with() {
    let names: Vec<String> = manifests::image_environment().unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"]);
}

#[test]
fn the_image_is_one_program_for_the_user_of_the_deployment() {
    let text = manifests::dockerfile().unwrap();
    let (_, image) = text.split_once("FROM scratch\n").unwrap();
    assert!(!image.contains("\nRUN "), "nothing in an empty image could run it");
    let objects = manifests::read_file(&manifests::deploy_folder().join("kubernetes/40-deployment.yaml")).unwrap();
    let pod = objects[0].pointer("/spec/template/spec").unwrap();
    let user = |field: &str| pod["securityContext"][field].as_u64().unwrap();
    assert!(image.contains(&format!("\nUSER {}:{}\n", user("runAsUser"), user("runAsGroup"))), "{image}");
    // Kubernetes `args` replace CMD and leave ENTRYPOINT, which must be the program itself, without a shell.
    assert!(image.contains("\nENTRYPOINT [\"/tidegate\"]\n") && pod["containers"][0]["command"].is_null());
}
