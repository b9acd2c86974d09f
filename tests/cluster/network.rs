//! A network of one's own: the binary has no way to find a pod anywhere but at its address in the API, and an
//! API server takes no loopback address for a pod.

use std::process::Command;

use crate::control_plane::ONE_AT_A_TIME;
use crate::programs::skip;

/// Set inside.
const INSIDE: &str = "VERNESCALE_TEST_NETWORK";

/// All of the pods' addresses are this machine's own.
const SET_UP: &str = "ip link set lo up && ip route add local 10.88.0.0/16 dev lo";

/// Runs this very test in a network of its own, with nothing in it but itself. True inside it; outside, the
/// test has passed there, or was skipped for a reason that is printed, when this returns.
pub(crate) fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    // One control plane at a time, wherever it is.
    let _alone = ONE_AT_A_TIME.blocking_lock();
    let tried = alone("true").output();
    let why = match &tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(why) = why {
        skip("no network of our own (needs unshare, ip and user namespaces)", &why);
        return false;
    }
    let mut command = alone("exec \"$0\" \"$@\"");
    command.arg(std::env::current_exe().expect("this test")).args(["--exact", test, "--nocapture"]);
    let output = command.env(INSIDE, "yes").output().expect("unshare has just been run");
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "in a network of its own: {}\n{}", said[0], said[1]);
    // A name that matches nothing passes as well.
    assert!(said[0].contains("1 passed"), "{test} was not run: {}", said[0]);
    false
}

fn alone(then: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "--", "sh", "-c"]);
    command.arg(format!("{SET_UP} && {then}"));
    command
}
