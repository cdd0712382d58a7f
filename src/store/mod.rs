//! The control store: one file a table, one function a question. The only home of diesel.
