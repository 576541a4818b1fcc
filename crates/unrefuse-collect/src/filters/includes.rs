//! Files that a file in nft's own language includes.

use super::rules;
use crate::live::folders;
use unrefuse_facts::glob;
use unrefuse_firewall::nft::file::Included;

/// Where nft(8) looks for a file whose name does not begin with a dot or a slash (`DEFAULT_INCLUDE_PATH`).
pub const NFT_FOLDER: &str = "/etc";

/// What `include "PATH"` stands for, with a path from `folder` on: a file, or those that a pattern fits, sorted. A pattern
/// that fits none includes nothing (nft(8), INCLUDE FILES).
pub fn nft_includes(path: &str, folder: &str) -> Vec<Included> {
    let path = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    let paths = match glob::is_pattern(&path) {
        true => folders::list("", &path),
        false => Ok(vec![path.clone()]),
    };
    match paths {
        Ok(paths) => paths
            .into_iter()
            .map(|name| Included { content: rules(&name).map_err(|missing| missing.detail), name })
            .collect(),
        Err(missing) => vec![Included { name: path, content: Err(missing.detail) }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Root;

    #[test]
    fn files_that_patterns_fit_come_in_order() {
        let root = Root::new("nft-includes");
        for (name, text) in [("/nft.d/b.nft", "b"), ("/nft.d/a.nft", "a"), ("/nft.d/c.txt", "c")] {
            root.file(name, text);
        }
        let of = |path: &str| -> Vec<Result<Vec<u8>, String>> {
            nft_includes(path, root.path()).into_iter().map(|included| included.content).collect()
        };
        assert_eq!(of("nft.d/*.nft"), [Ok(b"a".to_vec()), Ok(b"b".to_vec())]);
        assert_eq!(of(&format!("{}/nft.d/c.txt", root.path())), [Ok(b"c".to_vec())]);
        assert!(of("none/*.nft").is_empty());
        assert!(matches!(of("none.nft").as_slice(), [Err(_)]));
    }
}
