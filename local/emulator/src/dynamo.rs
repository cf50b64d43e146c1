//! Plays DynamoDB: dynoxide on a loopback port, for callers that have the run's access key. Creates
//! the tables of the template in it, or in another emulator.

mod access_key;
mod in_process;
mod operations;
mod wire;

use std::fmt::Display;
use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{BillingMode, TimeToLiveSpecification};
use dynoxide::Database;
use shared::App;
use shared::aws::{Endpoint, emulated_at};
use shared::store::Store;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

use self::access_key::AccessKey;
use crate::door;
use crate::template::Template;

/// Where the data is stored.
#[derive(Clone, Debug)]
pub enum Data {
    /// In a folder, which the next run can use too.
    Folder(PathBuf),
    /// In memory: it is lost when the process ends.
    Memory,
}

/// A running embedded DynamoDB.
pub struct Dynamo {
    /// Its URL with the run's access key: a `DYNAMODB_ENDPOINT`.
    pub url: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// The database with its tables.
    pub database: Database,
    key: AccessKey,
    /// The random secret that signing keys were derived from at the start. A folder keeps it for
    /// the next run.
    pub secret: String,
    /// The `SIGNING_SECRET` of functions on this machine: the URL of the secret's file, or without
    /// a folder the secret itself.
    pub signing_secret: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    _folder: Option<Folder>,
}

/// Opens a database, with the index that numbering the records of streams needs. Without it, each
/// write to a table with a stream would read all records of the last day.
fn open(path: &str) -> Result<Database, String> {
    let sentence = |error: &dyn Display| format!("{path} can't be opened: {error}");
    let database = Database::new(path).map_err(|error| sentence(&error))?;
    let index = "CREATE INDEX IF NOT EXISTS farebox_stream_numbers \
                 ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";
    rusqlite::Connection::open(path)
        .and_then(|connection| connection.execute_batch(index))
        .map_err(|error| sentence(&error))?;
    Ok(database)
}

/// How often expired items are deleted.
const SWEEP: Duration = Duration::from_secs(3600);

impl Dynamo {
    /// Opens the data and serves it on `address`, with the tables of the template.
    ///
    /// # Errors
    /// A sentence for the terminal: a folder in use or without write permission, a taken port.
    pub async fn start(data: &Data, address: SocketAddr) -> Result<Self, String> {
        let (database, folder) = match data {
            // A name of its own, by which more than one connection could open it.
            Data::Memory => (open(&format!("file:/{}?vfs=memdb", Uuid::new_v4()))?, None),
            Data::Folder(path) => {
                let folder = Folder::lock(path)?;
                let file = path.join(DATABASE);
                let database = open(&file.to_string_lossy())?;
                // Together they set the journal mode in which the file survives a kill, and a write
                // takes a seventh of the time.
                database
                    .enable_bulk_loading()
                    .and_then(|()| database.disable_bulk_loading())
                    .map_err(|error| error.to_string())?;
                (database, Some(folder))
            }
        };
        let secret = folder.as_ref().map_or_else(|| Ok(new_secret()), Folder::secret)?;
        let signing_secret = folder
            .as_ref()
            .map_or_else(|| Ok(secret.clone()), |folder| secret_url(&folder.path))?;
        let listener =
            TcpListener::bind(address).await.map_err(|error| port_sentence(address, &error))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let key = AccessKey::random();
        let url = key.url(&address.to_string());
        if let Some(folder) = &folder {
            folder.write("dynamodb-url", &url)?;
        }

        let (stop, stopped) = oneshot::channel();
        let server = serve(listener, address, database.clone(), key.clone(), stopped);
        create_tables(&url).await?;
        Ok(Self {
            url,
            address,
            database,
            key,
            secret,
            signing_secret,
            stop,
            server,
            _folder: folder,
        })
    }

