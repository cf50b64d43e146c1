//! An embedded DynamoDB: dynoxide on a loopback port. The server answers only callers that have the
//! run's access key. This module also creates the template's tables, either in this database or in
//! a different emulator.

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
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{BillingMode, TimeToLiveSpecification};
use dynoxide::Database;
use shared::App;
use shared::aws::{ServiceUrl, emulated_at};
use shared::store::Store;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

use self::access_key::AccessKey;
use crate::http_server;
use crate::template::Template;

/// Where the data is stored.
#[derive(Clone, Debug)]
pub enum Data {
    /// In a folder, so that later runs can use it.
    Folder(PathBuf),
    /// In memory. The data is lost when the process ends.
    Memory,
}

/// A running embedded DynamoDB.
pub struct Dynamo {
    /// The server's URL with the run's access key, for `DYNAMODB_ENDPOINT`.
    pub url: String,
    /// The address that the server listens on.
    pub address: SocketAddr,
    /// The database that contains the tables.
    pub database: Database,
    key: AccessKey,
    /// The random secret from which signing keys are derived when the server starts. A data folder
    /// keeps the secret for the next run.
    pub secret: String,
    /// The `SIGNING_SECRET` of functions on this machine. The value is the URL of the secret's file
    /// if there is a data folder, and otherwise the secret itself.
    pub signing_secret: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    folder: Option<Folder>,
}

/// Opens a database, and adds an index that speeds up the numbering of stream records. Without the
/// index, each write to a table with a stream would read all records from the last day.
fn open(path: &str) -> Result<Database, String> {
    let sentence = |error: &dyn Display| format!("The store {path} can't be opened: {error}.");
    // Open the file with SQLite first, because its error messages say what is wrong with a file.
    // The database's messages don't.
    let connection = rusqlite::Connection::open(path).map_err(|error| sentence(&error))?;
    connection.execute_batch("SELECT * FROM sqlite_schema").map_err(|error| sentence(&error))?;
    let database = Database::new(path).map_err(|error| sentence(&error))?;
    let index = "CREATE INDEX IF NOT EXISTS farebox_stream_numbers \
                 ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";
    connection.execute_batch(index).map_err(|error| sentence(&error))?;
    Ok(database)
}

/// The interval at which expired items are deleted.
const SWEEP: Duration = Duration::from_secs(3600);

impl Dynamo {
    /// Opens the data, serves it on `address`, and creates the template's tables.
    ///
    /// # Errors
    /// Fails with an error message for the terminal if the folder is in use or not writable, or if
    /// the port is taken.
    pub async fn start(data: &Data, address: SocketAddr) -> Result<Self, String> {
        let folder = match data {
            Data::Memory => None,
            Data::Folder(path) => Some(Folder::lock(path)?.ok_or_else(|| in_use(path))?),
        };
        let started = Self::over(folder, address).await?;
        if let Some(folder) = &started.folder {
            folder.write(URL, &started.url)?;
        }
        Ok(started)
    }

    /// Opens the data in a folder for a command. Other commands can't call this command's server;
    /// they wait until this command has ended. Returns `None` if another process has just opened
    /// the folder.
    ///
    /// # Errors
    /// Fails like [`Dynamo::start`].
    pub async fn start_for_command(folder: &Path) -> Result<Option<Self>, String> {
        match Folder::lock(folder)? {
            Some(folder) => Self::over(Some(folder), ([127, 0, 0, 1], 0).into()).await.map(Some),
            None => Ok(None),
        }
    }

