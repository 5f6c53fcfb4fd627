mod lifecycle;
mod tries;
mod workers;
