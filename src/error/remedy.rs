//! Advice on the next step after a failure, as a value: each front end words it for its own controls.

use std::borrow::Cow;
use std::fmt;

/// Defines the remedies without data: variant, stable name, and the advice in words that fit any front end.
macro_rules! remedies {
    ($($variant:ident $name:literal $text:literal)*) => {
        /// Next step after a failure.
        ///
        /// `Display` words it for any caller; a front end that has flags, buttons or fields matches on the value and names them.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Remedy {
            $(#[doc = concat!("Advice: ", $text, ".")] $variant,)*
            /// Save under another name; the one given here is possible there.
            PossibleName(String),
            /// Save under a shorter name; the one given here is possible there.
            ShorterName(String),
            /// Advice in the words of the front end that made the error.
            Said(Cow<'static, str>),
        }

        impl Remedy {
            /// Stable name, for programs.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::PossibleName(_) => "possible_name",
                    Self::ShorterName(_) => "shorter_name",
                    Self::Said(_) => "said",
                }
            }

            /// The remedies without data.
            #[cfg(test)]
            pub(crate) const PLAIN: &[Self] = &[$(Self::$variant,)*];
        }

        impl fmt::Display for Remedy {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($text),)*
                    Self::PossibleName(name) => write!(f, "choose another name: {name} is one that is possible there"),
                    Self::ShorterName(name) => write!(f, "choose a shorter name: {name} is one that is possible there"),
                    Self::Said(text) => f.write_str(text),
                }
            }
        }
    };
}

