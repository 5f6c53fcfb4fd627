//! The scenarios at work: which clients there are, and what they publish and hear.

mod cast;
mod churn;
mod connect;
mod idle;
mod load;
mod parts;
mod retain;
mod slow;
mod subscribe;

use self::cast::Cast;
use crate::{arguments::Arguments, failure::Failure, report::Report, scenario::Scenario};

/// Size of topic names and filters where their memory is measured, if the number of the run leaves room for it.
const NAME_BYTES: usize = 40;

/// Runs what the arguments name to the end.
pub(crate) fn run(arguments: &Arguments) -> Result<Report, Failure> {
    match arguments.scenario {
        Scenario::Pub
        | Scenario::FanIn
        | Scenario::FanOut
        | Scenario::Pairs
        | Scenario::Wild
        | Scenario::Shared
        | Scenario::Paced => load::run(arguments),
        Scenario::Slow => slow::run(arguments),
        Scenario::Idle => idle::run(arguments),
        Scenario::Connect => connect::run(arguments),
        Scenario::Churn => churn::run(arguments),
        Scenario::Subscribe => subscribe::run(arguments),
        Scenario::Retain => retain::run(arguments),
    }
}
