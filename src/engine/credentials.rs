//! What each source of a request may hear: what was given for its origin, and what files have for its host.

use super::request::Request;
use crate::error::Error;
use crate::formats::cookie_file::Wanted;
use crate::plan::{Address, bare_host};
use crate::transport::{Credentials, Secrets};
use std::borrow::Cow;
use std::sync::Arc;

/// For each source of the request in turn. `now` is in seconds since 1970.
///
/// # Errors
/// `Usage` for what no header may hold.
pub(super) fn secrets(request: &Request, agent: &str, now: u64) -> Result<Vec<Arc<Secrets>>, Error> {
    let bound = |address: &Address, credentials: Option<&Credentials>, headers: &[_]| {
        Secrets::new(address, agent, credentials, headers).map(Arc::new)
    };
    let of_source = |address: &Address, given: &Option<Credentials>, headers: &[(String, String)]| {
        if !request.named_by.vouches_for(address) {
            return Secrets::none(address, agent).map(Arc::new);
        }
        let headers = with_cookies(request, address, headers, now);
        bound(address, with_password(request, address, given, &headers).as_ref(), &headers)
    };
    let own = of_source(&request.address, &request.credentials, &request.headers)?;
    let mut all = vec![own.clone()];
    for (address, given) in &request.mirrors {
        // What was given for the URL is given for its whole origin.
        let shared = given.is_none() && address.is_of(&request.address.origin());
        all.push(if shared { own.clone() } else { of_source(address, given, &[])? });
    }
    Ok(all)
}

/// What was given, and the password for it, or all of it, from a netrc file. A header that says who we are goes before.
fn with_password(
    request: &Request,
    address: &Address,
    given: &Option<Credentials>,
    headers: &[(String, String)],
) -> Option<Credentials> {
    let host = bare_host(address.host());
    let says_itself = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let netrc = request.netrc.as_ref().filter(|_| !says_itself);
    let found = netrc.and_then(|netrc| match given {
        None => netrc.find(host, None),
        Some(Credentials::Basic { user, password }) if password.is_empty() => netrc.find(host, Some(user)),
        Some(_) => None,
    });
    match found {
        Some((user, password)) => {
            Some(Credentials::Basic { user: user.to_owned(), password: password.to_owned() })
        }
        None => given.clone(),
    }
}

/// The headers, and the cookies that a file has for this URL. There is one field for all cookies (RFC 6265 §5.4).
fn with_cookies<'a>(
    request: &Request,
    address: &Address,
    headers: &'a [(String, String)],
    now: u64,
) -> Cow<'a, [(String, String)]> {
    let wanted = Wanted { host: address.host(), path: address.path(), https: address.is_https(), now };
    let Some(cookies) = request.cookies.as_ref().and_then(|cookies| cookies.header(wanted)) else {
        return Cow::Borrowed(headers);
    };
    let mut headers = headers.to_vec();
    match headers.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case("cookie")) {
        Some((_, given)) => *given = format!("{given}; {cookies}"),
        None => headers.push(("Cookie".to_owned(), cookies)),
    }
    Cow::Owned(headers)
}
