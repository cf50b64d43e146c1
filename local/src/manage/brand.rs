//! `farebox manage brand`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use shared::store::SetListOutcome;
use shared::values::Brand;

use super::sentence;
use super::target::{Missing, Opened, Target};
use crate::list_file;

/// Why a deployed brand is changed only after a confirmation.
const UNCONFIRMED: &str = "Releases before 0.21.0 show Farebox's name in place of the brand, and \
    releases before 0.22.0 in place of a brand with a logo. Add --yes when no alias is split \
    between two releases, and the release before this one can show the brand.";

/// Show, check, set or remove the name, links, colours and logo that pages and e-mails show
#[derive(Subcommand)]
pub(super) enum Command {
    /// Show the brand
    Show,
    /// Check a brand without setting it
    Check {
        #[command(flatten)]
        files: Files,
    },
    /// Set the brand. Pages and e-mails use it within a minute
    Set {
        #[command(flatten)]
        files: Files,
        #[command(flatten)]
        ready: Ready,
    },
    /// Remove the brand, so that pages and e-mails show Farebox's
    Remove,
}

#[derive(Args)]
pub(super) struct Files {
    /// The file with the brand
    file: PathBuf,
    /// A PNG file with the logo, in place of the logo in the brand's file
    #[arg(long)]
    logo: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct Ready {
    /// Confirm that every running function can show the brand. Only needed for tables on AWS
    #[arg(long)]
    yes: bool,
}

impl Command {
    pub(super) async fn run(self, target: &Target) -> Result<String, String> {
        match self {
            Self::Show => target.in_store(show).await,
            Self::Check { files } => {
                let brand = read(&files)?;
                Ok(format!("The brand {:?} can be set, version {}.", brand.name, brand.version()))
            }
            Self::Set { files, ready } => {
                let brand = read(&files)?;
                set(target, Some(brand), ready.yes).await
            }
            Self::Remove => set(target, None, true).await,
        }
    }
}

/// Reads the brand from its file, and the logo from a separate file if there is one.
fn read(Files { file, logo }: &Files) -> Result<Brand, String> {
    let brand: Brand = list_file::read(file)?;
    let Some(path) = logo else { return Ok(brand) };
    let logo = std::fs::read(path)
        .map_err(|error| format!("{} can't be read: {error}.", path.display()))?;
    brand.with_logo(&logo).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(|problem| problem.sentence.clone()).collect();
        format!("{}: {}", Path::display(path), lines.join("\n"))
    })
}

/// Shows the brand as JSON, with its author and time.
async fn show(Opened { app, .. }: &Opened) -> Result<String, String> {
    match app.store.brand().await.map_err(sentence)? {
        Some(stored) => list_file::show(&stored),
        None => Ok("No brand is set: pages and e-mails show Farebox's name.".into()),
    }
}

/// Sets or removes the brand. On AWS, the operator must confirm that all functions can show it.
async fn set(target: &Target, brand: Option<Brand>, is_ready: bool) -> Result<String, String> {
    let brand = brand.as_ref();
    target
        .acting(Missing::Create, async |Opened { app, is_deployed, .. }| {
            if *is_deployed && !is_ready {
                return Err(UNCONFIRMED.into());
            }
            match list_file::set(app, brand).await.map_err(sentence)? {
                SetListOutcome::Set(Some(stored)) => Ok(format!(
                    "The brand {:?} is set, version {}. Pages and e-mails use it within a minute.",
                    stored.list.name, stored.of.version
                )),
                SetListOutcome::Set(None) => {
                    Ok("Removed the brand. Pages and e-mails show Farebox's name within a minute."
                        .into())
                }
                SetListOutcome::Changed => {
                    Err("Someone else has just changed the brand. Nothing was changed.".into())
                }
            }
        })
        .await
}
