//! Export, import, run (we call) and serve (they call).