    /// The same `App`, connected to this store without a socket. An `App` of another store is
    /// returned as it is.
    pub fn direct(&self, app: App) -> App {
        if app.config.dynamodb_endpoint != Endpoint::parse(&self.url) {
            return app;
        }
        let mut config = (*app.config).clone();
        // The client has its own endpoint, and needs no access key.
        config.dynamodb_endpoint = None;
        let store = Store::with_client(in_process::client(&self.database), &config);
        App::from_parts((*app.config).clone(), app.clock, store)
    }

    /// Its URL for a caller that knows this machine by another host name.
    pub fn url_at(&self, host: &str) -> String {
        self.key.url(&format!("{host}:{}", self.address.port()))
    }

    /// Waits for running calls, and stops.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.server.await;
    }
}

/// Serves connections until `stop`, and deletes expired items, in a task. Not a part of `start`,
/// which is async and so compiled in the crate that awaits it: see
/// [`Gateway::serve`](crate::gateway::Gateway::serve).
fn serve(
    listener: TcpListener,
    address: SocketAddr,
    database: Database,
    key: AccessKey,
    stop: oneshot::Receiver<()>,
) -> JoinHandle<()> {
    let swept = database.clone();
    let answer = move |req, _| wire::answer(database.clone(), key.clone(), address, req);
    tokio::spawn(async move {
        let sweeper = tokio::spawn(async move {
            loop {
                let database = swept.clone();
                let _ = tokio::task::spawn_blocking(move || database.sweep_ttl()).await;
                tokio::time::sleep(SWEEP).await;
            }
        });
        door::serve(listener, answer, stop).await;
        sweeper.abort();
    })
}

/// Creates the tables of the template at `endpoint`, except those that exist.
pub async fn create_tables(endpoint: &str) -> Result<(), String> {
    let client = client(endpoint);
    for table in &Template::load()?.tables {
        let sentence = |error: &dyn std::fmt::Debug| {
            format!("The table {} can't be created: {error:?}", table.name)
        };
        let created = client
            .create_table()
            .table_name(&table.name)
            .billing_mode(BillingMode::PayPerRequest)
            .set_attribute_definitions(Some(table.attributes().map_err(|error| sentence(&error))?))
            .set_key_schema(Some(table.keys().map_err(|error| sentence(&error))?))
            .set_global_secondary_indexes(table.global_indexes().map_err(|error| sentence(&error))?)
            .set_local_secondary_indexes(table.local_indexes().map_err(|error| sentence(&error))?)
            .set_stream_specification(table.stream().map_err(|error| sentence(&error))?)
            .send()
            .await;
        match created {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|refused| refused.is_resource_in_use_exception()) =>
            {
                continue;
            }
            created => created.map_err(|error| sentence(&error))?,
        };
        if let Some(attribute) = table.time_to_live() {
            let ttl = TimeToLiveSpecification::builder()
                .enabled(true)
                .attribute_name(attribute)
                .build()
                .map_err(|error| sentence(&error))?;
            client
                .update_time_to_live()
                .table_name(&table.name)
                .time_to_live_specification(ttl)
                .send()
                .await
                .map_err(|error| sentence(&error))?;
        }
    }
    Ok(())
}

/// A client for the emulator at a `DYNAMODB_ENDPOINT`.
pub fn client(endpoint: &str) -> Client {
    let without_key = || Endpoint { url: endpoint.to_owned(), key: None };
    Client::new(&emulated_at(&Endpoint::parse(endpoint).unwrap_or_else(without_key)))
}

/// A data folder that belongs to this process while the lock is held.
struct Folder {
    path: PathBuf,
    lock: File,
}

