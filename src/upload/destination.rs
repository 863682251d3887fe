//! An object of S3 as the destination of a download.

use super::api::{Seen, Store, Written};
use super::compare::{Likeness, compared};
use super::hashes::Hashes;
use super::manifest::{Begun, Completing, Found, Manifest, Part, Shared, VERSION, locked};
use super::parts::Parts;
use super::sizes::{Sizes, USUAL};
use crate::engine::{Client, Constraints, Content, Held, IfExists, OwnDestination, Sought};
use crate::error::{Error, Kind, Remedy};
use crate::s3::{Location, S3};
use crate::threads;
use crate::verify::{Algorithm, Digest};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Bytes that may be ahead of those that have left.
const WINDOW: u64 = 8 << 20;
/// Time for giving an upload up.
const LAST: Duration = Duration::from_secs(10);

/// An object of S3 as destination: `s3://bucket/key`.
///
/// The bytes are sent as the parts of a multipart upload, two of 8 MiB at a time (an object of up to 8 MiB is one request; parts are
/// larger where 10,000 of them would not hold the object). Each part has a checksum (CRC-64/NVME). The object appears once everything is there and
/// proven, and only if there is none of its name: `If-None-Match: *`, unless replacing is allowed. If another one has appeared meanwhile, it is
/// compared: the same content is a success, another one an error of kind `Exists`.
///
/// With [`Self::resumable_in`] a later run goes on with the parts that the store has, also after a kill. What was cancelled or broke stays for that; an
/// upload that is wrong is given up (`AbortMultipartUpload`). Nothing of it is visible in the bucket until it is complete.
///
/// It needs a runtime with threads that may block.
///
/// ```no_run
/// # async fn example(client: haul::Client) -> Result<(), haul::Error> {
/// let store = haul::S3::from_environment();
/// let model = haul::S3Destination::new(&client, &store, "s3://models/llama.bin")?.resumable_in("/var/lib/me/uploads");
/// let request = haul::Request::new("https://example.org/llama.bin")?.into_destination(std::sync::Arc::new(model));
/// client.start(request).join().await?;
/// # Ok(())
/// # }
/// ```
pub struct S3Destination {
    location: Location,
    store: Store,
    /// Directory of the records.
    records: Option<PathBuf>,
    if_exists: IfExists,
    state: Mutex<State>,
    released: watch::Sender<bool>,
}

/// State of the upload.
struct State {
    algorithms: Vec<Algorithm>,
    sought: Option<Sought>,
    content: Content,
    hashes: Hashes,
    sizes: Sizes,
    /// Number of the part being filled, from 1, and its bytes.
    number: u32,
    buffer: Vec<u8>,
    position: u64,
    manifest: Option<Shared>,
    upload: Option<String>,
    parts: BTreeMap<u32, Part>,
    sending: Parts,
    /// Runtime of the requests.
    handle: Option<Handle>,
    /// Size of the object that was there at the beginning.
    there: Option<u64>,
    /// Digests of everything.
    digests: Vec<Digest>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            algorithms: Vec::new(),
            sought: None,
            content: Content::default(),
            hashes: Hashes::new(&[]),
            sizes: Sizes::Growing,
            number: 1,
            buffer: Vec::new(),
            position: 0,
            manifest: None,
            upload: None,
            parts: BTreeMap::new(),
            sending: Parts::default(),
            handle: None,
            there: None,
            digests: Vec::new(),
        }
    }
}

impl S3Destination {
    /// The object at `url`, by way of the connections of the client.
    ///
    /// # Errors
    /// `Usage` for a URL that names no object, and for an environment or a profile that makes no sense.
    pub fn new(client: &Client, store: &S3, url: &str) -> Result<Self, Error> {
        let request = store.request(url)?;
        let location = Location::parse(url).map_err(Error::usage)?;
        if location.is_prefix() {
            return Err(Error::usage(format!("{location} names no object, but what objects begin with"))
                .with_remedy(Remedy::NameTheFile));
        }
        if location.version.is_some() {
            return Err(Error::usage("a version is what a store makes: it cannot be written to"));
        }
        Ok(Self {
            store: client.store(&request)?,
            location,
            records: None,
            if_exists: IfExists::Auto,
            state: Mutex::default(),
            released: watch::channel(false).0,
        })
    }

