//! As much of a shell as the hooks in use need: `sh -c` with one plain command. Pure.

/// Characters that would need a real shell.
const SPECIAL: &[char] = &['|', '&', ';', '<', '>', '(', ')', '`', '"', '\'', '\\', '*', '?', '\n'];

/// The words of the command that `argv` runs: of `sh -c LINE` those of the line, `$HOSTNAME` filled in as in
/// every container; otherwise `argv` itself. An error is what the shell writes to its standard error.
pub(super) fn words(argv: Vec<String>, hostname: &str) -> Result<Vec<String>, String> {
    let [program, flag, line] = argv.as_slice() else { return Ok(argv) };
    if !matches!(program.rsplit('/').next(), Some("sh" | "bash")) || flag != "-c" {
        return Ok(argv);
    }
    let line = line.replace("${HOSTNAME}", hostname).replace("$HOSTNAME", hostname);
    if line.contains('$') || line.contains(SPECIAL) {
        return Err(format!("{program}: the simulator runs one plain command with $HOSTNAME, not: {line}\n"));
    }
    Ok(line.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(argv: &[&str]) -> Result<Vec<String>, String> {
        words(argv.iter().map(|&word| word.to_owned()).collect(), "vmq-1")
    }

    #[test]
    fn fills_the_host_name_in() {
        let leave = ["vmq-admin", "cluster", "leave", "node=VerneMQ@vmq-1.vmq"];
        assert_eq!(
            run(&["/bin/sh", "-c", "vmq-admin cluster  leave node=VerneMQ@$HOSTNAME.vmq"]).unwrap(),
            leave
        );
        assert_eq!(
            run(&["bash", "-c", "vmq-admin cluster leave node=VerneMQ@${HOSTNAME}.vmq"]).unwrap(),
            leave
        );
    }

    #[test]
    fn leaves_a_command_without_a_shell_alone() {
        let argv = ["vmq-admin", "-c", "node=$HOSTNAME"];
        assert_eq!(run(&argv).unwrap(), argv);
    }

    #[test]
    fn refuses_what_it_would_play_wrong() {
        for line in ["vmq-admin a; sleep 5", "vmq-admin $(hostname)", "vmq-admin \"a b\"", "vmq-admin $OTHER"]
        {
            assert!(run(&["sh", "-c", line]).unwrap_err().contains(line), "{line}");
        }
    }
}
