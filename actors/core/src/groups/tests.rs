mod charges;
mod groups;
