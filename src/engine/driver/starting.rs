//! From a request to a driver: waits for the job slot, inspects the disk, and decides what can be built upon.

use super::{Driver, PIPE_WINDOW, Prepared, Wants, cancellation, until_cancelled};
use crate::clock::Clock;
use crate::destination::inspect::{self, Existing, Opening, TargetState};
use crate::destination::{
    Destination, FileSpec, FileWork, Held, OwnDestination, OwnWork, PipeWork, Sought, blocking, held,
    in_order,
};
use crate::engine::attempts::Attempts;
use crate::engine::context::Context;
use crate::engine::control::Orders;
use crate::engine::disk_use::DiskUse;
use crate::engine::event::Notice;
use crate::engine::limit::{Limit, Limits};
use crate::engine::probe::{name_of_answer, probe, survey};
use crate::engine::progress::Phase;
use crate::engine::publisher::Publisher;
use crate::engine::report::{ProvedBy, Report};
use crate::engine::request::{Output, Request, Writer};
use crate::engine::slots::{JobSlot, Place};
use crate::engine::worker::{Requesters, Shared};
use crate::error::{Error, Kind, Remedy};
use crate::formats::span::Span;
use crate::manifest::Trusted;
use crate::plan::concurrency::Allowance;
use crate::plan::packing::Packing;
use crate::plan::representation::Representation;
use crate::plan::transfer::{Policy, Transfer};
use crate::plan::{Address, ByteRange, RangeSet};
use crate::storage::{Placed, Target, open_device};
use crate::transport::Requester;
use crate::verify::Digest;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Downloads one file, from its slot to its end.
pub(in crate::engine) async fn run(
    context: Arc<Context>,
    request: Request,
    place: Place,
    mut publisher: Publisher,
    mut cancelled: watch::Receiver<bool>,
    mut orders: Orders,
) -> Result<Report, Error> {
    let address = request.address.clone();
    let mut early = cancelled.clone();
    let outcome = tokio::select! {
        biased;
        () = until_cancelled(&mut early) => Err(cancellation()),
        slot = orders.slot(&context.slots, place, &publisher) => {
            // The elapsed time begins now, and not while it was queued.
            publisher.clock = Clock::start();
            take_turn(&context, request, slot, &mut publisher, &mut cancelled, &mut orders).await
        }
    };
    publisher.phase(Phase::Ended);
    outcome.map_err(|error| error.with_url(&address))
}

async fn take_turn(
    context: &Context,
    request: Request,
    slot: JobSlot,
    publisher: &mut Publisher,
    cancelled: &mut watch::Receiver<bool>,
    orders: &mut Orders,
) -> Result<Report, Error> {
    publisher.phase(Phase::Starting);
    let mut early = cancelled.clone();
    let prepared = tokio::select! {
        biased;
        () = until_cancelled(&mut early) => return Err(cancellation()),
        prepared = prepare(context, request, publisher) => prepared?,
    };
    match prepared {
        Prepared::Satisfied(report) => Ok(*report),
        Prepared::Ready(mut driver) => {
            driver.slot = Some(slot);
            driver.drive(publisher, cancelled, orders).await
        }
    }
}