    async fn over(folder: Option<Folder>, address: SocketAddr) -> Result<Self, String> {
        let database = match &folder {
            // A unique name, so that several connections can open the same database.
            None => open(&format!("file:/{}?vfs=memdb", Uuid::new_v4()))?,
            Some(folder) => {
                folder.check_database()?;
                let file = folder.path.join(DATABASE);
                let file =
                    file.to_str().ok_or("The name of the data folder must be UTF-8 text.")?;
                let database = open(file)?;
                // Together, these two calls set a journal mode that makes writes seven times as
                // fast. The file still survives if the process is killed.
                database
                    .enable_bulk_loading()
                    .and_then(|()| database.disable_bulk_loading())
                    .map_err(|error| error.to_string())?;
                database
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
        let (stop, stopped) = oneshot::channel();
        let server = serve(listener, address, database.clone(), key.clone(), stopped);
        create_tables(&url).await?;
        Ok(Self { url, address, database, key, secret, signing_secret, stop, server, folder })
    }

    /// Returns the same `App`, connected to this store without a socket. If the `App` uses a
    /// different store, returns it unchanged.
    pub fn direct(&self, app: App) -> App {
        if app.config.dynamodb_endpoint != ServiceUrl::parse(&self.url) {
            return app;
        }
        let mut config = (*app.config).clone();
        // The client calls the database in this process, so it needs neither an endpoint nor an
        // access key.
        config.dynamodb_endpoint = None;
        let store = Store::with_client(in_process::client(&self.database), &config);
        // Keep the functions' cached values, but read later values from the new store.
        let (prices, imports) = (app.prices.over(store.clone()), app.imports.over(store.clone()));
        let brand = app.brand.over(store.clone());
        App { prices, brand, imports, ..App::from_parts((*app.config).clone(), app.clock, store) }
    }

    /// Returns the server's URL for a caller that reaches this machine under a different host name.
    pub fn url_at(&self, host: &str) -> String {
        self.key.url(&format!("{host}:{}", self.address.port()))
    }

    /// Waits for running calls to finish, and then stops the server.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.server.await;
    }
}

/// Serves connections until `stop`, and deletes expired items, in a task. The code isn't in
/// `start`, because an async function is compiled in the crate that awaits it: see
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
        http_server::serve(listener, answer, stop).await;
        sweeper.abort();
    })
}

/// Creates the template's tables at `endpoint`. Skips tables that already exist.
pub async fn create_tables(endpoint: &str) -> Result<(), String> {
    let client = client(endpoint);
    for table in &Template::load()?.tables {
        let sentence = |error: &dyn std::error::Error| {
            let why = std::iter::successors(Some(error), |error| error.source())
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(": ");
            format!("The table {} can't be created: {why}. Is the disk full?", table.name)
        };
        let create = client
            .create_table()
            .table_name(&table.name)
            .billing_mode(BillingMode::PayPerRequest)
            .set_attribute_definitions(Some(table.attributes().map_err(|error| sentence(&error))?))
            .set_key_schema(Some(table.keys().map_err(|error| sentence(&error))?))
            .set_global_secondary_indexes(table.global_indexes().map_err(|error| sentence(&error))?)
            .set_local_secondary_indexes(table.local_indexes().map_err(|error| sentence(&error))?)
            .set_stream_specification(table.stream().map_err(|error| sentence(&error))?);
        let mut created = create.clone().send().await;
        // A busy emulator may close a connection that the request has just reused. The SDK doesn't
        // repeat such requests.
        let is_repeated = matches!(created, Err(SdkError::DispatchFailure(_)));
        if is_repeated {
            created = create.send().await;
        }
        if let Err(error) = created {
            let refused = error.as_service_error();
            match refused.is_some_and(CreateTableError::is_resource_in_use_exception) {
                true if is_repeated => {}
                true => continue,
                false => return Err(sentence(&error)),
            }
        }
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

/// Returns a client for the emulator at this `DYNAMODB_ENDPOINT`.
pub fn client(endpoint: &str) -> Client {
    let without_key = || ServiceUrl { url: endpoint.to_owned(), key: None };
    Client::new(&emulated_at(&ServiceUrl::parse(endpoint).unwrap_or_else(without_key)))
}

/// A data folder that this process has locked.
struct Folder {
    path: PathBuf,
    lock: File,
}

impl Drop for Folder {
    /// Unlocks explicitly, because closing the file isn't enough: while this process starts a child
    /// process, the child briefly has a copy of every open file, which keeps the lock.
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

impl Folder {
    /// Locks a data folder, and creates it if it is missing. Returns `None` if another process has
    /// locked it.
    ///
    /// # Errors
    /// Fails with an error message for the terminal if the folder can't be used.
    fn lock(path: &Path) -> Result<Option<Self>, String> {
        let unwritable = |error: std::io::Error| {
            format!("The folder {} can't be written: {error}.", path.display())
        };
        if path.exists() && !path.is_dir() {
            return Err(format!("{} is not a folder.", path.display()));
        }
        make_private_folder(path).map_err(unwritable)?;
        require_own(path)?;
        let lock = private_file().truncate(false).open(path.join("lock")).map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(error)) => return Err(unwritable(error)),
        }
        // Remove the URL of an earlier run. This run writes its own URL once it accepts calls.
        match fs::remove_file(path.join(URL)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(unwritable(error));
            }
            _ => {}
        }
        // SQLite gives its other files the same permissions as this file.
        private_file().truncate(false).open(path.join(DATABASE)).map_err(unwritable)?;
        make_private(path).map_err(unwritable)?;
        Ok(Some(Self { path: path.to_owned(), lock }))
    }

    /// Refuses an empty database in a folder that has been used: a copy of the file has failed, or
    /// the disk was full. The secret is created after the first tables, so a folder with a secret
    /// had a database.
    fn check_database(&self) -> Result<(), String> {
        let (database, secret) = (self.path.join(DATABASE), self.path.join(SECRET));
        match fs::metadata(&database).is_ok_and(|file| file.len() == 0) && secret.exists() {
            true => Err(format!(
                "{} is empty, and its folder was used before. Restore the file from a copy. To start without any data, delete it.",
                database.display()
            )),
            false => Ok(()),
        }
    }

    /// Returns the folder's secret, which the first run creates.
    fn secret(&self) -> Result<String, String> {
        let path = self.path.join(SECRET);
        match read_own(&path) {
            Ok(secret) if secret.trim().is_empty() => Err(format!(
                "{} is empty. Restore it, or delete it: a new secret is then made, and all users must log in again.",
                path.display()
            )),
            Ok(secret) => Ok(secret.trim().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let secret = new_secret();
                self.write(SECRET, &secret)?;
                Ok(secret)
            }
            Err(error) => Err(format!("{} can't be read: {error}.", path.display())),
        }
    }

    /// Writes a file that only its owner can read.
    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        write_private(&self.path.join(name), text)
    }
}

