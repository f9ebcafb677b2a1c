//! Nothing stands here before its first slice.
