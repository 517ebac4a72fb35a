//! The time before there is a server: the build, and the files of an installation.

mod init;
mod progress;
