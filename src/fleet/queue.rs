//! The streams, the consumer and the buckets of a fleet on the server.

use super::posting::VERSION;
use super::server::Connection;
use super::subject::Names;
use crate::error::{Error, Kind};
use async_nats::jetstream::consumer::{AckPolicy, Consumer, pull};
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind, KeyValueErrorKind};
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType, Stream};
use async_nats::jetstream::{self, Context, ErrorCode, kv};
use std::collections::HashMap;
use std::time::Duration;

/// Lease of a job unless a worker says otherwise.
const LEASE: Duration = Duration::from_secs(60);
/// Period in which a job that is submitted again is known unless the user says otherwise.
const DUPLICATES: Duration = Duration::from_secs(3600);
/// Time for which results and dead letters are kept.
const KEPT: Duration = Duration::from_secs(14 * 24 * 3600);
/// Key of the version in the metadata of a stream.
const KEY: &str = "haul-version";
/// Pull requests that may wait: one for each idle worker.
const MOST_WAITING: i64 = 16_384;

/// See the module.
#[derive(Clone)]
pub(crate) struct Queue {
    pub(super) connection: Connection,
    pub(super) context: Context,
    pub(super) names: Names,
}

impl Queue {
    /// Uses the streams of these names over a connection.
    pub(crate) fn new(connection: Connection, names: Names) -> Self {
        let context = jetstream::new(connection.client.clone());
        Self { connection, context, names }
    }

    /// The stream of the jobs, if there is one.
    ///
    /// # Errors
    /// `Unsafe` for a stream of another version or of another program; `Network`, `Auth`; `Other` for a server without streams.
    pub(super) async fn jobs(&self) -> Result<Option<Stream>, Error> {
        let name = self.names.jobs();
        let stream = match self.context.get_stream(name).await {
            Ok(stream) => stream,
            Err(error) => {
                return match error.kind() {
                    GetStreamErrorKind::JetStream(error) => match error.error_code() {
                        ErrorCode::STREAM_NOT_FOUND => Ok(None),
                        _ => Err(self.refused(&error)),
                    },
                    _ => Err(self.connection.failed("the stream cannot be looked up", &error)),
                };
            }
        };
        let config = &stream.cached_info().config;
        let found = config.metadata.get(KEY).map(String::as_str);
        if found != Some(&VERSION.to_string()) || config.retention != RetentionPolicy::WorkQueue {
            let cause = match found {
                Some(found) => {
                    format!("the stream {name} is of version {found}, and {VERSION} is known here")
                }
                None => format!("the stream {name} is not one of haul's"),
            };
            return Err(Error::new(Kind::Unsafe, format!("{}: {cause}", self.connection.server)));
        }
        Ok(Some(stream))
    }

    /// The stream of the jobs, made if there is none. With `duplicates` it gets that window.
    pub(super) async fn jobs_or_new(&self, duplicates: Option<Duration>) -> Result<Stream, Error> {
        if let Some(stream) = self.jobs().await? {
            let config = &stream.cached_info().config;
            if let Some(window) = duplicates.filter(|window| *window != config.duplicate_window) {
                let changed = Config { duplicate_window: window, ..config.clone() };
                let updated = self.context.update_stream(changed).await;
                updated.map_err(|error| self.connection.failed("the stream cannot be changed", &error))?;
            }
            return Ok(stream);
        }
        let config = Config {
            subjects: vec![self.names.all_jobs()],
            retention: RetentionPolicy::WorkQueue,
            duplicate_window: duplicates.unwrap_or(DUPLICATES),
            allow_direct: true,
            ..plain(self.names.jobs().to_owned(), "jobs of haul")
        };
        match self.context.create_stream(config).await {
            Ok(stream) => Ok(stream),
            // Another process was first.
            Err(error) if matches!(error.kind(), CreateStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NAME_EXIST) =>
            {
                let gone = || Error::new(Kind::Other, "the stream is removed while it is made");
                self.jobs().await?.ok_or_else(gone)
            }
            Err(error) => Err(match error.kind() {
                CreateStreamErrorKind::JetStream(error) => self.refused(&error),
                _ => self.connection.failed("the stream cannot be made", &error),
            }),
        }
    }

