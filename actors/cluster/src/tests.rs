mod members;
mod records;
mod routes;
