//! The worker's two traits, filled: which job is due, and what a job does.
