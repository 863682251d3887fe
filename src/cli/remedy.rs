//! Words of the command line for the next step after a failure: they name flags and commands.

use crate::Remedy;
use crate::error::Error;
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

/// The next step in the words of the command line, if there is one.
pub(super) fn advice(error: &Error) -> Option<Cow<'_, str>> {
    error.remedy().map(words)
}

/// True once haul stands for aria2c.
static AS_ARIA2C: AtomicBool = AtomicBool::new(false);

/// Names the flags of aria2c from now on.
pub(super) fn speak_as_aria2c() {
    AS_ARIA2C.store(true, Ordering::Relaxed);
}

fn words(remedy: &Remedy) -> Cow<'_, str> {
    match AS_ARIA2C.load(Ordering::Relaxed) {
        true => words_of_aria2c(remedy),
        false => words_of_haul(remedy),
    }
}

/// The next step by the flags of aria2c; those without one are described.
fn words_of_aria2c(remedy: &Remedy) -> Cow<'_, str> {
    match remedy {
        Remedy::StartOver | Remedy::NewVersion | Remedy::LaterOrRestart => {
            "--allow-overwrite=true --remove-control-file=true starts over".into()
        }
        Remedy::DiscardOrRename => {
            "--allow-overwrite=true --remove-control-file=true discards it and starts over; --out saves under another name".into()
        }
        Remedy::DigestOrStartOver | Remedy::DigestOrOwnFiles => {
            "give the digest with --checksum, or start over with --allow-overwrite=true --remove-control-file=true".into()
        }
        Remedy::MoveAwayOrOverwrite | Remedy::KeptMoveAway => {
            "move that file away, or replace it with --allow-overwrite=true".into()
        }
        Remedy::ReplaceKeepOrAccept => {
            "--allow-overwrite=true replaces it, --auto-file-renaming=true keeps both".into()
        }
        Remedy::OtherFile => "it is another file, or another version of it: leave out --continue".into(),
        Remedy::DigestContinues => "give the digest with --checksum, or replace it with --allow-overwrite=true without --continue".into(),
        other => {
            let words = words_of_haul(other);
            // Its flags are not those of aria2c.
            if words.contains("--") || words.contains(" -") { other.to_string().into() } else { words }
        }
    }
}

