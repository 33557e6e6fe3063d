//! Names of images.

/// Whether `image` is named by its content: `name@sha256:..`, or an image id `sha256:..`, in full.
///
/// A tag may mean another image tomorrow or on the next node, and a shortened id any image that begins so.
pub fn is_pinned(image: &str) -> bool {
    let digest = image.rsplit_once('@').map_or(image, |(_, digest)| digest).strip_prefix("sha256:");
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    digest.is_some_and(|digest| digest.len() == 64 && digest.bytes().all(hex))
}
