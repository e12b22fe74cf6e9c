//! The program as it is started; that it is built beside this test is what the gateway's own tests rest on.

use std::process::Command;

fn check(arguments: &[&str], is_good: bool, said: &str) {
    let ended = Command::new(env!("CARGO_BIN_EXE_fake-lingma")).args(arguments).output().expect("it starts");
    let told = [ended.stdout, ended.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(ended.status.success() == is_good && told.contains(said), "{arguments:?}: {told}");
}

#[test]
fn its_commands_are_those_of_the_real_one() {
    check(&["version"], true, "2.11.1");
    check(&["status", "-o", "json", "--workDir", "/nowhere"], true, "\"logged_in\":false");
    check(&["start", "--unknown=1"], false, "unknown flag");
    check(&[], false, "say start");
}