impl Drop for Folder {
    /// Closing the file isn't enough: a process that is being started has a copy of every open file
    /// for a moment, and with it the lock.
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

impl Folder {
    fn lock(path: &Path) -> Result<Self, String> {
        let unwritable = |error: std::io::Error| {
            format!("The folder {} can't be written: {error}.", path.display())
        };
        make_private_folder(path).map_err(unwritable)?;
        require_own(path)?;
        let lock = private_file().truncate(false).open(path.join("lock")).map_err(unwritable)?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => {
                format!("The folder {} is in use by another run. Stop that one, or choose another folder with --data.", path.display())
            }
            fs::TryLockError::Error(error) => unwritable(error),
        })?;
        // SQLite gives its other files the mode of this one.
        private_file().truncate(false).open(path.join(DATABASE)).map_err(unwritable)?;
        make_private(path).map_err(unwritable)?;
        Ok(Self { path: path.to_owned(), lock })
    }

    /// The folder's secret, which the first run creates.
    fn secret(&self) -> Result<String, String> {
        let path = self.path.join(SECRET);
        match read_own(&path) {
            Ok(secret) => Ok(secret.trim().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let secret = new_secret();
                self.write(SECRET, &secret)?;
                Ok(secret)
            }
            Err(error) => Err(format!("{} can't be read: {error}.", path.display())),
        }
    }

    /// Writes a file that only its owner may read.
    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        write_private(&self.path.join(name), text)
    }
}

/// Replaces a file that only its owner may read, since it may contain the signing secret. Atomic:
/// a reader sees the old text or the new one.
pub fn write_private(path: &Path, text: &str) -> Result<(), String> {
    let new = path.with_extension("new");
    let written = private_file()
        .truncate(true)
        .open(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&new, path));
    written.map_err(|error| format!("{} can't be written: {error}.", path.display()))
}

/// How to open a file for writing. If it is created, only its owner may read it. A symbolic link is
/// refused.
fn private_file() -> fs::OpenOptions {
    let mut options = File::options();
    options.create(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600).custom_flags(libc::O_NOFOLLOW);
    }
    options
}

/// The text of a file that [`require_own`] has checked. A symbolic link is refused.
fn read_own(path: &Path) -> std::io::Result<String> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW);
    std::io::read_to_string(options.open(path)?)
}

/// Refuses a data folder in which another user may have put files, such as a signing secret that
/// they know: the folder and its files must belong to the user of this process, and no file may be a
/// link. In a folder with the sticky bit, such as /tmp, other users can't replace files.
#[cfg(unix)]
fn require_own(folder: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    let unreadable =
        |error: std::io::Error| format!("The folder {} can't be used: {error}.", folder.display());
    // A new file belongs to the user of this process.
    let probe = folder.join(format!("owner-{}", Uuid::new_v4().simple()));
    let own = private_file().create_new(true).open(&probe).and_then(|file| file.metadata());
    let _ = fs::remove_file(&probe);
    let own = own.map_err(unreadable)?.uid();
    let described = fs::metadata(folder).map_err(unreadable)?;
    if described.uid() != own && described.mode() & 0o1000 == 0 {
        return Err(format!(
            "The folder {} belongs to another user, who could replace its signing secret. Choose another folder with --data, or make it yours (chown).",
            folder.display()
        ));
    }
    for name in FILES {
        let path = folder.join(name);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() && found.uid() == own => {}
            Ok(_) => {
                return Err(format!(
                    "{} is a link or belongs to another user, who may know what is in it. Delete it, or make it yours (chown).",
                    path.display()
                ));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn require_own(_: &Path) -> Result<(), String> {
    Ok(())
}

/// Creates a folder that only its owner may enter, or makes an existing one so.
///
/// # Errors
/// If it can't be created, or belongs to another user.
pub fn make_private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path)?.permissions().mode();
        // A folder with the sticky bit, such as /tmp, is for all users and stays open. The files in
        // it are private nevertheless.
        if mode & 0o077 != 0 && mode & 0o1000 == 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        }
    }
    Ok(())
}