/// Replaces a file atomically, so a reader sees either the old or the new content. Only the owner
/// can read the file, because it may contain the signing secret.
pub fn write_private(path: &Path, text: &str) -> Result<(), String> {
    let new = path.with_extension("new");
    let written = private_file()
        .truncate(true)
        .open(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&new, path));
    written.map_err(|error| format!("{} can't be written: {error}.", path.display()))
}

/// Returns options for opening a file for writing. A file that is created with these options can be
/// read only by its owner. Opening a symbolic link fails.
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

/// Reads a file that [`require_own`] has checked. Fails for a symbolic link.
fn read_own(path: &Path) -> std::io::Result<String> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW);
    std::io::read_to_string(options.open(path)?)
}

/// Rejects a data folder in which another user may have placed files, such as a known signing
/// secret. The folder and its files must belong to the user of this process, and no file may be a
/// link. A folder with the sticky bit, such as /tmp, may belong to another user, because other
/// users can't replace its files.
#[cfg(unix)]
fn require_own(folder: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    let unreadable =
        |error: std::io::Error| format!("The folder {} can't be used: {error}.", folder.display());
    // A new file's owner is the user of this process.
    let probe = folder.join(format!("owner-{}", Uuid::new_v4().simple()));
    let own = private_file().create_new(true).open(&probe).and_then(|file| file.metadata());
    let _ = fs::remove_file(&probe);
    let own = own.map_err(unreadable)?.uid();
    let described = fs::metadata(folder).map_err(unreadable)?;
    if described.uid() != own && described.mode() & 0o1000 == 0 {
        return Err(format!(
            "The folder {} belongs to another user, who could replace its signing secret. Choose \
             another folder with --data, or make it yours (chown).",
            folder.display()
        ));
    }
    for name in FILES {
        let path = folder.join(name);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() && found.uid() == own => {}
            Ok(_) => {
                return Err(format!(
                    "{} is not a file, or belongs to another user, who may know what is in it. Delete it, or make it yours (chown).",
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

/// Creates a folder that only its owner can enter, or makes an existing folder private.
///
/// # Errors
/// Fails if the folder can't be created, or belongs to another user.
pub fn make_private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path)?.permissions().mode();
        // A folder with the sticky bit, such as /tmp, is shared by all users and stays open. The
        // files in a data folder are private even if the folder is open to all users.
        if mode & 0o077 != 0 && mode & 0o1000 == 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        }
    }
    Ok(())
}

/// Makes the files of a data folder private, in case an earlier version left them readable. Other
/// files in the folder aren't changed.
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

/// In a data folder, the name of the file that contains the tables.
const DATABASE: &str = "dynamodb.sqlite";

/// In a data folder, the name of the file that contains the URL of the server that has the folder
/// open.
const URL: &str = "dynamodb-url";

/// In a data folder, the name of the subfolder that contains the e-mails.
pub const MAILS: &str = "mail";

/// The names of all files in a data folder, except those of the e-mails.
#[cfg(unix)]
const FILES: [&str; 9] = [
    "lock",
    DATABASE,
    "dynamodb.sqlite-wal",
    "dynamodb.sqlite-shm",
    "dynamodb.sqlite-journal",
    URL,
    SECRET,
    "lambda.env",
    "sam.json",
];

/// The process that has a data folder open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// No process has the folder open.
    Free,
    /// A server, which other processes can call.
    Server {
        /// The server's `DYNAMODB_ENDPOINT`.
        url: String,
        /// The server's `SIGNING_SECRET`.
        signing_secret: String,
    },
    /// A command, or a server that is starting.
    Command,
}

