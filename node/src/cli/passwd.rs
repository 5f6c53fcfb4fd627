//! `micro-mq passwd`: the users of the auth provider "file".

use std::io::{self, BufRead, Read};

use anyhow::{Context, bail};

use super::arguments::PasswdArguments;

/// The longest password that MQTT can carry, in bytes.
const PASSWORD_BYTES_MAX: usize = 65_535;

pub(super) fn passwd(arguments: &PasswdArguments) -> anyhow::Result<()> {
    let file = arguments.file.as_path();
    let Some(user) = &arguments.user else {
        let users = auth_actor::list_users(file)?;
        return super::print(&users.iter().map(|user| format!("{user}\n")).collect::<String>());
    };
    if arguments.delete {
        auth_actor::remove_user(file, user)?;
    } else {
        let password = if arguments.stdin { from_stdin()? } else { from_terminal()? };
        auth_actor::set_password(file, user, password.as_bytes())?;
    }
    Ok(())
}

fn from_terminal() -> anyhow::Result<String> {
    let no_terminal = "no terminal to read the password from; --stdin reads it from stdin";
    let password = rpassword::prompt_password("Password: ").context(no_terminal)?;
    if rpassword::prompt_password("Password again: ").context(no_terminal)? != password {
        bail!("the passwords differ");
    }
    Ok(password)
}

/// One line, without its end; reads no more than a password and its end can take.
pub(super) fn from_stdin() -> anyhow::Result<String> {
    let mut line = String::new();
    io::stdin()
        .lock()
        .take(PASSWORD_BYTES_MAX as u64 + 3)
        .read_line(&mut line)
        .context("cannot read the password from stdin")?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}