fn words_of_haul(remedy: &Remedy) -> Cow<'_, str> {
    let text = match remedy {
        Remedy::Again => "run the same command again",
        Remedy::AgainForNextName => "run the same command again: it takes the next name that is free",
        Remedy::AgainToCompare => "run the same command again, to see whether it is complete",
        Remedy::AgainLater => "run the same command again later",
        Remedy::AgainAfterNothingPublished => "nothing was published; run the download again",
        Remedy::LaterOrDigest => {
            "try again later; with a digest (--sha256) the bytes decide, and not what HEAD says"
        }
        Remedy::LaterOrRestart => "try again later; --restart begins anew with what the server says now",
        Remedy::StartOver => "--restart starts over",
        Remedy::NewVersion => "--restart fetches the new version from the beginning",
        Remedy::DiscardOrRename => "--restart discards it and starts over; -o saves under another name",
        Remedy::DigestOrStartOver => "give the digest with --sha256, or start over with --restart",
        Remedy::DigestOrOwnFiles => {
            "give the digest with --sha256; or chmod go-w both if no other user has written to them; or --restart"
        }
        Remedy::NewerHaul => "finish this download with that haul, or start over with --restart",
        Remedy::RunAgainOrDiscard => "run the download again; haul rm discards what is there",
        Remedy::OnlyUnfinished => "haul rm removes only what is unfinished",
        Remedy::MoveAwayOrOverwrite => "move that file away, or replace it with --if-exists overwrite",
        Remedy::KeptMoveAway => {
            "the download is complete and kept: move that file away, or replace it with --if-exists overwrite"
        }
        Remedy::ReplaceKeepOrAccept => {
            "--if-exists overwrite replaces it, rename keeps both, skip accepts it"
        }
        Remedy::ReplaceOrOtherKey => "choose another key with -o, or replace it with --if-exists overwrite",
        Remedy::AwsCredentials => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; --s3-anonymous signs nothing, as public buckets allow"
        }
        Remedy::AwsFreshKeys => "get new credentials, and run the same command again: it goes on",
        Remedy::WaitOrRename => "wait for it to end, or choose another name with -o",
        Remedy::OtherName => "choose another name with -o",
        Remedy::PossibleName(name) => {
            return format!("choose another name with -o: {name} is one that is possible there").into();
        }
        Remedy::ShorterName(name) => {
            return format!("choose a shorter name with -o: {name} is one that is possible there").into();
        }
        Remedy::OtherNameOrPipe => "choose another name with -o; -o - writes to the standard output",
        Remedy::NameTheFile => "name the file with -o FILE",
        Remedy::FreeSpace => "free some space, then run the same command again",
        Remedy::FreeSpaceOrOtherDisk => "free some space, or choose another disk with -d or -o",
        Remedy::CheckAccess => {
            "it is another user's, or its mode keeps you out: see ls -l, or save elsewhere with -d or -o"
        }
        Remedy::WritableDirectory => "choose a directory you may write to with -d or -o",
        Remedy::MakeDirectory => "the directory does not exist; -d DIR creates it",
        Remedy::MoveAwayOrOtherDirectory => "move it away, or choose another directory with -d",
        Remedy::LookOrOtherDirectory => "look at it, or choose another directory with -d",
        Remedy::AllowMore => "--max-size SIZE allows more",
        Remedy::OtherFile => "it is another file, or another version of it: leave out --adopt",
        Remedy::WholeFile => "leave out --range, and take the part from the whole file",
        Remedy::OwnDigest => {
            "the server contradicts itself; fetch again, or give a digest from another source with --sha256, which counts instead"
        }
        Remedy::PublishedDigest => {
            "give the published one, of any algorithm: --sha256 HEX, --checksum md5:HEX, or a list of them with \
             --checksum-file FILE; where none was published, leave out --mirror"
        }
        Remedy::SignersKey => "see which key the publisher names, and give that one with --minisign KEY",
        Remedy::SignHashed => "have it signed with minisign -H, which current versions do by themselves",
        Remedy::PinnedKey => {
            "another server may stand in between, or the server has a new key: name that with --pin only if its owner confirms it"
        }
        Remedy::DigestContinues => {
            "the server gives no strong validator, so the next run starts over; with a digest (--sha256) it goes on"
        }
        Remedy::DigestJoins => "give a digest (--sha256), and what they have in common is joined",
        Remedy::FreshUrl => {
            "run it with a URL that is valid now and the same -o, or with --refresh-cmd CMD, which prints one whenever it is needed"
        }
        Remedy::FreshLink => {
            "the link or the login may have expired, or be good for one request: get a fresh one (--refresh-cmd does that by itself); \
             -x 1 asks for everything in one request"
        }
        Remedy::FreshSameVersion => {
            "let --refresh-cmd print a URL of the same version; --restart begins anew with this one"
        }
        Remedy::CheckRenewal => {
            "look at what --refresh-cmd does, or run the same command with a URL that is valid now"
        }
        Remedy::LookAtUrl => {
            "look at what the URL leads to; if that is the file now, --restart begins anew with it"
        }
        Remedy::SavePacked => {
            "to have it as it is sent, say with -o that it is packed: NAME.gz, NAME.zst, NAME.br; a digest of that does as well"
        }
        Remedy::GiveCredentials => "give credentials with -u, --bearer-file or -H",
        Remedy::CredentialsOrUserAgent => {
            "give credentials with -u, --bearer-file or -H; where a browser gets it without, the server or a firewall may refuse \
             programs by their User-Agent: -A sends another"
        }
        Remedy::GivePassword => "give the right user name and password with -u, or --netrc",
        Remedy::GiveToken => "give a token that is valid for this URL with --bearer-file",
        Remedy::GiveHeader => {
            "haul knows Basic and Digest (-u) and Bearer (--bearer-file); anything else can be given only as it is, with -H 'Authorization: …'"
        }
        Remedy::OneFamily => "the server has IPv4 and IPv6 addresses: -4 or -6 uses one kind alone",
        Remedy::OneAddress => "the server has several addresses: --resolve HOST:PORT:ADDRESS names one",
        Remedy::AllowDowngrade => "--allow-downgrade follows it",
        Remedy::TooOldOrCertificate => {
            return format!(
                "{}; a client certificate is given with --cert FILE and --key FILE",
                Remedy::TooOld
            )
            .into();
        }
        Remedy::TrustIssuer => {
            "if you know the issuer, or the certificate itself, name its certificate with --cacert FILE"
        }
        Remedy::TrustSelfSigned => {
            "if you know that it is the server's own, have it in a file and trust that with --cacert FILE"
        }
        Remedy::TrustAnother => "--cacert FILE names an issuer to trust",
        Remedy::InstallAuthorities => {
            "install the package ca-certificates, or name a file of certificates with --cacert FILE or SSL_CERT_FILE"
        }
        Remedy::ClientCertificate => "--cert FILE and --key FILE give a client certificate",
        Remedy::KeyFile => "name the file that has the private key with --key FILE",
        Remedy::AskProxy => {
            "ask the administrator of the proxy; hosts that need no proxy are named with --noproxy"
        }
        Remedy::Said(text) => return Cow::Borrowed(text),
        // The others name nothing that the command line has other words for.
        other => return other.to_string().into(),
    };
    Cow::Borrowed(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_that_speak_of_a_request_speak_of_a_command_here() {
        for remedy in Remedy::PLAIN {
            let said = words(remedy);
            assert!(!said.contains("the same request"), "{}: {said}", remedy.name());
        }
    }
}
