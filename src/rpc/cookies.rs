//! `load-cookies`: cookies of a file in the directory of the daemon, for one URL.

use super::answer::Fault;
use super::options::{below, refuse_links_out};
use crate::formats::cookie_file::{Cookies, Wanted};
use crate::{Request, sys};
use std::io::Read as _;
use std::path::Path;
use std::time::SystemTime;

/// Largest file of cookies, in bytes.
const LARGEST: u64 = 4 << 20;

/// Header with the cookies that the file at `path` has for a URL; `None` if it has none. It is sent to the origin of the URL alone. Blocking.
///
/// # Errors
/// A fault for a file out of `root`, by a link either, and for one that is no regular file or too large.
pub(super) fn header(root: &Path, path: &str, url: &str) -> Result<Option<String>, Fault> {
    let path = below(root, Path::new(path), "load-cookies")?;
    let unusable = |why: &str| Fault::failed(format!("The file of load-cookies cannot be used: {why}."));
    refuse_links_out(root, &path)?;
    let file = sys::open_to_read(&path).map_err(|_| unusable("it is no file that can be read"))?;
    if !file.metadata().is_ok_and(|found| found.is_file()) {
        return Err(unusable("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| unusable(&error.to_string()))?;
    if bytes.len() as u64 > LARGEST {
        return Err(unusable("it is too large"));
    }
    let request = Request::new(url).map_err(|error| Fault::failed(error.to_string()))?;
    let address = request.address();
    let https = address.origin().to_string().starts_with("https:");
    let (host, path, now) = (address.host(), address.path(), now());
    let cookies = Cookies::parse(&String::from_utf8_lossy(&bytes));
    let pairs = cookies.pairs(Wanted { host, path, https, now });
    Ok(Some(pairs.join("; ")).filter(|pairs| !pairs.is_empty()).map(|pairs| format!("Cookie: {pairs}")))
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "cookies of a file expire by the time of day")]
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[expect(clippy::disallowed_methods, reason = "files for the test")]
    #[test]
    fn cookies_come_from_a_regular_file_in_the_root_and_for_their_url() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let text =
            "h\tFALSE\t/\tFALSE\t0\ta\tb\nh\tFALSE\t/\tFALSE\t1\told\tx\ng\tFALSE\t/\tFALSE\t0\tc\td\n";
        fs::write(root.path().join("jar"), text).unwrap();
        fs::write(outside.path().join("jar"), text).unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("out")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("jar"), root.path().join("link")).unwrap();
        let of = |path: &str, url: &str| header(root.path(), path, url);
        assert_eq!(of("jar", "http://h/f"), Ok(Some("Cookie: a=b".to_owned())));
        assert_eq!(of("jar", "http://other/f"), Ok(None));
        let absolute = outside.path().join("jar");
        for path in ["out/jar", "link", "../jar", absolute.to_str().unwrap(), "none", "."] {
            assert!(of(path, "http://h/f").is_err(), "{path}");
        }
    }
}