/// Returns the process that has a data folder open. Also returns `Free` if another user may have
/// placed files in the folder, because no process opens such a folder.
pub fn holder(folder: &Path) -> Holder {
    if require_own(folder).is_err() {
        return Holder::Free;
    }
    let Ok(lock) = File::options().write(true).open(folder.join("lock")) else {
        return Holder::Free;
    };
    if lock.try_lock().is_ok() {
        // Unlock explicitly, for the reason given in `Folder::drop`.
        let _ = lock.unlock();
        return Holder::Free;
    }
    match (fs::read_to_string(folder.join(URL)), secret_url(folder)) {
        (Ok(url), Ok(signing_secret)) => {
            Holder::Server { url: url.trim().to_owned(), signing_secret }
        }
        _ => Holder::Command,
    }
}

/// Returns true if a data folder contains a store.
pub fn has_store(folder: &Path) -> bool {
    folder.join(DATABASE).exists()
}

fn in_use(folder: &Path) -> String {
    format!(
        "The folder {} is in use by another run. Stop that one, or choose another folder with --data.",
        folder.display()
    )
}

/// In a data folder, the name of the file that contains the signing secret.
const SECRET: &str = "signing-secret";

/// Returns a value for `SIGNING_SECRET` that refers to the secret's file by its absolute path.
fn secret_url(folder: &Path) -> Result<String, String> {
    let path = fs::canonicalize(folder)
        .map_err(|error| format!("The folder {} can't be read: {error}.", folder.display()))?;
    Ok(format!("file://{}", path.join(SECRET).display()))
}

/// Generates a random secret.
pub fn new_secret() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// Returns the error message for an address on which the process can't listen.
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
        let folder = Folder::lock(&path).unwrap().unwrap();
        let _copy = folder.lock.try_clone().unwrap();
        assert!(Folder::lock(&path).unwrap().is_none());
        assert_eq!(holder(&path), Holder::Command);
        drop(folder);
        assert_eq!(holder(&path), Holder::Free);
        assert!(Folder::lock(&path).unwrap().is_some());
        fs::remove_dir_all(path).unwrap();
    }

    /// Only root can change a file's owner. If another user runs this test, it tests only the
    /// symbolic link.
    #[cfg(unix)]
    #[test]
    fn files_of_another_user_are_rejected() {
        use std::os::unix::fs::{chown, symlink};
        let path = std::env::temp_dir().join(format!("farebox-own-{}", Uuid::new_v4().simple()));
        let refused = || Folder::lock(&path).err().expect("it is not used");
        let own = || Folder::lock(&path).unwrap().unwrap();
        let secret = own().secret().unwrap();
        assert_eq!(own().secret().unwrap(), secret);

        let (file, elsewhere) = (path.join(SECRET), path.join("elsewhere"));
        fs::rename(&file, &elsewhere).unwrap();
        symlink(&elsewhere, &file).unwrap();
        assert!(refused().contains("is not a file, or belongs to another user"), "{}", refused());
        fs::remove_file(&file).unwrap();
        fs::write(&file, "a secret that another user knows").unwrap();
        if chown(&file, Some(12_345), None).is_ok() {
            assert!(
                refused().contains("is not a file, or belongs to another user"),
                "{}",
                refused()
            );
            assert_eq!(holder(&path), Holder::Free);
            chown(&file, Some(0), None).unwrap();
            assert!(Folder::lock(&path).is_ok());
            chown(&path, Some(12_345), None).unwrap();
            assert!(refused().contains("belongs to another user, who could"), "{}", refused());
            chown(&path, Some(0), None).unwrap();
        }
        fs::remove_dir_all(path).unwrap();
    }
}
