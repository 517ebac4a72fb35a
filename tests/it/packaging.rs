//! What a user has before there is a server: the build.

mod progress;