async fn prepare(
    context: &Context,
    mut request: Request,
    publisher: &mut Publisher,
) -> Result<Prepared, Error> {
    if let Output::File(path) = &request.output
        && request.root.is_none()
        && let Some(device) = open_device(&request.directory.join(path))?
    {
        request.output = Output::Stream(Writer::new(device));
    }
    locate_part(context, &mut request).await?;
    let requesters = context.requesters(&request)?;
    context.hosts.load().await;
    let host = context.hosts.of(request.address.origin());
    host.prepare(&context.exchange);
    let host_limit = host.limit();
    let policy = policy(context, &request);
    if matches!(policy.connections, Allowance::Adaptive(_)) {
        host.recall_refusal();
    }
    let addresses = request.sources().cloned().collect();
    let sources = request.sources().map(ToString::to_string).collect();
    let mirrors = request.sources().skip(1).map(Address::to_record).collect();
    let suggested = match request.asks_for_its_name() {
        // The download itself tells what is wrong, and tries again.
        true if request.takes_name_of_answer() => Box::pin(name_of_answer(&requesters[0])).await,
        true => Box::pin(survey(&requesters[0])).await?.suggested_name(),
        false => None,
    };
    let target = request.target(suggested)?;
    let proving = request.proving_pieces().cloned();
    let Request { address, digests, if_exists, restart, create_directory, output, .. } = request;
    let Request { named_by, size, may_restart, signature, .. } = request;
    let spec = FileSpec {
        address,
        named_by,
        mirrors,
        digests,
        stated_by: documents_of(&request.proved_by),
        signature,
        published: Vec::new(),
        mirrored: false,
        pieces: proving,
        size,
        if_exists,
        restart,
        may_restart,
    };
    let mut wants = Wants {
        spec,
        inline: context.settings.inline_writes,
        remote_time: request.remote_time,
        mode: None,
        connections: policy.connections.most(),
        max_size: request.max_size.into_iter().chain(context.settings.max_size).min(),
        host,
        sources,
        small_files: context.small_files.clone(),
        limits: Limits {
            file: Limit::new(request.limit_rate),
            host: host_limit,
            overall: context.limit.clone(),
        },
        connections_wanted: request.connections,
        most_connections: context.settings.most_connections.unwrap_or(usize::MAX),
        addresses,
        yielder: context.yielder.clone(),
        slots: context.slots.clone(),
        proved_by: request.proved_by,
        pieces: request.pieces,
        pieces_by: request.pieces_by,
        is_part: request.span.is_some(),
        find_mirrors: context.settings.find_mirrors,
    };
    let Some(target) = target else {
        return match output {
            Output::Stream(out) => {
                let work = PipeWork::new(out.into_box(), PIPE_WINDOW, &wants.spec.algorithms());
                let transfer = Transfer::new(policy);
                Ok(Driver::into_no_file(requesters, wants, transfer, Destination::Pipe(work), publisher))
            }
            Output::Own(own) => into_own(requesters, policy, wants, own, publisher).await,
            Output::Named | Output::File(_) => Err(Error::defect("a file without a target")),
        };
    };
    let seen = context.directory_seen.clone();
    let looking = move || {
        let placed = inspect::place(target, create_directory, &seen)?;
        let untouched = inspect::is_untouched(&placed.target, &seen)?;
        Ok((placed, untouched))
    };
    // Checking a few names takes no longer than handing it to another thread.
    let (Placed { target, note }, untouched) =
        if wants.inline { looking()? } else { blocking(looking).await? };
    if let Some(note) = note {
        publisher.notice(Notice::Renamed, note);
    }
    if untouched {
        if let [requester] = &requesters[..] {
            let many = context.slots.expects_small() && wants.host.is_far();
            requester.many.store(many, Ordering::Relaxed);
        }
        return Ok(Prepared::Ready(Box::new(Driver::into_nothing(
            requesters,
            policy,
            wants,
            target,
            publisher.clock,
        ))));
    }
    let spec = wants.spec.clone();
    let target = match blocking(move || inspect::look(target, &spec)).await? {
        TargetState::Free { target, mode } => {
            wants.mode = mode;
            target
        }
        TargetState::Skipped { target, size } => {
            let text = format!("{} exists and is left as it is", target.path().display());
            publisher.notice(Notice::AlreadyComplete, text);
            let report = nothing_to_do(publisher, &wants, Some(&target), size, vec![]);
            return Ok(Prepared::Satisfied(Box::new(report)));
        }
        TargetState::Satisfied { target, size, digests } => {
            let report = satisfied(publisher, &wants, &target, size, digests);
            return Ok(Prepared::Satisfied(Box::new(report)));
        }
        TargetState::Sealed { target, seal } => {
            let now = Box::pin(survey(&requesters[0])).await?.representation;
            if !now.is_version(Some(seal.size), &seal.validators) {
                let told = now.validators.strong().is_some() && seal.validators.strong().is_some();
                return Err(inspect::exists(
                    &target,
                    if told {
                        ", and the server has another version now"
                    } else {
                        ", and nothing shows whether the server has the same version still"
                    },
                ));
            }
            inspect::clean_up(&target)?;
            let report = satisfied(publisher, &wants, &target, seal.size, vec![]);
            return Ok(Prepared::Satisfied(Box::new(report)));
        }
    };
    let spec = wants.spec.clone();
    let existing = match blocking(move || inspect::open(target, &spec)).await? {
        Opening::Ready(existing) => existing,
        Opening::Unconfirmed { partial_file, raw } => {
            let now = Box::pin(asked_about(&requesters[0], &raw.file.representation)).await?;
            let spec = wants.spec.clone();
            blocking(move || inspect::judged(partial_file, &raw, &now, &spec)).await?
        }
    };
    if let Existing::Built { trusted, .. } = &existing {
        wants.refuse_too_large(trusted.representation.complete_length)?;
        wants.refuse_other_pieces(trusted.representation.complete_length)?;
    }
    Ok(Prepared::Ready(Box::new(Driver::into_file(requesters, policy, wants, existing, publisher))))
}

