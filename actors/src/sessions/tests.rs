//! A session's decisions, without actors and with the present moment as an argument: which messages go out, which wait,
//! which are dropped and why, and what the client reads of it.

mod acknowledgements;
mod deliver;
mod frames;
mod give_back;
mod lifecycle;
mod limits;
mod model;
mod queue;
mod resume;
mod state;
