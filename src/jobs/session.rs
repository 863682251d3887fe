//! The queue on disk: a log of its changes. A job counts as added once its record is durable; after a kill the log builds the
//! same queue again, and the manifests beside the files tell how much of each has come.

use super::job::Job;
use super::ledger::{Ledger, Record};
use crate::error::{Error, Kind, Remedy, plain};
use crate::storage::LogFile;
use std::io;
use std::path::{Path, PathBuf};

/// Records beyond twice those of the present state from which on the log is rewritten.
const SLACK: usize = 4096;
/// Maximum length of a job as JSON, in bytes.
const LONGEST_JOB: usize = 1 << 20;

/// See the module. Without a file nothing is kept.
#[derive(Debug)]
pub(super) struct Session {
    log: Option<(PathBuf, LogFile)>,
    records: usize,
    /// Reason why nothing can be recorded any more.
    broken: bool,
}

impl Session {
    /// Reads the log into the ledger. Blocking.
    ///
    /// # Errors
    /// `Locked` if another process has it, `Unsafe` for a file that others could have written or that is damaged, `Disk`.
    pub(super) fn open(path: Option<&Path>, ledger: &mut Ledger) -> Result<Self, Error> {
        let Some(path) = path else {
            return Ok(Self { log: None, records: 0, broken: false });
        };
        let mut strange = 0_usize;
        let opened = LogFile::open(path, |text| match serde_json::from_str::<Record>(text) {
            Ok(record) => ledger.replay(record),
            Err(_) => strange += 1,
        });
        let (log, found) = opened.map_err(|error| unreadable(path, &error))?;
        if strange > 0 {
            let cause = format!("{} holds {strange} records that this version does not know", path.display());
            return Err(Error::new(Kind::Unsafe, cause).with_remedy(Remedy::NewerQueue));
        }
        let mut session = Self { log: Some((path.to_owned(), log)), records: found.records, broken: false };
        // A log that cannot be rewritten is as good as it was.
        let _ = session.shrink(ledger);
        Ok(session)
    }

    /// Records changes durably. Blocking.
    ///
    /// # Errors
    /// `Disk`; nothing more is recorded after that.
    pub(super) fn write(&mut self, records: &[Record]) -> Result<(), Error> {
        let Some((path, log)) = &mut self.log else {
            return Ok(());
        };
        if self.broken {
            return Err(Error::new(
                Kind::Disk,
                format!("{}: an earlier write failed, nothing more is recorded", path.display()),
            ));
        }
        let texts: Vec<_> = records.iter().map(text).collect();
        self.records += texts.len();
        log.append(&texts).map_err(|error| {
            self.broken = true;
            Error::disk("cannot write", path, &error)
        })
    }

    /// Rewrites the log if most of it is history. Blocking.
    ///
    /// # Errors
    /// `Disk`; the log is as it was then.
    pub(super) fn shrink(&mut self, ledger: &Ledger) -> Result<(), Error> {
        let (waiting, paused, ended) = ledger.counts();
        let needed = 1 + waiting + paused + 2 * ended;
        let Some((path, log)) = self.log.as_mut().filter(|_| self.records > 2 * needed + SLACK) else {
            return Ok(());
        };
        let mut count = 0;
        let records = ledger.records().inspect(|_| count += 1);
        log.replace(records.map(|record| text(&record)))
            .map_err(|error| Error::disk("cannot write", path, &error))?;
        self.records = count;
        Ok(())
    }
}

/// Refuses a job that no record can hold.
///
/// # Errors
/// `Usage` for a path that is no text, and for a job that takes more than 1 MiB as JSON.
pub(super) fn check_recordable(job: &Job) -> Result<(), Error> {
    match serde_json::to_string(job) {
        Err(_) => Err(Error::usage("output: a job has only paths that are UTF-8")),
        Ok(text) if text.len() > LONGEST_JOB => {
            Err(Error::usage(format!("a job takes at most {LONGEST_JOB} bytes as JSON")))
        }
        Ok(_) => Ok(()),
    }
}

/// Text of a record, which is plain data and always has one.
fn text(record: &Record) -> String {
    serde_json::to_string(record).unwrap_or_default()
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::WouldBlock => Error::new(
            Kind::Locked,
            format!("{shown}: the queue is locked by another process or another queue"),
        )
        .with_remedy(Remedy::QueueInUse),
        io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => {
            Error::new(Kind::Unsafe, format!("others may write to {shown}, or it is another user's"))
                .with_remedy(Remedy::MoveForeignAway)
        }
        io::ErrorKind::InvalidData => {
            Error::new(Kind::Unsafe, format!("{shown} is corrupt: {}", plain(error)))
                .with_remedy(Remedy::CorruptQueue)
        }
        _ => Error::disk("cannot read", path, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::Job;

    fn open(path: &Path) -> Result<(Session, Ledger), Error> {
        let mut ledger = Ledger::new(10);
        let session = Session::open(Some(path), &mut ledger)?;
        Ok((session, ledger))
    }

    #[test]
    fn a_queue_is_built_again_and_its_log_stays_short() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("queue");
        let (mut session, mut ledger) = open(&path).unwrap();
        let (id, record) = ledger.add(Job::new("http://h/f"), None, false);
        session.write(&[record]).unwrap();
        let history: Vec<_> =
            (0..SLACK).flat_map(|_| [ledger.pause(id).unwrap(), ledger.resume(id).unwrap()]).collect();
        session.write(&history).unwrap();
        let long = path.metadata().unwrap().len();
        session.shrink(&ledger).unwrap();
        assert!(path.metadata().unwrap().len() < long / 100);
        assert_eq!(session.records, 2);
        assert_eq!(open(&path).unwrap_err().kind(), Kind::Locked);
        drop(session);
        let (_session, again) = open(&path).unwrap();
        assert_eq!(again.job(id), ledger.job(id));
        assert_eq!(again.counts(), (1, 0, 0));
    }

    #[test]
    fn a_job_that_no_record_can_hold_is_refused() {
        use std::os::unix::ffi::OsStringExt as _;
        let mut job = Job::new("http://h/f");
        check_recordable(&job).unwrap();
        job.output = Some(std::ffi::OsString::from_vec(vec![b'f', 0xff]).into());
        assert_eq!(check_recordable(&job).unwrap_err().kind(), Kind::Usage);
        job.output = None;
        job.tags.insert("long".to_owned(), "x".repeat(LONGEST_JOB));
        assert_eq!(check_recordable(&job).unwrap_err().kind(), Kind::Usage);
    }

    #[test]
    fn records_of_another_version_are_not_dropped_silently() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("queue");
        let (mut session, _) = open(&path).unwrap();
        session.log.as_mut().unwrap().1.append(&[r#"{"vote":1}"#.to_owned()]).unwrap();
        drop(session);
        assert_eq!(open(&path).unwrap_err().kind(), Kind::Unsafe);
    }
}
