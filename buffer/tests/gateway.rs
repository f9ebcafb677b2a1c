//! A gateway in front of embedded regions, seen as clients, controllers and mirrors see it.

mod gateway {
    mod crash;
    mod failover;
    mod forwarding;
    mod harness;
}
