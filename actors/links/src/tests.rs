//! Nodes that are linked, and those that are not to be.

mod nodes;
mod security;
mod wire;
