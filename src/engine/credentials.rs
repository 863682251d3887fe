//! Secrets for each source of a request: those given for its origin, and those that files hold for its host.

use super::request::Request;
use crate::error::Error;
use crate::plan::{Address, bare_host};
use crate::transport::{Credentials, Secrets};
use std::sync::Arc;

/// Secrets of each source of the request in turn.
///
/// # Errors
/// `Usage` for text that a header cannot hold.
pub(super) fn secrets(request: &Request, agent: &str) -> Result<Vec<Arc<Secrets>>, Error> {
    let of_source = |address: &Address, given: &Option<Credentials>, headers: &[(String, String)]| {
        if !request.named_by.vouches_for(address) {
            return Secrets::none(address, agent).map(Arc::new);
        }
        let credentials = with_password(request, address, given, headers);
        let bound = Secrets::new(address, agent, credentials.as_ref(), headers)?;
        // The signer is that of the URL; a mirror of another origin is sent nothing by it.
        let signer = request.signer.clone().filter(|_| address == &request.address);
        bound.with_cookies(address, request.cookies.clone()).map(|bound| Arc::new(bound.signed_by(signer)))
    };
    let own = of_source(&request.address, &request.credentials, &request.headers)?;
    let mut all = vec![own.clone()];
    for (address, given) in &request.mirrors {
        // Secrets given for the URL are valid for its whole origin.
        let shared = given.is_none() && address.is_of(&request.address.origin());
        let own_headers: Vec<_> = request
            .headers_elsewhere
            .iter()
            .filter(|(origin, ..)| address.is_of(origin))
            .map(|(_, name, value)| (name.clone(), value.clone()))
            .collect();
        all.push(if shared { own.clone() } else { of_source(address, given, &own_headers)? });
    }
    for address in &request.recorded_mirrors {
        all.push(Arc::new(Secrets::none(address, agent)?));
    }
    Ok(all)
}

/// Checks that every header and credential of the request can be sent.
///
/// # Errors
/// `Usage` for text that a header cannot hold.
pub(crate) fn check_secrets(request: &Request) -> Result<(), Error> {
    secrets(request, "haul").map(drop)
}

/// The given credentials, with the password or all of them taken from a netrc file. An `Authorization` header has
/// precedence.
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
