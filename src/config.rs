//! What the user wrote (file, environment, flags) → what the program needs.