    /// Makes the streams of results and dead letters, unless they are there.
    pub(super) async fn make_ends(&self) -> Result<(), Error> {
        let (results, dead) = (self.names.results(), self.names.dead());
        let results = Config {
            subjects: vec![self.names.all_results()],
            duplicate_window: DUPLICATES,
            max_age: KEPT,
            ..plain(results, "results of haul's jobs")
        };
        let dead = Config {
            subjects: vec![self.names.dead_letter()],
            duplicate_window: DUPLICATES,
            max_age: KEPT,
            ..plain(dead, "jobs that haul has laid aside")
        };
        for config in [results, dead] {
            let made = self.context.get_or_create_stream(config).await;
            made.map_err(|error| self.connection.failed("the streams of results cannot be made", &error))?;
        }
        Ok(())
    }

    /// A stream of results or dead letters, if there is one.
    pub(super) async fn end(&self, name: &str) -> Result<Option<Stream>, Error> {
        match self.context.get_stream(name).await {
            Ok(stream) => Ok(Some(stream)),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    Ok(None)
                }
                _ => Err(self.connection.failed("a stream cannot be looked up", &error)),
            },
        }
    }

    /// The consumer that all workers share, and its lease. It is made with `lease`; where it is there, it keeps the one that it has.
    ///
    /// # Errors
    /// `Usage` if it has another lease and workers that rely on it.
    pub(super) async fn consumer(
        &self,
        jobs: &Stream,
        lease: Option<Duration>,
    ) -> Result<(Consumer<pull::Config>, Duration), Error> {
        let failed =
            |error: &dyn std::fmt::Display| self.connection.failed("the consumer cannot be made", error);
        let config = pull::Config {
            durable_name: Some(Names::CONSUMER.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: lease.unwrap_or(LEASE),
            // The server would drop a job without a word: workers count, and lay it aside with the reason.
            max_deliver: -1,
            max_ack_pending: -1,
            max_waiting: MOST_WAITING,
            ..pull::Config::default()
        };
        let made = jobs.get_or_create_consumer(Names::CONSUMER, config.clone()).await;
        let consumer = made.map_err(|error| failed(&error))?;
        let info = consumer.cached_info();
        let has = info.config.ack_wait;
        let Some(lease) = lease.filter(|lease| *lease != has) else {
            return Ok((consumer, has));
        };
        if info.num_waiting > 0 || info.num_ack_pending > 0 {
            return Err(Error::usage(format!(
                "the workers of {} have a lease of {} s, so this one cannot have one of {} s",
                self.names.jobs(),
                has.as_secs_f64(),
                lease.as_secs_f64()
            )));
        }
        let updated = jobs.create_consumer(config).await;
        Ok((updated.map_err(|error| failed(&error))?, lease))
    }

    /// A bucket whose keys live for `age`, made if it is not there.
    pub(super) async fn bucket(&self, name: String, age: Duration) -> Result<kv::Store, Error> {
        if let Some(store) = self.bucket_if_there(&name).await? {
            return Ok(store);
        }
        let config = kv::Config {
            bucket: name,
            history: 1,
            max_age: age,
            storage: StorageType::File,
            ..kv::Config::default()
        };
        let made = self.context.create_key_value(config).await;
        made.map_err(|error| self.connection.failed("a bucket cannot be made", &error))
    }

    pub(super) async fn bucket_if_there(&self, name: &str) -> Result<Option<kv::Store>, Error> {
        match self.context.get_key_value(name).await {
            Ok(store) => Ok(Some(store)),
            Err(error) if error.kind() == KeyValueErrorKind::GetBucket => Ok(None),
            Err(error) => Err(self.connection.failed("a bucket cannot be looked up", &error)),
        }
    }

    fn refused(&self, error: &jetstream::Error) -> Error {
        let server = &self.connection.server;
        match error.error_code() {
            ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
                Error::new(Kind::Other, format!("{server} has no streams: JetStream is not enabled there"))
            }
            _ => Error::new(Kind::Other, format!("{server}: {error}")),
        }
    }
}

fn plain(name: String, description: &str) -> Config {
    Config {
        name,
        description: Some(description.to_owned()),
        storage: StorageType::File,
        metadata: HashMap::from([(KEY.to_owned(), VERSION.to_string())]),
        ..Config::default()
    }
}
