//! Flags and verbs, one file a verb.