    /// Keeps a record of the upload in this directory, from which a later run goes on. It is created if it is missing.
    #[must_use]
    pub fn resumable_in(mut self, directory: impl Into<PathBuf>) -> Self {
        self.records = Some(directory.into());
        self
    }

    /// Action if there is an object of this name. `Auto` succeeds if it is the requested content: by the digest that is given at once, else once
    /// everything has come. There is no `Rename`.
    ///
    /// # Errors
    /// `Usage` for `Rename`.
    pub fn if_exists(mut self, policy: IfExists) -> Result<Self, Error> {
        if policy == IfExists::Rename {
            return Err(Error::usage("an object is not saved under another name than the one that is given"));
        }
        self.if_exists = policy;
        Ok(self)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic ends the download.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_replace(&self) -> bool {
        self.if_exists == IfExists::Overwrite
    }

    fn exists(&self, what: &str) -> Error {
        self.store.told(
            Error::new(Kind::Exists, format!("{} exists{what}", self.location))
                .with_remedy(Remedy::ReplaceOrOtherKey),
        )
    }

    /// Looks at what is there under this name, before anything is fetched.
    async fn looked(&self, sought: &Sought, state: &mut State) -> Result<Option<Held>, Error> {
        if self.may_replace() {
            return Ok(None);
        }
        let Seen::Object(object) = self.store.look().await? else {
            // Without the right to list, a store denies access to what is not there.
            return Ok(None);
        };
        state.there = Some(object.size);
        match self.if_exists {
            IfExists::Skip => return Ok(Some(Held::Complete(object.size, Vec::new()))),
            IfExists::Error => return Err(self.exists("")),
            _ if sought.digests.is_empty() => return Ok(None),
            _ => {}
        }
        match self.is_same(object.size, None, &sought.digests).await? {
            Some(true) => Ok(Some(Held::Complete(object.size, sought.digests.clone()))),
            _ => Err(self.exists(", and has another digest")),
        }
    }

    /// Compares the object that is there; `None` if there is none.
    async fn is_same(
        &self,
        size: u64,
        known: Option<u64>,
        digests: &[Digest],
    ) -> Result<Option<bool>, Error> {
        let Seen::Object(object) = self.store.look().await? else { return Ok(None) };
        match compared(&object, known, digests) {
            Likeness::Same => Ok(Some(true)),
            Likeness::Other => Ok(Some(false)),
            Likeness::Unknown(algorithm) => {
                let read = self.store.hash(size, algorithm).await?;
                Ok(Some(read.is_some_and(|digest| digests.contains(&digest))))
            }
        }
    }

    /// Decides what an earlier run left.
    async fn taken_up(&self, sought: &Sought, state: &mut State) -> Result<Held, Error> {
        let Some(directory) = &self.records else { return Ok(Held::Nothing) };
        let path = Manifest::path(directory, &self.identity());
        if !path.exists() {
            return Ok(Held::Nothing);
        }
        let (manifest, found) = Manifest::open(&path).map_err(|error| self.store.told(error))?;
        let Found { begun: Some(begun), parts, completing } = found else {
            manifest.remove();
            return Ok(Held::Nothing);
        };
        if sought.restart {
            self.store.abort(&begun.upload).await?;
            manifest.remove();
            return Ok(Held::Lost("what an earlier run has sent is discarded".to_owned()));
        }
        if begun.source != sought.url && sought.digests.is_empty() {
            let cause =
                format!("an upload to {} was begun from another URL: {}", self.location, begun.source);
            return Err(self.store.told(Error::new(Kind::Changed, cause).with_remedy(Remedy::StartOver)));
        }
        let Some(listed) = self.store.parts(&begun.upload).await? else {
            manifest.remove();
            return self.after_the_end(completing, sought).await;
        };
        // The checksums that complete the upload decide in the end.
        let there = |part: &Part| {
            let listed = listed.get(&part.number);
            listed.is_some_and(|one| {
                one.size == part.size && one.etag.as_ref().is_none_or(|etag| *etag == part.etag)
            })
        };
        let mut prefix: Vec<Part> = Vec::new();
        for (number, (_, part)) in (1..).zip(&parts) {
            if part.number != number
                || !there(part)
                || begun.sizes.part(number).is_none_or(|size| part.size > size)
            {
                break;
            }
            prefix.push(part.clone());
        }
        let last = prefix.last();
        let hashes = last.and_then(|last| Hashes::restored(&last.states, &state.algorithms));
        let (Some(last), Some(hashes)) = (last, hashes) else {
            self.store.abort(&begun.upload).await?;
            manifest.remove();
            let why = match prefix.is_empty() {
                true if parts.is_empty() => return Ok(Held::Nothing),
                true => "the store does not have what an earlier run has sent",
                false => "the digest of what an earlier run has sent is not known",
            };
            return Ok(Held::Lost(why.to_owned()));
        };
        let Begun { size, etag, last_modified, date, media_type, .. } = begun.clone();
        let content = Content { size, media_type, etag, last_modified, date };
        let length = prefix.iter().map(|part| part.size).sum();
        (state.hashes, state.sizes, state.number) = (hashes, begun.sizes, last.number + 1);
        (state.position, state.upload, state.manifest) =
            (length, Some(begun.upload), Some(Arc::new(Mutex::new(manifest))));
        state.parts = prefix.into_iter().map(|part| (part.number, part)).collect();
        state.content = content.clone();
        Ok(Held::Prefix(length, content))
    }

    /// The store does not know the upload any more: it is complete, or someone has given it up.
    async fn after_the_end(&self, completing: Option<Completing>, sought: &Sought) -> Result<Held, Error> {
        let lost = Ok(Held::Lost("the store has no upload of that run any more".to_owned()));
        let Some(Completing { size, digests }) = completing else { return lost };
        let digests: Vec<Digest> = digests.iter().filter_map(|text| text.parse().ok()).collect();
        let wanted = |digest: &Digest| digests.contains(digest);
        if !sought.digests.iter().all(wanted) || self.is_same(size, Some(size), &digests).await? != Some(true)
        {
            return lost;
        }
        Ok(Held::Complete(size, digests))
    }

    /// Name of the destination in the world: a bucket of one name may be in several stores.
    fn identity(&self) -> String {
        format!("{} {}", self.store.base.origin(), self.location)
    }

    /// Takes bytes; sends each part that is full and not the last.
    fn take(&self, state: &mut State, mut bytes: &[u8]) -> Result<(), Error> {
        let arrived = state.sending.arrived()?;
        Self::count(state, arrived);
        while !bytes.is_empty() {
            let size = state.sizes.part(state.number).ok_or_else(too_many)?;
            let room = usize::try_from(size).unwrap_or(usize::MAX).saturating_sub(state.buffer.len());
            if room == 0 {
                self.send_full(state)?;
                continue;
            }
            let (now, rest) = bytes.split_at(bytes.len().min(room));
            if state.buffer.capacity() == 0 {
                let left = state.content.size.map_or(USUAL, |whole| whole.saturating_sub(state.position));
                state.buffer.reserve_exact(usize::try_from(left.min(size)).unwrap_or(0).max(now.len()));
            }
            state.buffer.extend_from_slice(now);
            state.hashes.update(now);
            (state.position, bytes) = (state.position + now.len() as u64, rest);
        }
        Ok(())
    }

    /// Sends the part that was filled.
    fn send_full(&self, state: &mut State) -> Result<(), Error> {
        let handle = state.handle.clone().ok_or_else(|| Error::defect("an upload without a runtime"))?;
        if state.upload.is_none() {
            handle.block_on(self.begin_upload(state))?;
        }
        let Some(upload) = state.upload.clone() else {
            return Err(Error::defect("an upload without a name"));
        };
        let most = state.sizes.at_once(state.number);
        let mut released = self.released.subscribe();
        let arrived = handle.block_on(state.sending.room(most, &self.store, &mut released));
        Self::count(state, arrived?);
        let bytes = std::mem::take(&mut state.buffer);
        let part = (state.number, bytes.into());
        let states = if state.manifest.is_some() { state.hashes.states() } else { Vec::new() };
        let record = (state.manifest.as_ref(), states);
        state.sending.send(&handle, (&self.store, &upload), part, record);
        state.number += 1;
        Ok(())
    }

    async fn begin_upload(&self, state: &mut State) -> Result<(), Error> {
        // It is locked before the store is asked, and recorded before a part is sent.
        if let (Some(directory), None) = (&self.records, &state.manifest) {
            let opened = Manifest::open(&Manifest::path(directory, &self.identity()));
            let (manifest, _) = opened.map_err(|error| self.store.told(error))?;
            state.manifest = Some(Arc::new(Mutex::new(manifest)));
        }
        let Content { size, media_type, etag, last_modified, date } = state.content.clone();
        let upload = self.store.create(media_type.as_deref()).await?;
        state.upload = Some(upload.clone());
        let source = state.sought.as_ref().map(|sought| sought.url.clone()).unwrap_or_default();
        let (destination, sizes) = (self.location.to_string(), state.sizes);
        let version = VERSION;
        let begun = Begun {
            version,
            destination,
            source,
            upload,
            sizes,
            size,
            etag,
            last_modified,
            date,
            media_type,
        };
        state.manifest.as_ref().map_or(Ok(()), |manifest| locked(manifest).begin(begun))
    }

    /// Counts parts that the store has.
    fn count(state: &mut State, arrived: Vec<Part>) {
        state.parts.extend(arrived.into_iter().map(|part| (part.number, part)));
    }

    /// Writes the object.
    async fn commit(&self, state: &mut State, size: u64, digests: &[Digest]) -> Result<(), Error> {
        let all = [digests, &state.digests].concat();
        for _ in 0..=self.store.retries {
            let written = match state.upload.clone() {
                None => {
                    let bytes = bytes::Bytes::from(state.buffer.clone());
                    self.store.put(bytes, state.content.media_type.as_deref(), self.may_replace()).await?
                }
                Some(upload) => self.complete(state, &upload, size).await?,
            };
            match written {
                Written::Done => return Ok(()),
                Written::Exists | Written::Unknown => {}
            }
            // A request whose answer was lost may have been the one that made it.
            match self.is_same(size, Some(size), &all).await? {
                Some(true) => return Ok(()),
                Some(false) => return Err(self.exists(" by now, and is another one")),
                None if matches!(written, Written::Exists) => {}
                None => {
                    let cause = "the upload was given up by another program";
                    return Err(self.store.told(Error::new(Kind::Changed, cause).with_remedy(Remedy::Again)));
                }
            }
        }
        Err(self.exists(" and goes, again and again"))
    }

    async fn complete(&self, state: &mut State, upload: &str, size: u64) -> Result<Written, Error> {
        if !state.buffer.is_empty() {
            let part = (state.number, std::mem::take(&mut state.buffer).into());
            let handle = Handle::current();
            let states = if state.manifest.is_some() { state.hashes.states() } else { Vec::new() };
            let record = (state.manifest.as_ref(), states);
            state.sending.send(&handle, (&self.store, upload), part, record);
            state.number += 1;
        }
        let arrived = state.sending.all().await?;
        Self::count(state, arrived);
        let sum: u64 = state.parts.values().map(|part| part.size).sum();
        if sum != size || !(1..state.number).eq(state.parts.keys().copied()) {
            return Err(Error::defect("an upload that lacks a part"));
        }
        if let Some(manifest) = &state.manifest {
            // The checksum is no digest that a text can name.
            let named = state.digests.iter().filter(|digest| digest.algorithm() != Algorithm::Crc64Nvme);
            locked(manifest)
                .completing(Completing { size, digests: named.map(ToString::to_string).collect() })?;
        }
        let list: Vec<_> =
            state.parts.values().map(|part| (part.number, &part.etag[..], &part.checksum[..])).collect();
        let whole = state.digests.iter().find(|digest| digest.algorithm() == Algorithm::Crc64Nvme);
        self.store.complete(upload, &list, whole, self.may_replace()).await
    }

    /// Gives the upload up, and forgets what has come.
    async fn abort(&self, state: &mut State) -> Result<(), Error> {
        state.sending.end(false).await;
        if let Some(upload) = state.upload.take() {
            self.store.abort(&upload).await?;
        }
        if let Some(manifest) = state.manifest.take() {
            locked(&manifest).remove();
        }
        let (handle, sought, there) = (state.handle.take(), state.sought.take(), state.there);
        let algorithms = std::mem::take(&mut state.algorithms);
        *state =
            State { hashes: Hashes::new(&algorithms), handle, sought, there, algorithms, ..State::default() };
        Ok(())
    }

    /// Runs requests of this thread, which may block.
    fn run<T>(&self, requests: impl AsyncFnOnce(&Self, &mut State) -> Result<T, Error>) -> io::Result<T> {
        let state = &mut *self.lock();
        let handle = state.handle.clone().ok_or_else(|| io::Error::other("an upload without a runtime"))?;
        handle.block_on(requests(self, state)).map_err(io::Error::other)
    }
}

fn too_many() -> Error {
    Error::new(
        Kind::Unsafe,
        "the object would have more than 10,000 parts, or parts of more than 5 GiB: S3 stores none as large",
    )
}

impl OwnDestination for S3Destination {
    fn constraints(&self) -> Constraints {
        let mut constraints = Constraints::in_order();
        (constraints.window, constraints.digests) = (Some(WINDOW), true);
        constraints
    }

