//! The store on every topology: one server, Sentinel, Cluster.

mod servers;
