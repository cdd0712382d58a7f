//! Bytes ↔ values: S3XML reader and writer, canonical values, messages, limits, compression.