/// Prepares a download into a destination of the caller's own, which may hold some of it.
async fn into_own(
    requesters: Vec<Requester>,
    policy: Policy,
    wants: Wants,
    own: Arc<dyn OwnDestination>,
    publisher: &mut Publisher,
) -> Result<Prepared, Error> {
    let algorithms = wants.spec.algorithms();
    let FileSpec { address, digests, restart, may_restart, .. } = &wants.spec;
    let (restart, may_restart) = (*restart, *may_restart);
    let sought = Sought { url: address.to_record(), digests: digests.clone(), restart, may_restart };
    let (mut from, mut known) = (0, None);
    match held(own.clone(), sought, algorithms.clone()).await? {
        Held::Nothing => {}
        Held::Lost(why) => publisher.notice(Notice::Restarting, format!("starting over: {why}")),
        Held::Prefix(length, content) => {
            let representation = content.to_representation();
            wants.refuse_too_large(representation.complete_length)?;
            (from, known) = (length, Some(representation));
        }
        Held::Complete(_, digests)
            if !digests.is_empty()
                && wants.spec.signature.is_some()
                && wants.spec.check(&digests).is_err() =>
        {
            let cause = "the destination is complete already, and its signature was not verified";
            return Err(Error::new(Kind::Exists, cause).with_remedy(Remedy::ReplaceOrOtherKey));
        }
        Held::Complete(size, digests) => {
            publisher.notice(Notice::AlreadyComplete, "the destination is complete already");
            let report = nothing_to_do(publisher, &wants, None, size, digests);
            return Ok(Prepared::Satisfied(Box::new(report)));
        }
    }
    let mut destination = match in_order(own.as_ref(), &algorithms) {
        Some(window) => Destination::Pipe(PipeWork::into_own(own, window, &algorithms, from)),
        None => Destination::Own(OwnWork::new(own, &algorithms)),
    };
    let Some(known) = known else {
        let transfer = Transfer::new(policy);
        return Ok(Driver::into_no_file(requesters, wants, transfer, destination, publisher));
    };
    let mut have = RangeSet::new();
    have.insert(ByteRange::new(0, from));
    let mut transfer = Transfer::resume(policy.clone(), known, have);
    if transfer.joinable() {
        publisher.resumed = from;
        transfer.handle_drained(from);
    } else {
        publisher
            .notice(Notice::Restarting, "starting over: there is neither a strong validator nor a digest");
        transfer = Transfer::new(policy);
        destination.clear(String::new()).await?;
    }
    let prepared = Driver::into_no_file(requesters, wants, transfer, destination, publisher);
    if publisher.resumed > 0
        && let Prepared::Ready(driver) = &prepared
    {
        driver.tell_started(publisher);
    }
    Ok(prepared)
}