    fn expect(&self, algorithms: &[Algorithm]) {
        let mut state = self.lock();
        if state.position == 0 {
            state.algorithms = algorithms.to_vec();
            state.hashes = Hashes::new(algorithms);
        }
    }

    fn held(&self, sought: &Sought) -> io::Result<Held> {
        if threads::one_does() {
            let cause = "an upload needs threads, and this process may start none";
            return Err(io::Error::other(Error::new(Kind::Other, cause)));
        }
        self.lock().handle = Some(Handle::current());
        self.run(async |own, state| {
            state.sought = Some(sought.clone());
            match own.looked(sought, state).await? {
                Some(held) => Ok(held),
                None => own.taken_up(sought, state).await,
            }
        })
    }

    fn begin(&self, content: &Content) -> io::Result<()> {
        self.run(async |own, state| {
            state.sizes = Sizes::of(content.size).ok_or_else(too_many)?;
            state.content = content.clone();
            // Nothing is fetched in vain for an object that is another one.
            match (content.size, state.there) {
                (Some(size), Some(there)) if size != there => Err(own.exists(", and has another size")),
                _ => Ok(()),
            }
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let state = &mut *self.lock();
        if offset != state.position {
            return Err(io::Error::other(Error::defect("bytes of an upload that are out of order")));
        }
        self.take(state, bytes).map_err(io::Error::other)
    }

    fn digests(&self) -> io::Result<Vec<Digest>> {
        let state = &mut *self.lock();
        state.digests = state.hashes.digests();
        // A digest that was not expected is told as well: it was computed over all bytes.
        let told = |digest: &&Digest| {
            state.algorithms.contains(&digest.algorithm())
                || (state.algorithms.is_empty() && digest.algorithm() == Algorithm::Sha256)
        };
        Ok(state.digests.iter().filter(told).cloned().collect())
    }

    fn publish(&self, size: u64, digests: &[Digest]) -> io::Result<()> {
        self.run(async |own, state| {
            own.commit(state, size, digests).await?;
            if let Some(manifest) = state.manifest.take() {
                locked(&manifest).remove();
            }
            (state.upload, state.buffer) = (None, Vec::new());
            Ok(())
        })
    }

    fn discard(&self) -> io::Result<()> {
        self.run(async |own, state| own.abort(state).await)
    }

    fn give_up_for(&self, why: &Error) -> u64 {
        let given_up = self.run(async |own, state| {
            let may_restart = state.sought.as_ref().is_none_or(|sought| sought.may_restart);
            let is_wrong = match why.kind() {
                Kind::Checksum | Kind::Exists | Kind::Unsafe => true,
                Kind::Changed => may_restart,
                _ => false,
            };
            if is_wrong || state.manifest.is_none() {
                // A store that cannot be reached is not waited for.
                let _ = tokio::time::timeout(LAST, own.abort(state)).await;
                return Ok(0);
            }
            let arrived = state.sending.end(true).await;
            Self::count(state, arrived);
            // The next process may have it.
            state.manifest = None;
            let prefix = (1..).zip(&state.parts).take_while(|(number, (other, _))| number == *other);
            Ok(prefix.map(|(_, (_, part))| part.size).sum())
        });
        given_up.unwrap_or_default()
    }

    fn release(&self) {
        self.released.send_replace(true);
    }
}

impl fmt::Debug for S3Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3Destination").field(&self.location.to_string()).finish()
    }
}

impl Client {
    /// Operations on the object of a request.
    fn store(&self, request: &crate::engine::Request) -> Result<Store, Error> {
        let (requester, settings) = self.speaking_to(request)?;
        Ok(Store {
            requester,
            base: request.address().clone(),
            stall: settings.stall_timeout,
            retries: settings.retries,
            longest_wait: settings.retry_after_cap,
            overloaded: Default::default(),
        })
    }
}
