//! What is kept of a failed run, so that it can be understood without running it again.

use crate::lab::Called;
use crate::node::Node;
use crate::scenario::User;
use crate::stage::Stage;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// What is asked of every node.
const STATE: &str = "for c in 'ss -tulnpe' 'ss -tan' 'ip -d link' 'ip addr' 'ip route show table all' 'ip neigh' 'nft list ruleset' \
    'cat /etc/hosts /etc/resolv.conf /etc/nsswitch.conf' 'cat /proc/net/netstat /proc/net/snmp' 'ps axo pid,ppid,user,stat,args'; \
    do echo \"### $c\"; $c 2>&1; done";

/// What is asked of a systemd host besides.
const SYSTEMD_STATE: &str = "for c in 'systemctl --no-pager list-units --all' 'systemctl --no-pager list-jobs' \
    'journalctl --no-pager -o short-precise'; do echo \"### $c\"; $c 2>&1; done";

/// Where a run's files go.
pub(crate) fn folder(keep: &Path, name: &str) -> PathBuf {
    keep.join(name.replace('/', "."))
}

/// Removes what an earlier run left there: it would be taken for this one's.
pub(crate) fn clear(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Moves a run's files beside themselves: it is run again, and those of the first run say what was wrong.
pub(crate) fn put_aside(folder: &Path) -> Result<()> {
    let mut aside = folder.as_os_str().to_owned();
    aside.push(".first");
    let aside = PathBuf::from(aside);
    clear(&aside)?;
    match std::fs::rename(folder, &aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("move {} to {}", folder.display(), aside.display()))
        }
        _ => Ok(()),
    }
}

/// Saves the report, the text report, the facts, and each node's state. Nodes are asked while they still stand.
pub(crate) fn save(folder: &Path, stage: &Stage, called: &Called<'_>, differences: &[String]) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("differences.txt"), differences.join("\n") + "\n")?;
    std::fs::write(folder.join("command.txt"), called.command_line() + "\n")?;
    std::fs::write(folder.join("report.json"), &called.output.stdout)?;
    std::fs::write(folder.join("stderr.txt"), &called.output.stderr)?;
    std::fs::write(
        folder.join("connect.txt"),
        called.connect()?.map_or("none\n".to_owned(), |output| output.text() + "\n"),
    )?;
    for (file, options) in [("report.txt", &["-v", "--color", "never"][..]), ("facts.json", &["--format", "facts"][..])]
    {
        let output = called.again(options)?;
        std::fs::write(folder.join(file), [output.stdout, output.stderr].concat())?;
    }
    for node in stage.nodes.values() {
        std::fs::write(folder.join(format!("node-{}.txt", node.name)), state(node)?)?;
    }
    Ok(())
}

fn state(node: &Node) -> Result<Vec<u8>> {
    let mut command = Node::command("/bin/sh");
    let more = if node.has_systemd() { SYSTEMD_STATE } else { "" };
    command.arg("-c").arg(format!("{STATE}\n{more}"));
    Ok(node.run(command, User::Root, crate::node::STEP_LIMIT)?.stdout)
}