/// Finds the place of a part that is given by its distance from the end.
async fn locate_part(context: &Context, request: &mut Request) -> Result<(), Error> {
    if let Some(Span::Last(bytes)) = request.span {
        let requesters = context.requesters(request)?;
        let length = Box::pin(survey(&requesters[0])).await?.representation.complete_length;
        let length = length.ok_or_else(|| {
            Error::new(Kind::Http, "the server states no length, so nothing shows where the part begins")
        })?;
        request.span = Some(Span::From(length.saturating_sub(bytes), Some(length)));
    }
    request.name_part();
    Ok(())
}

/// Version that the server has now. If HEAD does not confirm `known`, a GET decides.
async fn asked_about(requester: &Requester, known: &Representation) -> Result<Representation, Error> {
    let now = survey(requester).await?.representation;
    match now.is_version(known.complete_length, &known.validators) {
        true => Ok(now),
        false => Ok(probe(requester).await?.representation),
    }
}

fn satisfied(
    publisher: &mut Publisher,
    wants: &Wants,
    target: &Target,
    size: u64,
    digests: Vec<Digest>,
) -> Report {
    let path = target.path();
    let beside = if target.part_path().exists() { "; an unfinished download lies beside it" } else { "" };
    publisher.notice(Notice::AlreadyComplete, format!("{} is complete already{beside}", path.display()));
    Report { pieces: wants.piece_proof(), ..nothing_to_do(publisher, wants, Some(target), size, digests) }
}

fn nothing_to_do(
    publisher: &Publisher,
    wants: &Wants,
    target: Option<&Target>,
    size: u64,
    digests: Vec<Digest>,
) -> Report {
    Report {
        url: wants.spec.address.to_string(),
        path: target.map(Target::path),
        already_there: true,
        size,
        sources: Vec::new(),
        fetched: 0,
        wasted: 0,
        resumed: size,
        elapsed: publisher.clock.now(),
        verifying: Duration::ZERO,
        proofs: wants.given_proofs(&digests),
        pieces: None,
        digests,
        connections: 0,
        retries: 0,
    }
}

fn policy(context: &Context, request: &Request) -> Policy {
    let settings = &context.settings;
    let rate = [request.limit_rate, context.limit.rate()].into_iter().flatten().min();
    let window = window(request);
    let (min_split, first_split) = request.splits();
    Policy {
        connections: request.allowance(settings.most_connections.unwrap_or(usize::MAX), rate),
        min_split,
        min_theft: request.min_split.unwrap_or(0),
        first_split,
        retry: request.patience.retry(settings),
        stall: request.patience.silence.unwrap_or(settings.stall_timeout),
        digest_expected: request.is_proven(),
        length_expected: request.size,
        packing: packing(request),
        in_order: window.is_some() || !request.algorithms().is_empty(),
        window,
        // Bytes that have left through a pipe cannot be taken back.
        may_restart: request.may_restart && !matches!(request.output, Output::Stream(_)),
        sources: request.sources().count(),
        seed: Clock::seed(),
    }
}

/// Bytes that may come ahead of those that have left in order, if they leave in order.
fn window(request: &Request) -> Option<u64> {
    match &request.output {
        Output::Stream(_) => Some(PIPE_WINDOW),
        Output::Own(own) => in_order(own.as_ref(), &request.algorithms()),
        Output::Named | Output::File(_) => None,
    }
}

/// Packing by the name that the file is saved under, else by the last part of its URL.
fn packing(request: &Request) -> Option<Packing> {
    let saved = match &request.output {
        Output::File(path) => path.file_name().and_then(|name| Packing::of_name(&name.to_string_lossy())),
        _ => None,
    };
    saved.or_else(|| Packing::of_name(request.address.path()))
}