/// Makes the files of a data folder private, in case an earlier version left them readable. Changes
/// no other files in it.
#[cfg(unix)]
fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut files: Vec<PathBuf> = FILES.iter().map(|name| folder.join(name)).collect();
    let mails = folder.join(MAILS);
    if mails.is_dir() {
        make_private_folder(&mails)?;
        for mail in fs::read_dir(mails)? {
            files.push(mail?.path());
        }
    }
    for file in files {
        match fs::set_permissions(file, fs::Permissions::from_mode(0o600)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_private(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// The name of the file with the tables, in a data folder.
const DATABASE: &str = "dynamodb.sqlite";

/// The name of the folder with the e-mails, in a data folder.
pub const MAILS: &str = "mail";

/// All files of a data folder, except the e-mails.
#[cfg(unix)]
const FILES: [&str; 9] = [
    "lock",
    DATABASE,
    "dynamodb.sqlite-wal",
    "dynamodb.sqlite-shm",
    "dynamodb.sqlite-journal",
    "dynamodb-url",
    SECRET,
    "lambda.env",
    "sam.json",
];

/// The `DYNAMODB_ENDPOINT` and the `SIGNING_SECRET` of a data folder that another process has open.
/// `None` if no process has, or if another user may have put files there.
pub fn running(folder: &Path) -> Option<(String, String)> {
    require_own(folder).ok()?;
    let lock = File::options().write(true).open(folder.join("lock")).ok()?;
    if lock.try_lock().is_ok() {
        // See `Folder::drop`.
        let _ = lock.unlock();
        return None;
    }
    let url = fs::read_to_string(folder.join("dynamodb-url")).ok()?;
    Some((url.trim().to_owned(), secret_url(folder).ok()?))
}

/// The name of the file with the signing secret, in a data folder.
const SECRET: &str = "signing-secret";

/// A `SIGNING_SECRET` that refers to that file by its absolute path.
fn secret_url(folder: &Path) -> Result<String, String> {
    let path = fs::canonicalize(folder)
        .map_err(|error| format!("The folder {} can't be read: {error}.", folder.display()))?;
    Ok(format!("file://{}", path.join(SECRET).display()))
}

/// A random secret.
pub fn new_secret() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// The sentence for an address that can't be listened on.
pub fn port_sentence(address: SocketAddr, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "Port {} is taken. Stop what uses it, or choose another with --port.",
            address.port()
        ),
        _ => format!("{address} can't be listened on: {error}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_lock_is_released_despite_open_copies() {
        let path = std::env::temp_dir().join(format!("farebox-lock-{}", Uuid::new_v4().simple()));
        let folder = Folder::lock(&path).unwrap();
        let _copy = folder.lock.try_clone().unwrap();
        assert!(Folder::lock(&path).is_err());
        drop(folder);
        assert!(Folder::lock(&path).is_ok());
        fs::remove_dir_all(path).unwrap();
    }

    /// Only root can give files away, so other users test only the link.
    #[cfg(unix)]
    #[test]
    fn files_of_another_user_are_rejected() {
        use std::os::unix::fs::{chown, symlink};
        let path = std::env::temp_dir().join(format!("farebox-own-{}", Uuid::new_v4().simple()));
        let refused = || Folder::lock(&path).err().expect("it is not used");
        let secret = Folder::lock(&path).unwrap().secret().unwrap();
        assert_eq!(Folder::lock(&path).unwrap().secret().unwrap(), secret);

        let (file, elsewhere) = (path.join(SECRET), path.join("elsewhere"));
        fs::rename(&file, &elsewhere).unwrap();
        symlink(&elsewhere, &file).unwrap();
        assert!(refused().contains("is a link or belongs to another user"), "{}", refused());
        fs::remove_file(&file).unwrap();
        fs::write(&file, "a secret that another user knows").unwrap();
        if chown(&file, Some(12_345), None).is_ok() {
            assert!(refused().contains("is a link or belongs to another user"), "{}", refused());
            assert_eq!(running(&path), None);
            chown(&file, Some(0), None).unwrap();
            assert!(Folder::lock(&path).is_ok());
            chown(&path, Some(12_345), None).unwrap();
            assert!(refused().contains("belongs to another user, who could"), "{}", refused());
            chown(&path, Some(0), None).unwrap();
        }
        fs::remove_dir_all(path).unwrap();
    }
}
