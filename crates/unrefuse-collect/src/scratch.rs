//! A directory that stands for `/`, for tests.

use std::path::PathBuf;

/// A directory that stands for `/`, gone with the value.
pub(crate) struct Root(PathBuf);

impl Root {
    pub(crate) fn new(test: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("unrefuse-collect-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
    pub(crate) fn file(&self, path: &str, text: &str) {
        let place = self.0.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, text).unwrap();
    }
    pub(crate) fn link(&self, path: &str, target: &str) {
        let place = self.0.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, place).unwrap();
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
