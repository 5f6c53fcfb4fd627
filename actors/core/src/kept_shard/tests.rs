//! What records make of a shard: by themselves, and over long histories that are cut anywhere.

mod cases;
mod history;
mod model;
mod replay;
mod store;
