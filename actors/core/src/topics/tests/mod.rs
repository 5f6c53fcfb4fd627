mod copies;
mod groups;
mod lifecycle;
mod panics;
mod pieces;
mod routing;
mod tries;
mod workers;
