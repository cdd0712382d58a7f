//! The users' data and its journal. The only home of their drivers.
