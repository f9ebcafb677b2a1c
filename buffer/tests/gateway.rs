//! A gateway in front of embedded regions, seen as clients, controllers and mirrors see it.

#![allow(clippy::unwrap_used)]

mod gateway {
    mod crash;
    mod cut;
    mod failover;
    mod forwarding;
    mod harness;
    mod remade;
    mod rules;
    mod secured;
}