remedies! {
    // Time.
    Again "again" "make the same request again"
    AgainForNextName "again_for_next_name" "make the same request again: it takes the next name that is free"
    AgainToCompare "again_to_compare" "make the same request again, to see whether the file is complete"
    AgainLater "again_later" "make the same request again later"
    AgainAfterNothingPublished "again_nothing_published" "nothing was published; make the same request again"
    LaterOrOtherUrl "later_or_other_url" "try again later, or with another URL of the file"
    LaterOrDigest "later_or_digest" "try again later; with a digest the bytes decide, and not what HEAD says"
    LaterOrRestart "later_or_restart" "try again later, or start over with what the server says now"

    // Bytes on disk.
    StartOver "start_over" "start over"
    NewVersion "new_version" "start over, which fetches the new version from the beginning"
    DiscardOrRename "discard_or_rename" "discard it and start over, or save under another name"
    DigestOrStartOver "digest_or_start_over" "give the digest, or start over"
    DigestOrOwnFiles "digest_or_own_files"
        "give the digest; or take the write permission on both from other users, if none has written to them; or start over"
    NewerHaul "newer_haul" "finish this download with the version that began it, or start over"
    RunAgainOrDiscard "run_again_or_discard" "download it again, or discard what is there"
    NewerQueue "newer_queue" "open the queue with the version that wrote it, or use another session file"
    CorruptQueue "corrupt_queue"
        "move the session file away and add the jobs again; partial downloads continue from their manifests"
    QueueInUse "queue_in_use" "close the other queue, or use another session file"
    OnlyUnfinished "only_unfinished" "only what is unfinished can be removed"
    MoveForeignAway "move_foreign_away" "look at it, and move it away if it is not yours"
    RemoveByHand "remove_by_hand" "look at it, and remove it by hand if it is yours"
    MoveAwayOrOverwrite "move_away_or_overwrite" "move that file away, or allow it to be replaced"
    KeptMoveAway "kept_move_away"
        "the download is complete and kept: move that file away, or allow it to be replaced"
    ReplaceKeepOrAccept "replace_keep_or_accept" "allow it to be replaced, keep both, or accept it as it is"
    ReplaceOrOtherKey "replace_or_other_key" "choose another key, or allow it to be replaced"
    WaitOrRename "wait_or_rename" "wait for it to end, or choose another name"
    OtherName "other_name" "choose another name"
    OtherNameOrPipe "other_name_or_pipe" "choose another name, or write to a pipe"
    NameTheFile "name_the_file" "name the file"
    ToAFile "to_a_file" "save to a file instead: a pipe cannot start over"
    OutputIsWrong "output_is_wrong" "what was written to the output is not the wanted file"
    FreeSpace "free_space" "free some space, then make the same request again"
    FreeSpaceOrOtherDisk "free_space_or_other_disk" "free some space, or choose another disk"
    CheckAccess "check_access"
        "it is another user's, or its mode keeps you out: look at its mode, or save elsewhere"
    WritableDirectory "writable_directory" "choose a directory you may write to"
    MakeDirectory "make_directory" "the directory does not exist; have it created"
    MoveAwayOrOtherDirectory "move_away_or_other_directory" "move it away, or choose another directory"
    LookOrOtherDirectory "look_or_other_directory" "look at it, or choose another directory"
    AllowMore "allow_more" "allow more bytes"
    Report "report" "please report it; nothing was published"

    // Digests.
    CompareDigest "compare_digest"
        "compare the digest with the one that was published; running again starts over, unless the digest given then is the one the file has"
    OtherFile "other_file" "it is another file, or another version of it: fetch it without that one"
    WholeFile "whole_file" "fetch the whole file"
    OwnDigest "own_digest"
        "the server contradicts itself; fetch again, or give a digest from another source, which counts instead"
    PublishedDigest "published_digest"
        "give the published digest, of any algorithm; where none was published, leave out the mirrors"
    CompareSignature "compare_signature"
        "see that the signature is the one of this version of the file; running again starts over, unless the signature given then is right"
    SignersKey "signers_key" "see which key the publisher names, and give that one"
    SignHashed "sign_hashed" "have it signed by a current minisign, which hashes files before it signs them"
    OneDigest "one_digest" "look up which one was published, and give that one alone"
    DigestContinues "digest_continues"
        "the server gives no strong validator, so the next run starts over; with a digest it goes on"
    DigestJoins "digest_joins" "give a digest, and what they have in common is joined"

    // URLs and credentials.
    FreshUrl "fresh_url"
        "give a URL that is valid now, for the same file on disk, or a way to get one whenever it is needed"
    FreshLink "fresh_link"
        "the link or the login may have expired, or be good for one request: get a fresh one, or ask for everything in one request"
    FreshSameVersion "fresh_same_version" "get a fresh URL of the same version, or start over with this one"
    CheckRenewal "check_renewal" "look at what gives the fresh URLs, or give a URL that is valid now"
    LookAtUrl "look_at_url" "look at what the URL leads to; if that is the file now, start over with it"
    SavePacked "save_packed"
        "to have it as it is sent, name it as packed: NAME.gz, NAME.zst, NAME.br; a digest of that does as well"
    CheckHost "check_host" "check how the host is written, and that this machine can look names up"
    CheckNameInUrl "check_name_in_url" "see that the name in the URL is right"
    GiveCredentials "give_credentials" "give credentials"
    CredentialsOrUserAgent "credentials_or_user_agent"
        "give credentials; where a browser gets it without, the server or a firewall may refuse programs by their User-Agent: send another"
    GivePassword "give_password" "give the right user name and password"
    GiveToken "give_token" "give a token that is valid for this URL"
    GiveHeader "give_header"
        "Basic, Digest and Bearer are known; anything else can be given only as it is, in an Authorization header"
    OneFamily "one_family" "the server has IPv4 and IPv6 addresses: use one kind alone"
    OneAddress "one_address" "the server has several addresses: name the one to use"
    AllowDowngrade "allow_downgrade" "allow redirects from https to http"

    // S3.
    AwsCredentials "aws_credentials"
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; a public bucket needs no signature"
    AwsProfile "aws_profile" "see which profiles ~/.aws/config and ~/.aws/credentials have, and name one of them in AWS_PROFILE"
    AwsExport "aws_export" "the AWS tools put such keys into the environment: aws configure export-credentials"
    AwsPermission "aws_permission"
        "see that the policies of the user and of the bucket allow it; where no object is, a store denies access to those who may not list the bucket"
    AwsFreshKeys "aws_fresh_keys" "get new credentials, and make the same request again: it goes on"
    AwsBucket "aws_bucket" "see that the bucket, the endpoint and the region are right"
    AwsKey "aws_key" "see that the key is right, to the letter: it is written without encoding"
    AwsClock "aws_clock" "set the clock of this machine right"
    AwsRegion "aws_region" "name the region of the bucket in AWS_REGION"
    AwsRestore "aws_restore" "have it restored first, and try again then"
    AwsEndpoint "aws_endpoint" "look at AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL and endpoint_url in the profile"

    // TLS.
    HttpsUrl "https_url" "write https:// in the URL"
    HttpUrl "http_url" "a server that speaks plain HTTP is written with http:// in the URL"
    TooOld "too_old"
        "haul speaks TLS 1.2 and 1.3 with cipher suites of forward secrecy (ECDHE over X25519, P-256 or P-384, with AES-GCM or ChaCha20), and knows RSA, P-256, P-384 and Ed25519 keys in certificates; a server that has only older ones is too old"
    TooOldOrCertificate "too_old_or_certificate"
        "haul speaks TLS 1.2 and 1.3 with cipher suites of forward secrecy (ECDHE over X25519, P-256 or P-384, with AES-GCM or ChaCha20), and knows RSA, P-256, P-384 and Ed25519 keys in certificates; a server that has only older ones is too old; or give a client certificate and its key"
    RenewCertificate "renew_certificate"
        "it is for the server's owner to renew it; if it should be valid, see that the clock of this machine is right"
    NameInCertificate "name_in_certificate"
        "it is for the server's owner to make a certificate with the host's name or address in subjectAltName"
    TrustIssuer "trust_issuer" "if you know the issuer, or the certificate itself, trust its certificate"
    TrustSelfSigned "trust_self_signed"
        "if you know that it is the server's own, have it in a file and trust that"
    TrustAnother "trust_another" "name an issuer to trust"
    PinnedKey "pinned_key"
        "another server may stand in between, or the server has a new key: pin that only if its owner confirms it"
    InstallAuthorities "install_authorities"
        "install the package ca-certificates, or name a file of certificates, also in SSL_CERT_FILE"
    ClientCertificate "client_certificate" "give a client certificate and its key"
    KeyFile "key_file" "name the file that has the private key"

    // Proxies.
    HttpsProxy "https_proxy" "write https:// in the URL of the proxy"
    HttpProxyFor "http_proxy_for_https"
        "a proxy that is spoken to in plain HTTP is written with http:// in its URL, even where it serves https URLs"
    HttpProxy "http_proxy" "a proxy that speaks http is written as http://HOST:PORT"
    SocksProxy "socks_proxy" "a proxy that speaks SOCKS 5 is written as socks5h://HOST:PORT"
    SocksLookUp "socks_look_up" "with socks5:// names are looked up here"
    ProxySyntax "proxy_syntax"
        "a proxy is written as http://HOST:PORT or HOST:PORT; also https, socks5 and socks5h; signs like @, / and # in a password as %40, %2F and %23"
    NoProxySyntax "no_proxy_syntax"
        "written are names, .domains, addresses, networks like 10.0.0.0/8, HOST:PORT, and * for all"
    ProxyPassword "proxy_password"
        "write the user name and password into the URL of the proxy: http://USER:PASSWORD@HOST:PORT"
    SocksPassword "socks_password"
        "write the user name and password into the URL of the proxy: socks5h://USER:PASSWORD@HOST:PORT"
    ProxyBasicOnly "proxy_basic_only"
        "haul gives a proxy a name and a password by Basic only; a proxy of your own in between may speak the rest"
    SocksPasswordOnly "socks_password_only"
        "SOCKS 5 knows other ways to authenticate; haul knows only this one"
    AskProxy "ask_proxy" "ask the administrator of the proxy, or except the host from it"
    IsItAProxy "is_it_a_proxy" "is it a proxy at all? a proxy for http URLs only cannot be used for https"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_remedy_has_a_name_and_words_of_its_own_and_none_names_a_flag() {
        let names: BTreeSet<_> = Remedy::PLAIN.iter().map(Remedy::name).collect();
        assert_eq!(names.len(), Remedy::PLAIN.len());
        let texts: BTreeSet<_> = Remedy::PLAIN.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), Remedy::PLAIN.len());
        for text in texts {
            let flag = |word: &str| word.starts_with('-') || word.starts_with("(-");
            assert!(!text.split(' ').any(flag), "{text}");
        }
    }
}
