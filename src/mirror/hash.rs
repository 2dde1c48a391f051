use sha1::Digest as _;

/// SHA-1 as Git uses it for names and checksums.
///
/// Plain, without the search for collision attacks that `git` and `gix` make: that search takes
/// a quarter of the rate of the hottest loop, and every host that we push to makes it again.
pub(super) struct Sha1(sha1::Sha1);

impl Sha1 {
    pub(super) fn new() -> Self {
        Self(sha1::Sha1::new())
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> [u8; 20] {
        self.0.finalize().into()
    }
}