impl Driver {
    fn new(
        requesters: Vec<Requester>,
        path: std::path::PathBuf,
        wants: Wants,
        transfer: Transfer,
        clock: Clock,
    ) -> Self {
        let (sender, questions) = mpsc::channel(64);
        let reached = requesters[0].reached.subscribe();
        let paused = requesters[0].paused.subscribe();
        let shared = Shared {
            requesters: Requesters::new(requesters),
            questions: sender,
            received: AtomicU64::new(0),
            writing: AtomicU64::new(0),
            writers: AtomicU64::new(0),
            limits: wants.limits.clone(),
            wants_statement: AtomicBool::new(true),
            path,
        };
        Self {
            wants,
            transfer,
            shared: Arc::new(shared),
            questions,
            attempts: Attempts::default(),
            lanes: BTreeMap::new(),
            spares: JoinSet::new(),
            inquiry: JoinSet::new(),
            named: super::mirrors::Named::default(),
            inquired_at: None,
            connected_at: None,
            reached,
            paused,
            destination: Destination::Gone,
            slot: None,
            regaining: None,
            at_rest: false,
            permitted: Vec::new(),
            clock,
            disk: DiskUse::default(),
            // Replaced by the handle's own receiver when the loop begins.
            cancelled: watch::channel(false).1,
            crashed: None,
            mended: false,
            search: super::trying::Search::default(),
            verifying: Duration::ZERO,
            paid_for: 0,
        }
    }

    /// Driver for what goes into no file.
    fn into_no_file(
        requesters: Vec<Requester>,
        wants: Wants,
        transfer: Transfer,
        destination: Destination,
        publisher: &Publisher,
    ) -> Prepared {
        let mut driver = Self::new(requesters, "the output".into(), wants, transfer, publisher.clock);
        driver.destination = destination;
        Prepared::Ready(Box::new(driver))
    }

    /// Driver for a file of which nothing exists yet.
    fn into_nothing(
        requesters: Vec<Requester>,
        policy: Policy,
        wants: Wants,
        target: Target,
        clock: Clock,
    ) -> Self {
        let mut driver = Self::new(requesters, target.part_path(), wants, Transfer::new(policy), clock);
        driver.destination = Destination::Unmade(target);
        driver
    }

    fn into_file(
        requesters: Vec<Requester>,
        mut policy: Policy,
        mut wants: Wants,
        existing: Existing,
        publisher: &mut Publisher,
    ) -> Self {
        match existing {
            Existing::Fresh { partial_file, discarded } => {
                if let Some(why) = discarded {
                    publisher.notice(Notice::Restarting, format!("starting over: {why}"));
                }
                let path = partial_file.part.path().to_owned();
                let mut driver = Self::new(requesters, path, wants, Transfer::new(policy), publisher.clock);
                driver.destination = Destination::Locked(partial_file);
                driver
            }
            Existing::Built { partial_file, trusted, journal, torn } => {
                if torn {
                    publisher.notice(
                        Notice::Repairing,
                        "the end of the manifest was damaged; what it said is fetched again",
                    );
                }
                if trusted.void > 0 {
                    let text = format!(
                        "{} bytes that were recorded are not in the part file any more and are fetched again",
                        trusted.void
                    );
                    publisher.notice(Notice::Repairing, text);
                }
                let Trusted { representation, inherited, .. } = &trusted;
                wants.inherit(inherited);
                policy.digest_expected |= wants.spec.mirrored;
                let have = trusted.have();
                publisher.resumed = have.len();
                let transfer = Transfer::resume(policy, representation.clone(), have);
                let path = partial_file.part.path().to_owned();
                // A digest or a signature proves the whole file, and so do its pieces; else the claims of an earlier run are read back.
                let audit = !wants.spec.may_have_mirrors();
                let (algorithms, inline, now) =
                    (wants.spec.algorithms(), wants.inline, publisher.clock.now());
                let mut driver = Self::new(requesters, path, wants, transfer, publisher.clock);
                let work = FileWork::new(partial_file, *journal, &algorithms, inline, audit, now);
                driver.destination = Destination::File(Box::new(work));
                driver.tell_started(publisher);
                driver
            }
        }
    }
}

/// Documents that state digests, by digest.
fn documents_of(proved_by: &[(Digest, ProvedBy)]) -> Vec<(Digest, String)> {
    let document = |(digest, by): &(Digest, ProvedBy)| match by {
        ProvedBy::Document { name, .. } | ProvedBy::SignedDocument { document: name, .. } => {
            Some((digest.clone(), name.clone()))
        }
        _ => None,
    };
    proved_by.iter().filter_map(document).collect()
}
