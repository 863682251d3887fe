//! Headers and credentials given by the user, and the files that hold them, read once.

use super::args::Options;
use super::bounded;
use crate::error::Error;
use crate::{Cookies, Job, Login, Netrc, Request};
use std::path::Path;
use std::sync::Arc;

/// Size limit of a file with secrets, in bytes.
const LARGEST: u64 = 64 << 10;
/// Size limit of a cookie file, in bytes: a browser may have many cookies.
const LARGEST_JAR: u64 = 16 << 20;

/// Secrets of the run, as described in the module.
#[derive(Default)]
pub(super) struct Given {
    /// Lines of `Name: value`.
    headers: Vec<String>,
    login: Option<Login>,
    bearer: Option<String>,
    netrc: Option<Arc<Netrc>>,
    cookies: Option<Arc<Cookies>>,
}

impl Given {
    pub(super) fn read(options: &Options) -> Result<Self, Error> {
        let mut headers = Vec::new();
        for header in &options.header {
            for line in header_lines(header)? {
                if !line.contains(':') {
                    return Err(Error::usage(
                        "a header is written as 'Name: value', or @FILE to read some from a file",
                    ));
                }
                headers.push(line);
            }
        }
        let login = options.user.as_deref().map(at_file).transpose()?.map(|text| {
            let (user, password) = text.split_once(':').unwrap_or((&text, ""));
            Login { user: user.to_owned(), password: password.to_owned() }
        });
        Ok(Self {
            headers,
            login,
            bearer: options.bearer_file.as_deref().map(bearer).transpose()?,
            netrc: netrc(options)?,
            cookies: options.load_cookies.as_deref().map(cookies).transpose()?,
        })
    }

    /// Adds to a job the secrets given for its URL.
    ///
    /// # Errors
    /// `Usage` if there are headers, and the URL is none.
    pub(super) fn for_url(&self, job: &mut Job) -> Result<(), Error> {
        job.add_headers(&self.headers)?;
        if let Some(login) = &self.login {
            job.login = Some(login.clone());
        }
        if let Some(token) = &self.bearer {
            job.bearer = Some(token.clone());
        }
        Ok(())
    }

    /// Adds to a request the files that name their hosts themselves: netrc and cookies.
    pub(super) fn for_host(&self, mut request: Request) -> Request {
        if let Some(netrc) = &self.netrc {
            request = request.netrc(netrc.clone());
        }
        if let Some(cookies) = &self.cookies {
            request = request.cookies(cookies.clone());
        }
        request
    }

    /// Returns true if there is a netrc or a cookie file, which name their hosts themselves.
    pub(super) fn are_for_hosts(&self) -> bool {
        self.netrc.is_some() || self.cookies.is_some()
    }

    /// Returns true if there is a secret that is only for URLs named by the user.
    pub(super) fn need_url(&self) -> bool {
        !self.headers.is_empty() || self.login.is_some() || self.bearer.is_some()
    }
}

/// Returns the value or, if it begins with an `@`, the content of that file.
pub(super) fn at_file(value: &str) -> Result<String, Error> {
    match value.strip_prefix('@') {
        // The name may be a secret that begins with an @, so it is not shown.
        Some(path) => {
            text_of(Path::new(path), || Error::usage("there is no file of the name that stands behind an @"))
        }
        None => Ok(value.to_owned()),
    }
}

fn header_lines(header: &str) -> Result<Vec<String>, Error> {
    if !header.starts_with('@') {
        return Ok(vec![header.to_owned()]);
    }
    let text = at_file(header)?;
    Ok(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect())
}

fn bearer(path: &Path) -> Result<String, Error> {
    // The name may be the token itself, so it is not shown.
    text_of(path, || {
        Error::usage("--bearer-file names no file that is there")
            .with_hint("it takes the name of a file that holds the token, not the token")
    })
}

fn netrc(options: &Options) -> Result<Option<Arc<Netrc>>, Error> {
    let home = || std::env::home_dir().map(|home| home.join(".netrc"));
    let path = match &options.netrc_file {
        Some(path) => path.clone(),
        None if options.netrc => home().ok_or_else(|| {
            Error::usage("--netrc: there is no home directory").with_hint("name the file with --netrc-file")
        })?,
        None => match home().filter(|path| options.netrc_if_there && path.exists()) {
            Some(path) => path,
            None => return Ok(None),
        },
    };
    let text = bounded::read_lossy(&path, LARGEST).map_err(|error| unreadable(&path, &error))?;
    Ok(Some(Arc::new(Netrc::parse(&text))))
}

fn cookies(path: &Path) -> Result<Arc<Cookies>, Error> {
    let named = path.to_string_lossy();
    if named.contains('=') && !path.exists() {
        return Err(Error::usage(
            "-b names a file with cookies; a cookie itself is given with -H 'Cookie: NAME=VALUE'",
        ));
    }
    let text = bounded::read_lossy(path, LARGEST_JAR).map_err(|error| unreadable(path, &error))?;
    let cookies = Cookies::parse(&text);
    let says_something = |line: &str| !line.trim().is_empty() && !line.starts_with('#');
    if cookies.is_empty() && text.lines().any(says_something) {
        return Err(Error::usage(format!("{} holds no cookies in the form of Netscape", path.display()))
            .with_hint(
                "each is a line of seven fields with tabs between them; browsers export it as cookies.txt",
            ));
    }
    Ok(Arc::new(cookies))
}

/// Text of a file without trailing line breaks; `absent` is the error if there is no such file.
fn text_of(path: &Path, absent: impl FnOnce() -> Error) -> Result<String, Error> {
    let text = bounded::read(path, LARGEST).map_err(|error| match path.symlink_metadata() {
        Ok(_) => unreadable(path, &error),
        Err(_) => absent(),
    })?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::usage(format!("cannot read {}: {error}", path.display()))
}
